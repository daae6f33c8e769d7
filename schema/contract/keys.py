"""Typed identities: one NamedTuple for each kind of object, and the global IDs and cursors made of them.

A key is a loader key, the payload of a global ID and the stem of a cache key at once. Two keys of different types
with equal parts compare equal (they are tuples), so a table never mixes key types.

Global IDs and cursors are opaque texts with check digits, so that a damaged or invented one is told apart from one
that this gateway made. They hold no secret and grant nothing: the upstream decides what a caller may see.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from binascii import b2a_base64, crc_hqx
from typing import NamedTuple, TypeAlias
from urllib.parse import quote, unquote


class ThreadKey(NamedTuple):
    """Identity of a thread."""

    thread_id: str


class MessageKey(NamedTuple):
    """Identity of a message: upstream, a message is only found within its thread."""

    thread_id: str
    message_id: str


class RunKey(NamedTuple):
    """Identity of a run: upstream, a run is only found within its thread."""

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


NodeKey: TypeAlias = ThreadKey | MessageKey | RunKey | RunStepKey | AssistantKey | MessageFileKey

KEY_TYPES: dict[str, type[NodeKey]] = {
    "Thread": ThreadKey,
    "Message": MessageKey,
    "Run": RunKey,
    "RunStep": RunStepKey,
    "Assistant": AssistantKey,
    "MessageFile": MessageFileKey,
}
"""GraphQL type name to key type."""

TYPE_NAMES = {key_type: name for name, key_type in KEY_TYPES.items()}

MAX_ID_LENGTH = 256
"""Longest upstream id that is accepted, in characters; the longest seen in the wild has 40."""

_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_.~:-]*\Z")  # what `quote` leaves as it is, and the separator
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
# CRC-16 finds every change within 16 neighbouring bits, so each wrong character of a text; cut CRC-32s do not.
_CHECK_START = 0xFFFF
_UPSTREAM_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~:@=+-]*\Z")


class NotOpaqueError(ValueError):
    """The text is not one that this gateway made."""


def is_upstream_id(text: str) -> bool:
    """Tell whether a text can be an upstream object's id: one URL path segment of harmless characters."""
    return len(text) <= MAX_ID_LENGTH and _UPSTREAM_ID.match(text) is not None


def to_opaque(*parts: str) -> str:
    """Make an opaque text of some parts, with check digits over all of them."""
    body = ":".join(parts)
    if body.count(":") >= len(parts) or not _NEEDS_NO_QUOTES.match(body):
        body = ":".join(quote(part, safe="") for part in parts)
    raw = body.encode()
    return _encode(b"%b:%b" % (raw, _check(raw)))


def from_opaque(text: str) -> list[str]:
    """Read the parts of an opaque text back; raises `NotOpaqueError` for one that was damaged or never made."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        body, _, check = raw.decode("ascii").rpartition(":")
    except ValueError as error:
        raise NotOpaqueError(text) from error
    # The decoder skips foreign characters and spare bits; only the very text that was made is taken.
    if not body or check.encode() != _check(body.encode()) or _encode(raw) != text:
        raise NotOpaqueError(text)
    return [unquote(part) for part in body.split(":")]


def to_global_id(key: NodeKey) -> str:
    """Make the global ID of an object: its GraphQL type and its key."""
    return to_opaque(TYPE_NAMES[type(key)], *key)


def from_global_id(text: str) -> NodeKey:
    """Read a global ID; raises `NotOpaqueError` for anything that this gateway did not make."""
    type_name, *parts = from_opaque(text)
    key_type = KEY_TYPES.get(type_name)
    if key_type is None or len(parts) != len(key_type._fields) or not all(map(is_upstream_id, parts)):
        raise NotOpaqueError(text)
    return key_type(*parts)


def looks_like_damaged_global_id(text: str) -> bool:
    """Tell whether a text that is no global ID begins as one does, so that it is not taken for an upstream id."""
    readable = text[: len(text) // 4 * 4]
    try:
        raw = urlsafe_b64decode(readable.encode("ascii"))
    except ValueError:
        return False
    return any(raw.startswith(f"{type_name}:".encode()) for type_name in KEY_TYPES)


def _encode(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=\n").decode()


def _check(body: bytes) -> bytes:
    return b"%04x" % crc_hqx(body, _CHECK_START)
