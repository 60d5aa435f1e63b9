"""HTTP: parse, call a flow, render. The only importer of the web framework."""
