"""The process that sandbox processes are forked from: `python -m projectnil.sandbox.fork_server FD`.

A new Python with Wasmtime in it takes a sixth of a second; a fork of one that has everything imported takes a few
milliseconds, and shares its memory. This process never runs a guest, and has no engine, no thread and no secret. FD is
its end of a socket pair: for each socket that comes over it, it forks a process that serves on that socket, and answers
with the process's id (i32).
"""

import codecs
import gc
import os
import signal
import socket
import struct
import sys

from projectnil.sandbox.hardening import outlive_signals_but_not_the_parent
from projectnil.sandbox.process import serve

PID = struct.Struct("<i")
ORDER = b"F"


def main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    outlive_signals_but_not_the_parent(int(sys.argv[2]))
    # The kernel forgets a child when it ends: the api watches it, not this process.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Python looks for it in a file when it is first wanted, which a sandbox process may not open.
    codecs.lookup("utf-16-le")
    gc.freeze()
    while True:
        order, descriptors, _, _ = socket.recv_fds(requests, 1, 1)
        if not order:
            return
        child = socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if pid == 0:
            requests.close()
            _be_a_sandbox(child)
        child.close()
        requests.sendall(PID.pack(pid))


def _be_a_sandbox(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        serve(connection)
    finally:
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
