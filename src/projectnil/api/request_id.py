"""Every answer carries an id, which errors and the log name too."""

import re
from collections.abc import Mapping

from uuid_utils import uuid7

HEADER = b"x-request-id"
_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def request_id_of(headers: Mapping[bytes, bytes]) -> str:
    """The client's own id where it is sane, and a new one where it is not."""
    given = headers.get(HEADER)
    return given.decode() if given is not None and _ACCEPTABLE.fullmatch(given) else str(uuid7())
