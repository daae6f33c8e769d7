"""Object ids in the API's own form: a prefix and 24 letters and digits, in no order of time.

File ids are `file-` and 22 characters. Source: recorded traffic of every kind of object.
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
    """A maker of new ids, each of which it returns only once."""

    def __call__(self, prefix: str) -> str:
        """Return a new id that begins with `prefix` and a separator."""
        ...


def id_from_name(prefix: str, name: str) -> str:
    """Return the id that belongs to a name: the same on every machine, and different for each name."""
    separator, length = _separator(prefix), _FILE_LENGTH if prefix == "file" else _OBJECT_LENGTH
    number = int.from_bytes(hashlib.sha256(f"{prefix}:{name}".encode()).digest())
    characters: list[str] = []
    for _ in range(length):
        number, remainder = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[remainder])
    return prefix + separator + "".join(characters)


def has_prefix(candidate: str, prefix: str) -> bool:
    """Return whether an id is of the kind that `prefix` names. The rest of the id is not checked."""
    return candidate.startswith(prefix + _separator(prefix))


def is_object_id(candidate: str) -> bool:
    """Return whether a text has the complete form of an object id of the API."""
    return _OBJECT_ID.fullmatch(candidate) is not None


def _separator(prefix: str) -> str:
    return "-" if prefix == "file" else "_"
