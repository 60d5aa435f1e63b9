"""The log on a terminal."""

import subprocess
import sys

WRITE = """
from projectnil.bootstrap.logs import configure_logs
from projectnil.config import read_settings
import structlog

configure_logs(read_settings({"PROJECTNIL_LOG_FORMAT": "console"}), "api")
log = structlog.get_logger()
log.warning("a.warning", path="/\\x1b[2J\\u202e\\x9b1m\\r")
try:
    raise ValueError("\\x1b]0;title\\x07")
except ValueError as error:
    log.error("an.error", exc_info=error)
"""


def test_control_characters_of_others_are_made_visible() -> None:
    done = subprocess.run([sys.executable, "-c", WRITE], capture_output=True, timeout=120, check=True)
    shown = done.stderr.decode()
    assert "\\u001b[2J\\u202e\\u009b1m\\r" in shown
    assert "ValueError: \\u001b]0;title\\u0007" in shown
    assert "\x1b[2J" not in shown
    assert "\x1b]" not in shown
    assert not {"\u202e", "\x9b", "\r", "\x07"} & set(shown)
