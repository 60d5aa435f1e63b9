"""What the api and a sandbox process say to each other over a Unix socket.

A frame is the length of its body (u32, little-endian) and the body: one MessagePack value, tagged with its type.
The first request is Prepare, answered by Ready; then each request gets exactly one reply, in order. The api may send
a request before the one before it is answered. While a guest takes long, the process hands back what waits behind it:
Returned stands for a reply to each of the last requests. Leaving says that the process ends by its own decision.
The api decodes replies by type and size, since a sandbox process is not to be trusted.
"""

import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import TypeAlias

import msgspec

from projectnil.domain.executions import Completed, Failed
from projectnil.domain.limits import Limits

LENGTH = struct.Struct("<I")
LENGTH_BYTES = LENGTH.size


class Role(StrEnum):
    """A process that runs guests never makes machine code, so that an escaped guest cannot poison it for others.

    A snapshotter runs the start section of a single module, and returns a module, as its author could have sent it.
    """

    EXECUTOR = "executor"
    TRANSLATOR = "translator"
    SNAPSHOTTER = "snapshotter"


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """parent_pid: the process to die with, which forked this one."""

    role: Role
    limits: Limits
    parent_pid: int


class Run(msgspec.Struct, frozen=True, tag=True):
    """input_json: JSON text in UTF-8, checked already."""

    code_path: str
    wasm_path: str
    input_json: bytes


class Translate(msgspec.Struct, frozen=True, tag=True):
    wasm: bytes


class TakeSnapshot(msgspec.Struct, frozen=True, tag=True):
    wasm_path: str


class Ready(msgspec.Struct, frozen=True, tag=True):
    """unhardened: what the kernel refused of this process's own restrictions, in words; empty when nothing."""

    unhardened: str = ""


class Translated(msgspec.Struct, frozen=True, tag=True):
    """code: a file for `deserialize_file` of the engine with this platform's fingerprint."""

    code: bytes


class Invalid(msgspec.Struct, frozen=True, tag=True):
    """The module cannot run here; the function's fault. problem: as in GuestBrokeAbi."""

    problem: str


class Snapshot(msgspec.Struct, frozen=True, tag=True):
    """wasm: a module that begins where the other one is after its start section."""

    wasm: bytes


class NoSnapshot(msgspec.Struct, frozen=True, tag=True):
    """The module must stay as it is. reason: why, in words."""

    reason: str


class CannotRun(msgspec.Struct, frozen=True, tag=True):
    """The platform's fault. code_is_bad: the file of machine code is missing or damaged and must be made again."""

    problem: str
    code_is_bad: bool


class Returned(msgspec.Struct, frozen=True, tag=True):
    """The request under way takes long. The last `count` requests were not begun and never will be here."""

    count: int


class Leaving(msgspec.Struct, frozen=True, tag=True):
    """The process ends now. What is not answered yet was not begun."""


Request: TypeAlias = Prepare | Run | Translate | TakeSnapshot
Reply: TypeAlias = Completed | Failed | Ready | Translated | Invalid | Snapshot | NoSnapshot | CannotRun

_encoder = msgspec.msgpack.Encoder()
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply | Returned | Leaving).decode


def encode_frame(message: Request | Reply | Returned | Leaving) -> bytearray:
    frame = bytearray(256)
    _encoder.encode_into(message, frame, LENGTH_BYTES)
    LENGTH.pack_into(frame, 0, len(frame) - LENGTH_BYTES)
    return frame


class FrameTooLarge(Exception):
    """A frame announces more bytes than its sender may send."""


def take_frames(received: bytearray, most_bytes: int | None = None) -> Iterator[bytes]:
    """Removes the whole frames from what was received; yields their bodies.

    most_bytes: of a frame, its length included; None for no limit. Raises FrameTooLarge when a frame announces more,
    before it is there.
    """
    while len(received) >= LENGTH_BYTES:
        end = LENGTH_BYTES + LENGTH.unpack_from(received)[0]
        if most_bytes is not None and end > most_bytes:
            raise FrameTooLarge
        if len(received) < end:
            return
        body = bytes(memoryview(received)[LENGTH_BYTES:end])
        del received[:end]
        yield body
