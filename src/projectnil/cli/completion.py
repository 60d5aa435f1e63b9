"""Completion of commands, options and functions in the shell, by argcomplete."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from projectnil.cli.failures import UsageError

SHELLS = ("bash", "zsh", "fish")

# The program as it was typed, which need not be in the PATH: bash and zsh are given that already.
_FISH_ASKS = """
        set -l typed (string replace -r '^~' $HOME (commandline -opc)[1])
        $typed 8>&1"""


def complete() -> None:
    """Answer the shell that asks how the line goes on, and exit."""
    import argcomplete  # noqa: PLC0415
    from argcomplete.completers import SuppressCompleter  # noqa: PLC0415

    from projectnil.cli.parser import whole_parser  # noqa: PLC0415

    nothing = SuppressCompleter()
    argcomplete.autocomplete(whole_parser(), always_complete_options="long", default_completer=nothing)


def install_or_show(option: str, arguments: Sequence[str]) -> int:
    """`--install-completion [SHELL]` or `--show-completion [SHELL]`; without one it is the shell of the environment."""
    name, _, value = option.partition("=")
    shell = value or next(iter(arguments), "") or Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        raise UsageError(f"pnil: {name}: for which shell? one of {', '.join(SHELLS)}")
    if name == "--show-completion":
        sys.stdout.write(_script(shell))
    else:
        print(f"installed {_install(shell)}; it works in a new shell")
    return 0


def _script(shell: str) -> str:
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415

    # Without the shell's own completion by files, which is wrong for most arguments. Ours offers them where they fit.
    script = shellcode(["pnil"], shell=shell, use_defaults=False)
    return script.replace("\n        pnil 8>&1", _FISH_ASKS) if shell == "fish" else script


def _install(shell: str) -> Path:
    if shell == "fish":
        return _written(_home("XDG_CONFIG_HOME", ".config") / "fish/completions/pnil.fish", shell)
    script = _written(_home("XDG_DATA_HOME", ".local/share") / f"projectnil/completion.{shell}", shell)
    start_file = Path.home() / ".bashrc" if shell == "bash" else Path(os.environ.get("ZDOTDIR", Path.home())) / ".zshrc"
    line = f'[ -f "{script}" ] && . "{script}"  # completion of pnil'
    if shell == "zsh":
        line = f"autoload -Uz compinit && compinit && {line}"
    known = start_file.read_text() if start_file.exists() else ""
    if line not in known:
        start_file.write_text(f"{known.rstrip()}\n{line}\n".lstrip())
    return script


def _written(path: Path, shell: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_script(shell))
    return path


def _home(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default)
