"""A connection's transport, as the end of a connection needs it."""

import asyncio
import contextlib
import socket
import struct
from typing import Any

# struct linger: on, for 0 s
_RESET = struct.pack("ii", 1, 0)


class Transport:
    """A transport whose client may still be sending when it is refused.

    lingers: closing it closes our side only, until the client closes its own. A client that is still sending would be
    reset otherwise, and might never see why it was refused (RFC 9112, section 9.6).
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.lingers = False
        self.is_lingering = False
        self.is_closing = transport.is_closing
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.write = transport.write
        self.writelines = transport.writelines

    def close(self) -> None:
        if self.lingers and not self._transport.is_closing():
            self.lingers = False
            self.is_lingering = True
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Give up a client that does not read: what the kernel holds for it is thrown away too."""
        with contextlib.suppress(OSError):
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
