"""Keys: one NamedTuple for each kind of object, and the global IDs and cursors made from them.

A key is used as a loader key, as the payload of a global ID and as the start of a cache key. Two keys of different
types with equal parts compare equal (they are tuples), so a dictionary never mixes key types.

Global IDs and cursors are opaque texts with check digits, so that the gateway can detect a damaged or invented one.
They hold no secret and grant no access: the upstream decides what a caller may see.
"""

from __future__ import annotations

import re
import string
from base64 import urlsafe_b64decode
from binascii import b2a_base64, crc_hqx
from functools import lru_cache
from typing import NamedTuple, TypeAlias, get_args
from urllib.parse import quote, unquote


class ThreadKey(NamedTuple):
    """Identity of a thread."""

    thread_id: str


class MessageKey(NamedTuple):
    """Identity of a message. The upstream finds a message only within its thread."""

    thread_id: str
    message_id: str


class RunKey(NamedTuple):
    """Identity of a run. The upstream finds a run only within its thread."""

    thread_id: str
    run_id: str


class RunStepKey(NamedTuple):
    """Identity of a run step."""

    thread_id: str
    run_id: str
    step_id: str


class AssistantKey(NamedTuple):
    """Identity of an assistant."""

    assistant_id: str


class MessageFileKey(NamedTuple):
    """Identity of a file attached to a message (version 1 of the API)."""

    thread_id: str
    message_id: str
    file_id: str


class FileKey(NamedTuple):
    """Identity of an uploaded or generated file."""

    file_id: str


NodeKey: TypeAlias = ThreadKey | MessageKey | RunKey | RunStepKey | AssistantKey | MessageFileKey | FileKey

TYPE_NAMES: dict[type[NodeKey], str] = {key: key.__name__.removesuffix("Key") for key in get_args(NodeKey)}
"""GraphQL type names by key type: a key is named for the type."""

KEY_TYPES = {name: key_type for key_type, name in TYPE_NAMES.items()}

MAX_ID_LENGTH = 256
"""Limit of an upstream id, in characters. The longest that was seen in real traffic has 40."""

_UNQUOTED = string.ascii_letters.encode() + string.digits.encode() + b"_.-~"  # what `quote` leaves unchanged
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
# The separator before the check digits and the first two of them, and the other two.
_FIRST_DIGITS = tuple(b":%02x" % byte for byte in range(256))
_LAST_DIGITS = tuple(b"%02x" % byte for byte in range(256))
# CRC-16 detects every change within 16 adjacent bits, so each wrong character of a text. A truncated CRC-32 does not.
_CRC_START = 0xFFFF
_UPSTREAM_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~:@=+-]*\Z")


class InvalidOpaqueTextError(ValueError):
    """A text that this gateway did not make, or that was damaged."""


def is_upstream_id(text: str) -> bool:
    """Return whether a text can be an upstream object's id: one URL path segment of harmless characters."""
    return len(text) <= MAX_ID_LENGTH and _UPSTREAM_ID.match(text) is not None


def to_opaque(*parts: str) -> str:
    """Make an opaque text from parts, with check digits over all of them."""
    text, rest, check = _begin_opaque(parts[:-1])
    last = parts[-1].encode()
    if last.translate(None, _UNQUOTED):
        last = quote(parts[-1], safe="").encode()
    check = crc_hqx(last, check)
    return text + _to_url_safe_base64(rest + last + _FIRST_DIGITS[check >> 8] + _LAST_DIGITS[check & 0xFF])


@lru_cache(maxsize=1_000)
def _begin_opaque(parts: tuple[str, ...]) -> tuple[str, bytes, int]:
    """Encode the first parts of an opaque text, which the objects of one list share.

    Returns:
        The text of all whole groups of three bytes, the bytes that are left, and the checksum of both.
    """
    raw = "".join([quote(part, safe="") + ":" for part in parts]).encode()
    whole = len(raw) - len(raw) % 3
    return _to_url_safe_base64(raw[:whole]), raw[whole:], crc_hqx(raw, _CRC_START)


def from_opaque(text: str) -> list[str]:
    """Return the parts of an opaque text. Raises `InvalidOpaqueTextError` for a damaged or invented text."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        body, _, check = raw.decode("ascii").rpartition(":")
    except ValueError as error:
        raise InvalidOpaqueTextError(text) from error
    # The decoder skips foreign characters and spare bits, so compare with the text that this gateway would make.
    if not body or check != f"{crc_hqx(body.encode(), _CRC_START):04x}" or _to_url_safe_base64(raw) != text:
        raise InvalidOpaqueTextError(text)
    return [unquote(part) for part in body.split(":")]


def to_global_id(key: NodeKey) -> str:
    """Make the global ID of an object from its GraphQL type and its key."""
    return to_opaque(TYPE_NAMES[type(key)], *key)


def from_global_id(text: str) -> NodeKey:
    """Return the key in a global ID. Raises `InvalidOpaqueTextError` for a text that this gateway did not make."""
    type_name, *parts = from_opaque(text)
    key_type = KEY_TYPES.get(type_name)
    if key_type is None or len(parts) != len(key_type._fields) or not all(map(is_upstream_id, parts)):
        raise InvalidOpaqueTextError(text)
    return key_type(*parts)


def to_file_id(upstream_id: str) -> str:
    """Make the global ID of a file."""
    return to_global_id(FileKey(upstream_id))


def from_file_id(text: str) -> str:
    """Return the upstream id of a file from its global ID or upstream id.

    Raises:
        InvalidOpaqueTextError: The text is the global ID of something else, or a damaged one.
    """
    try:
        type_name, *parts = from_opaque(text)
    except InvalidOpaqueTextError:
        if looks_like_damaged_global_id(text):
            raise
        return text
    if type_name != TYPE_NAMES[FileKey] or len(parts) != 1:
        raise InvalidOpaqueTextError(text)
    return parts[0]


def looks_like_damaged_global_id(text: str) -> bool:
    """Return whether an invalid global ID starts like a valid one, so that it is not treated as an upstream id."""
    readable = text[: len(text) // 4 * 4]
    try:
        raw = urlsafe_b64decode(readable.encode("ascii"))
    except ValueError:
        return False
    return any(raw.startswith(f"{type_name}:".encode()) for type_name in KEY_TYPES)


def _to_url_safe_base64(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode()
