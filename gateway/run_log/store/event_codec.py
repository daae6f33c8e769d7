"""The codec of log entries. Any other bytes decode to None, never to an error. Pure."""

from __future__ import annotations

import msgspec

from gateway.redis.value_codec import ValueCodec, encode_body
from gateway.run_log.store.event_log import LogEntry
from schema.contract import run_events, wire
from schema.contract.run_events import Change, Provenance


class _StoredEntry(msgspec.Struct, array_like=True, gc=False):
    at: float
    provenance: Provenance
    change: Change


_CODEC = ValueCodec(b"TE", wire, run_events)
_DECODER: msgspec.json.Decoder[_StoredEntry] = msgspec.json.Decoder(_StoredEntry)

FINGERPRINT = _CODEC.fingerprint
"""The same only in programs with the same definitions."""


def encode_entry(at: float, provenance: Provenance, change: Change) -> bytes:
    """Encode an entry without its number. Raises `UnencodableValueError`."""
    return _CODEC.pack(encode_body(_StoredEntry(at, provenance, change)))


def decode_entry(number: int, data: bytes) -> LogEntry | None:
    """Decode the bytes of entry `number`. Returns None for garbage and for entries of another version."""
    stored = _CODEC.unpack(data, "", _DECODER)
    return None if stored is None else LogEntry(number, stored.at, stored.provenance, stored.change)
