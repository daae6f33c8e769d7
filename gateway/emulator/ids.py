"""Makes object ids that look like the API's own: a prefix and 24 letters and digits, in no order of time.

Source: recorded traffic of every object kind; file ids are ``file-`` and 22 characters.
"""

import hashlib
import re
import string
from typing import Protocol

_ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits
_OBJECT_LENGTH = 24
_FILE_LENGTH = 22
_OBJECT_ID = re.compile(r"[a-z]+_[A-Za-z0-9]{24}")


class IdFactory(Protocol):
    """Gives out ids that were never given out before."""

    def __call__(self, prefix: str) -> str:
        """Return a new id that begins with ``prefix`` and its separator."""
        ...


def id_from_name(prefix: str, name: str) -> str:
    """Return the id that always belongs to this name: the same on every machine, unlike any other name's."""
    separator, length = ("-", _FILE_LENGTH) if prefix == "file" else ("_", _OBJECT_LENGTH)
    number = int.from_bytes(hashlib.sha256(f"{prefix}:{name}".encode()).digest())
    characters: list[str] = []
    for _ in range(length):
        number, remainder = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[remainder])
    return prefix + separator + "".join(characters)


def has_prefix(candidate: str, prefix: str) -> bool:
    """Tell whether an id is of the kind that ``prefix`` names; the rest of it is not looked at."""
    return candidate.startswith(f"{prefix}_")


def is_object_id(candidate: str) -> bool:
    """Tell whether an id has the full form of an id of the API."""
    return _OBJECT_ID.fullmatch(candidate) is not None
