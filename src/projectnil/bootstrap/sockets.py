"""The listening socket."""

import errno
import os
import socket

from projectnil.bootstrap.takeover import InUse
from projectnil.domain.errors import PlatformUnavailable

_BACKLOG = 2048
# What the kernel holds for one connection each way; left alone it grows to several MiB for a client that does not read.
_KERNEL_BUFFER_BYTES = 256 * 1024


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on host and port; port 0 picks a free one.

    Raises PlatformUnavailable, saying why; InUse when another socket has the address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PlatformUnavailable(f"cannot listen on {host}:{port}: {error}") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # The connections that it accepts inherit these.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BUFFER_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BUFFER_BYTES)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        problem = os.strerror(error.errno) if error.errno else str(error)
        kind_of_error = InUse if error.errno == errno.EADDRINUSE else PlatformUnavailable
        raise kind_of_error(
            f"cannot listen on {host}:{port}: {problem}; "
            "choose another --port or --host (PROJECTNIL_PORT, PROJECTNIL_HOST)"
        ) from error
    listener.listen(_BACKLOG)
    return listener


def url_of(listener: socket.socket) -> str:
    """`http://H:P` of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
