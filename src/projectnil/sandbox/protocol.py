"""What the api and a sandbox process say to each other over a Unix socket.

A frame is the length of its body and the number of a request (both u32, little-endian), and the body: one MessagePack
value, tagged with its type. A reply carries the number of its request. The first request is Prepare, answered by Ready;
then each request gets exactly one reply, in order. The api may send a request before the one before it is answered, so
requests may be on their way while the process hands back, with Returned, what waits behind a guest that takes long.
Leaving says that the process ends by its own decision. Both carry the number 0, as does GiveWay from the api.
The api decodes replies by type, size and number, since a sandbox process is not to be trusted.
"""

import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import TypeAlias

import msgspec

from projectnil.domain.executions import Completed, Failed
from projectnil.domain.limits import MIB, Limits

_HEAD = struct.Struct("<II")
_HEAD_BYTES = _HEAD.size
_NUMBERS = 2**32
# The memory of a process that translates. Cranelift takes up to a hundred times a module's size.
TRANSLATION_BYTES = 2048 * MIB


class Role(StrEnum):
    """A process that runs guests never makes machine code, so that an escaped guest cannot poison it for others.

    A snapshotter runs the start section of a single module, and returns a module, as its author could have sent it.
    """

    EXECUTOR = "executor"
    TRANSLATOR = "translator"
    SNAPSHOTTER = "snapshotter"


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """parent_pid: the process to die with, which forked this one. readable: the folder whose files, or the file, that
    the process will be asked to read; it can open nothing else."""

    role: Role
    limits: Limits
    parent_pid: int
    readable: str | None


class Run(msgspec.Struct, frozen=True, tag=True):
    """input_json: JSON text in UTF-8, checked already."""

    code_path: str
    wasm_path: str
    input_json: bytes


class GiveWay(msgspec.Struct, frozen=True, tag=True):
    """No request: it has the number 0, and no reply. nice: the priority to take once the guest under way takes long."""

    nice: int


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


class Starved(msgspec.Struct, frozen=True, tag=True):
    """The platform's fault. The guest's time of time_s seconds is up, and it hardly had any of it: its process was kept
    from a processor, or stopped."""

    time_s: float


class Returned(msgspec.Struct, frozen=True, tag=True):
    """The request under way takes long. The requests of these numbers came after it, in this order; they were not begun
    and never will be here."""

    numbers: list[int]


class Leaving(msgspec.Struct, frozen=True, tag=True):
    """The process ends now. What is not answered yet was not begun."""


Request: TypeAlias = Prepare | Run | Translate | TakeSnapshot
Reply: TypeAlias = Completed | Failed | Ready | Translated | Invalid | Snapshot | NoSnapshot | CannotRun | Starved

_encoder = msgspec.msgpack.Encoder()
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_order = msgspec.msgpack.Decoder(GiveWay).decode
decode_reply = msgspec.msgpack.Decoder(Reply | Returned | Leaving).decode


def next_number(number: int) -> int:
    """The number of the request after that one; never 0."""
    return number % (_NUMBERS - 1) + 1


def encode_frame(message: Request | GiveWay | Reply | Returned | Leaving, number: int) -> bytearray:
    """number: of the request that this is, or answers; 0 for what answers none."""
    frame = bytearray(256)
    _encoder.encode_into(message, frame, _HEAD_BYTES)
    _HEAD.pack_into(frame, 0, len(frame) - _HEAD_BYTES, number)
    return frame


class FrameTooLarge(Exception):
    """A frame announces more bytes than its sender may send."""


def take_frames(received: bytearray, most_bytes: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Removes the whole frames from what was received; yields their numbers and bodies.

    most_bytes: of a frame, its head included; None for no limit. Raises FrameTooLarge when a frame announces more,
    before it is there.
    """
    while len(received) >= _HEAD_BYTES:
        body_bytes, number = _HEAD.unpack_from(received)
        end = _HEAD_BYTES + body_bytes
        if most_bytes is not None and end > most_bytes:
            raise FrameTooLarge
        if len(received) < end:
            return
        body = bytes(memoryview(received)[_HEAD_BYTES:end])
        del received[:end]
        yield number, body
