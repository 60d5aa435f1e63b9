"""Every answer carries an id, which errors and the log name too."""

import re

from starlette.types import Scope
from uuid_utils import uuid7

HEADER = b"x-request-id"
_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def request_id_of(scope: Scope) -> str:
    """The client's own id where it is sane, and a new one where it is not."""
    for name, value in scope["headers"]:
        if name == HEADER and _ACCEPTABLE.fullmatch(value):
            return str(value.decode())
    return str(uuid7())
