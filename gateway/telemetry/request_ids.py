"""The ids of requests: taken from a client if they are well formed, else made. Pure, except for randomness."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

REQUEST_ID_HEADER = "X-Request-ID"

MAX_REQUEST_ID_LENGTH = 128

_MAX_COUNTER_LENGTH = 11
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")


def new_request_id() -> str:
    """Make an id that no other request has."""
    return secrets.token_hex(16)


def choose_request_id(offered: Sequence[object]) -> str:
    """Take the one id that a client offers, if it is well formed, else make one."""
    if len(offered) == 1 and is_request_id(offered[0]):
        return str(offered[0])
    return new_request_id()


def is_request_id(value: object) -> bool:
    """Tell whether a value is a well-formed id: 1 to 128 letters, digits, dots, underscores and hyphens of ASCII."""
    return isinstance(value, str) and _WELL_FORMED.match(value) is not None


def derive_request_id(base: str, number: int) -> str:
    """Make the id of one operation of many that came over a connection with the id `base`."""
    return f"{base[: MAX_REQUEST_ID_LENGTH - _MAX_COUNTER_LENGTH]}.{number}"
