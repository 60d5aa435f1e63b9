"""A parent that starts a command and never waits for what ends below it, as the first process of many containers.

Run as `python unreaping.py COMMAND...`. What ends stays a zombie until standard input is closed.
"""

import ctypes
import subprocess
import sys

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2): orphans below become this process's children

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    started = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    sys.stdin.read()
