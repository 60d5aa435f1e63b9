"""What a function, an execution and a compilation are. Pure: no I/O, no framework, no environment."""
