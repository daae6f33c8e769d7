"""Entries as bytes: a header that only this version of the program writes, then JSON. Pure.

Raw parts stay as they are. Whatever else is found under a key is a miss, never an error.

Large values are compressed before they travel. Measured on a page of 100 messages of 700 bytes: encoding 31 us,
decoding 104 us, compressing 122 us, decompressing 50 us for a fraction of its 75 kB; below `MIN_COMPRESSED_BYTES`
the time is worth more than the space.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any, Generic, TypeVar

import msgspec

from gateway.cache.cache_keys import Key
from gateway.cache.entry import CacheEntry
from schema.contract import wire
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey

FORMAT_VERSION = 1
MIN_COMPRESSED_BYTES = 16_384
MAX_DECODED_BYTES = 256 << 20
_COMPRESSION_LEVEL = 1
_PLAIN, _COMPRESSED = b"j", b"z"

ValueT = TypeVar("ValueT")

WIRE_TYPES: dict[type[Key], Any] = {
    ThreadKey: wire.ThreadObject,
    MessageKey: wire.MessageObject,
    RunKey: wire.RunObject,
    RunStepKey: wire.RunStepObject,
    AssistantKey: wire.AssistantObject,
    MessageFileKey: wire.MessageFileObject,
    MessagePageKey: wire.Page[wire.MessageObject],
    RunPageKey: wire.Page[wire.RunObject],
    RunStepPageKey: wire.Page[wire.RunStepObject],
    AssistantPageKey: wire.Page[wire.AssistantObject],
    MessageFilePageKey: wire.Page[wire.MessageFileObject],
}
"""What the value of each type of key is."""


class _Absent(msgspec.Struct, array_like=True):
    message: str
    argument: str | None


class _Stored(msgspec.Struct, Generic[ValueT], array_like=True):
    stored_at: float
    fresh_seconds: float
    stale_seconds: float
    versions: dict[str, str]
    value: ValueT | None
    absent: _Absent | None


def fingerprint(module: Any = wire) -> bytes:
    """Name the definitions of all wire structs: another field, type or default makes another name."""
    structs = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    described = sorted((struct.__name__, list(map(_described, msgspec.structs.fields(struct)))) for struct in structs)
    return hashlib.blake2b(repr((FORMAT_VERSION, described)).encode(), digest_size=8).digest()


def _described(field: msgspec.structs.FieldInfo) -> tuple[str, str, str]:
    # A raw default shows where it lies in memory.
    default = bytes(field.default) if isinstance(field.default, msgspec.Raw) else field.default
    return field.encode_name, str(field.type), repr(default)


_HEADER = b"TG" + fingerprint()
_PLACE_BYTES = 8
_BODY_FROM = len(_HEADER) + _PLACE_BYTES + 1
_ENCODER = msgspec.json.Encoder()
_DECODERS: dict[type[Key], Any] = {
    key_type: msgspec.json.Decoder(_Stored[wire_type])  # type: ignore[valid-type]
    for key_type, wire_type in WIRE_TYPES.items()
}


def encode(name: str, entry: CacheEntry) -> bytes | None:
    """Encode an entry under the full name of its place; None for a value that cannot be written."""
    value = entry.value
    absent = None
    if isinstance(value, GatewayError):
        # The request id is that of another's request.
        value, absent = None, _Absent(value.message, value.argument)  # type: ignore[assignment]
    stored = _Stored(entry.stored_at, entry.fresh_seconds, entry.stale_seconds, dict(entry.versions), value, absent)
    try:
        body = _ENCODER.encode(stored)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return _HEADER + _mark_of(name) + _PLAIN + body


def compress(data: bytes) -> bytes:
    """Make an encoded entry smaller where that pays."""
    if len(data) < MIN_COMPRESSED_BYTES:
        return data
    start = _BODY_FROM - 1
    return data[:start] + _COMPRESSED + zlib.compress(data[_BODY_FROM:], _COMPRESSION_LEVEL)


def decode(key_type: type[Key], name: str, data: bytes) -> CacheEntry | None:
    """Read an entry back; None for what is not one, not of this place, or written by another version."""
    if not data.startswith(_HEADER) or data[len(_HEADER) : _BODY_FROM - 1] != _mark_of(name):
        return None
    body: bytes | None = data[_BODY_FROM:]
    if data[_BODY_FROM - 1 : _BODY_FROM] == _COMPRESSED:
        body = _decompressed(data[_BODY_FROM:])
    if body is None:
        return None
    try:
        stored = _DECODERS[key_type].decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    value = stored.value
    if stored.absent is not None:
        value = GatewayError(ErrorCode.NOT_FOUND, stored.absent.message, argument=stored.absent.argument)
    if value is None:
        return None
    return CacheEntry(value, stored.versions, stored.stored_at, stored.fresh_seconds, stored.stale_seconds)


def _mark_of(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_PLACE_BYTES).digest()


def _decompressed(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(data, MAX_DECODED_BYTES)
    except zlib.error:
        return None
    return body if inflater.eof else None
