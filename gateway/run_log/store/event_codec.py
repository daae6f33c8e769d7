"""Log entries as bytes: a header that identifies this version's definitions, then JSON. Pure.

Raw parts stay byte for byte. Any other bytes decode to None, never to an error. Large entries are compressed, which
takes less time than sending and storing them whole; most entries are far below that limit.
"""

from __future__ import annotations

import hashlib
import zlib
from types import ModuleType

import msgspec

from gateway.run_log.store.event_log import LogEntry
from schema.contract import run_events, wire
from schema.contract.run_events import Change, Provenance

FORMAT_VERSION = 1
MIN_COMPRESSED_BYTES = 16_384
MAX_DECODED_BYTES = 256 << 20
_COMPRESSION_LEVEL = 1
_PLAIN, _COMPRESSED = b"j", b"z"


class UnencodableChangeError(ValueError):
    """The change holds a value that JSON cannot express."""


class _StoredEntry(msgspec.Struct, array_like=True, gc=False):
    at: float
    provenance: Provenance
    change: Change


def fingerprint(*modules: ModuleType) -> bytes:
    """Hash the definitions of all structs in some modules: another field, type, tag or default gives another hash."""
    structs = {
        one
        for module in modules
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, msgspec.Struct)
    }
    signatures = sorted(
        (
            struct.__name__,
            str(struct.__struct_config__.tag),
            list(map(_field_signature, msgspec.structs.fields(struct))),
        )
        for struct in structs
    )
    return hashlib.blake2b(repr((FORMAT_VERSION, signatures)).encode(), digest_size=8).digest()


def _field_signature(field: msgspec.structs.FieldInfo) -> tuple[str, str, str]:
    # The repr of a raw default holds its memory address.
    default = bytes(field.default) if isinstance(field.default, msgspec.Raw) else field.default
    return field.encode_name, str(field.type), repr(default)


FINGERPRINT = fingerprint(wire, run_events)
"""The same only in programs with the same definitions."""

_HEADER = b"TE" + FINGERPRINT
_BODY_FROM = len(_HEADER) + 1
_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[_StoredEntry] = msgspec.json.Decoder(_StoredEntry)


def encode_entry(at: float, provenance: Provenance, change: Change) -> bytes:
    """Encode an entry without its number. Raises `UnencodableChangeError`."""
    try:
        body = _ENCODER.encode(_StoredEntry(at, provenance, change))
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UnencodableChangeError(str(error)) from error
    if len(body) < MIN_COMPRESSED_BYTES:
        return _HEADER + _PLAIN + body
    return _HEADER + _COMPRESSED + zlib.compress(body, _COMPRESSION_LEVEL)


def decode_entry(number: int, data: bytes) -> LogEntry | None:
    """Decode the bytes of entry `number`. Returns None for garbage and for entries of another version."""
    if not data.startswith(_HEADER):
        return None
    body: bytes | None = data[_BODY_FROM:]
    format_byte = data[len(_HEADER) : _BODY_FROM]
    if format_byte == _COMPRESSED:
        body = _decompress(data[_BODY_FROM:])
    elif format_byte != _PLAIN:
        return None
    if body is None:
        return None
    try:
        stored_entry = _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return LogEntry(number, stored_entry.at, stored_entry.provenance, stored_entry.change)


def _decompress(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(data, MAX_DECODED_BYTES)
    except zlib.error:
        return None
    return body if inflater.eof and not inflater.unused_data else None
