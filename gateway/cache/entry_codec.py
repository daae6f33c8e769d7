"""The codec of cache entries: a header that only this version of the program writes, then JSON. Pure.

Raw JSON parts keep their exact text. Any other bytes found under a key are a miss, never an error.

Large values are compressed before they are sent to Redis. Measured on a page of 100 messages of 700 bytes: encoding
31 us, decoding 104 us, compressing 122 us, decompressing 50 us, for a fraction of its 75 kB. Below
`MIN_COMPRESSED_BYTES` the time costs more than the space.
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


def fingerprint(module: Any = wire) -> bytes:
    """Return a digest of the definitions of all wire structs; another field, type or default makes another digest."""
    structs = [item for item in vars(module).values() if isinstance(item, type) and issubclass(item, msgspec.Struct)]
    definitions = sorted(
        (struct.__name__, list(map(_field_definition, msgspec.structs.fields(struct)))) for struct in structs
    )
    return hashlib.blake2b(repr((FORMAT_VERSION, definitions)).encode(), digest_size=8).digest()


def _field_definition(field: msgspec.structs.FieldInfo) -> tuple[str, str, str]:
    # The repr of a raw default holds its address in memory.
    default = bytes(field.default) if isinstance(field.default, msgspec.Raw) else field.default
    return field.encode_name, str(field.type), repr(default)


_HEADER = b"TG" + fingerprint()
_NAME_DIGEST_BYTES = 8
_BODY_START = len(_HEADER) + _NAME_DIGEST_BYTES + 1
_ENCODER = msgspec.json.Encoder()
_DECODERS: dict[type[Key], Any] = {
    key_type: msgspec.json.Decoder(_EncodedEntry[wire_type])  # type: ignore[valid-type]
    for key_type, wire_type in WIRE_TYPES.items()
}


def encode(name: str, entry: CacheEntry) -> bytes | None:
    """Encode an entry. Returns None if its value cannot be encoded.

    `name` is the entry's Redis key; its digest is part of the bytes.
    """
    value = entry.value
    not_found = None
    if isinstance(value, GatewayError):
        # The upstream request id belongs to this request alone.
        value, not_found = None, _NotFound(value.message, value.argument)  # type: ignore[assignment]
    stored = _EncodedEntry(
        entry.stored_at, entry.fresh_seconds, entry.stale_seconds, dict(entry.versions), value, not_found
    )
    try:
        body = _ENCODER.encode(stored)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return _HEADER + _digest_name(name) + _PLAIN + body


def compress(data: bytes) -> bytes:
    """Compress an encoded entry if it is large enough."""
    if len(data) < MIN_COMPRESSED_BYTES:
        return data
    head_bytes = _BODY_START - 1
    return data[:head_bytes] + _COMPRESSED + zlib.compress(data[_BODY_START:], _COMPRESSION_LEVEL)


def decode(key_type: type[Key], name: str, data: bytes) -> CacheEntry | None:
    """Decode an entry. Returns None if `data` is no entry, or one of another name or of another program version."""
    if not data.startswith(_HEADER) or data[len(_HEADER) : _BODY_START - 1] != _digest_name(name):
        return None
    body: bytes | None = data[_BODY_START:]
    if data[_BODY_START - 1 : _BODY_START] == _COMPRESSED:
        body = _decompress(data[_BODY_START:])
    if body is None:
        return None
    try:
        stored = _DECODERS[key_type].decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    value = stored.value
    if stored.not_found is not None:
        value = GatewayError(ErrorCode.NOT_FOUND, stored.not_found.message, argument=stored.not_found.argument)
    if value is None:
        return None
    return CacheEntry(value, stored.versions, stored.stored_at, stored.fresh_seconds, stored.stale_seconds)


def _digest_name(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_NAME_DIGEST_BYTES).digest()


def _decompress(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(data, MAX_DECODED_BYTES)
    except zlib.error:
        return None
    return body if inflater.eof else None
