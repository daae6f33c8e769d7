"""The codec of cache entries. Any other bytes found under a key are a miss, never an error. Pure."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from gateway.cache.entry import CacheEntry
from gateway.redis.value_codec import UnencodableValueError, ValueCodec, decode_body, encode_body
from schema.contract import wire
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import KINDS, KINDS_BY_PAGE_KEY, Key

ValueT = TypeVar("ValueT")

WIRE_TYPES: dict[type[Key], Any] = {kind.key_type: kind.wire_type for kind in KINDS}
WIRE_TYPES |= {
    page_key_type: wire.Page[kind.wire_type]  # type: ignore[name-defined]
    for page_key_type, kind in KINDS_BY_PAGE_KEY.items()
}
"""The type of the value of each type of key."""


class _NotFound(msgspec.Struct, array_like=True):
    message: str
    argument: str | None


class _EncodedEntry(msgspec.Struct, Generic[ValueT], array_like=True):
    stored_at: float
    fresh_seconds: float
    stale_seconds: float
    versions: dict[str, str]
    value: ValueT | None
    not_found: _NotFound | None


_CODEC = ValueCodec(b"TG", wire)
_DECODERS: dict[type[Key], Any] = {
    key_type: msgspec.json.Decoder(_EncodedEntry[wire_type])  # type: ignore[valid-type]
    for key_type, wire_type in WIRE_TYPES.items()
}


def encode_entry(entry: CacheEntry) -> bytes | None:
    """Encode an entry as JSON. Returns None if its value cannot be encoded."""
    value = entry.value
    not_found = None
    if isinstance(value, GatewayError):
        # The upstream request id belongs to this request alone.
        value, not_found = None, _NotFound(value.message, value.argument)  # type: ignore[assignment]
    stored = _EncodedEntry(
        entry.stored_at, entry.fresh_seconds, entry.stale_seconds, dict(entry.versions), value, not_found
    )
    try:
        return encode_body(stored)
    except UnencodableValueError:
        return None


def decode_entry(key_type: type[Key], body: bytes) -> CacheEntry | None:
    """Decode an entry from JSON."""
    return _to_entry(decode_body(body, _DECODERS[key_type]))


def pack_entry(name: str, body: bytes) -> bytes:
    """Return the bytes of an encoded entry under the Redis key `name`."""
    return _CODEC.pack(body, name)


def unpack_entry(key_type: type[Key], name: str, data: bytes) -> CacheEntry | None:
    """Decode the bytes under a Redis key. Returns None if they are no entry of this key and program version."""
    return _to_entry(_CODEC.unpack(data, name, _DECODERS[key_type]))


def _to_entry(stored: _EncodedEntry[Any] | None) -> CacheEntry | None:
    if stored is None:
        return None
    value = stored.value
    if stored.not_found is not None:
        value = GatewayError(ErrorCode.NOT_FOUND, stored.not_found.message, argument=stored.not_found.argument)
    if value is None:
        return None
    return CacheEntry(value, stored.versions, stored.stored_at, stored.fresh_seconds, stored.stale_seconds)
