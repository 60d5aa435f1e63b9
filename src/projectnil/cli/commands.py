"""The table of commands. It is all that `pnil --help` needs; a command's own module is imported when it runs."""

import difflib
from typing import NamedTuple


class Command(NamedTuple):
    """module: in this package; it has the function `name`, and `name_arguments` that fills a parser."""

    name: str
    module: str
    group: str
    summary: str

    @property
    def function(self) -> str:
        return "list_functions" if self.name == "list" else self.name


COMMANDS = (
    Command("deploy", "functions", "Functions", "Create or update a function from a source file, and wait for it"),
    Command("invoke", "executions", "Functions", "Run a function and print its output"),
    Command("list", "functions", "Functions", "List functions, the newest first"),
    Command("show", "functions", "Functions", "Show a function: its state, its compiler's message, its source"),
    Command("executions", "executions", "Functions", "List executions, the newest first"),
    Command("execution", "executions", "Functions", "Show an execution: its input, its output, what it logged"),
    Command("delete", "functions", "Functions", "Delete a function and its executions"),
    Command("serve", "platform", "Platform", "Run the whole platform"),
    Command("api", "platform", "Platform", "Run one api process"),
    Command("compiler", "platform", "Platform", "Run one compiler process"),
    Command("migrate", "platform", "Platform", "Bring the database's schema up to date"),
    Command("prune", "platform", "Platform", "Drop old executions"),
    Command("health", "health", "Platform", "Tell whether each part of a platform is there"),
)
BY_NAME = {command.name: command for command in COMMANDS}

# What other programs call these.
_OTHER_WORDS = {
    "invoke": ("run", "call", "exec", "execute"),
    "serve": ("run", "start", "up", "server"),
    "deploy": ("create", "new", "push", "publish", "update", "build", "compile"),
    "list": ("ls", "functions", "ps"),
    "show": ("get", "describe", "cat", "inspect", "info"),
    "delete": ("rm", "remove", "del", "destroy"),
    "executions": ("history", "log", "logs", "runs"),
    "health": ("status", "ping", "check"),
}

_ABOUT = "A self-hosted Function-as-a-Service: source in, WebAssembly inside, every run recorded in Postgres."
_OPTIONS = (
    ("-h, --help", "show this, or with a command what it takes"),
    ("--version", "print the version"),
    ("--install-completion [SHELL]", "complete commands and functions in bash, zsh or fish"),
    ("--show-completion [SHELL]", "print what --install-completion would install"),
)


def overview() -> str:
    """What `pnil --help` prints."""
    lines = ["usage: pnil COMMAND [options]", "", _ABOUT]
    for group in dict.fromkeys(command.group for command in COMMANDS):
        lines += ["", f"{group}:", *(f"  {c.name:<12}{c.summary}" for c in COMMANDS if c.group == group)]
    lines += ["", "Options:", *(f"  {name:<30}{about}" for name, about in _OPTIONS)]
    lines += ["", "'pnil help COMMAND' shows what a command takes."]
    return "\n".join(lines)


def unknown(name: str) -> str:
    """What to say about a command that there is not."""
    meant = [command for command, words in _OTHER_WORDS.items() if name.lower() in words]
    meant = meant or difflib.get_close_matches(name.lower(), BY_NAME, n=2, cutoff=0.6)
    if name.startswith("-"):
        return f"there is no option {name} here; options go after the command"
    advice = "did you mean " + " or ".join(f"'pnil {each}'" for each in meant) + "? " if meant else ""
    return f"there is no command {name!r}; {advice}'pnil help' lists them all"
