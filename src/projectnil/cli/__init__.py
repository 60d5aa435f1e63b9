"""The command line: `pnil serve` and its parts, and a client over HTTP."""
