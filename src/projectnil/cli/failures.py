"""How a command can fail."""


class CommandFailed(Exception):
    """What the person at the terminal should read; the command exits with 1."""


class UsageError(Exception):
    """What is wrong with the command as it was typed; it exits with 2."""
