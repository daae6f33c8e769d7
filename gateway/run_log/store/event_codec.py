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


class _PlacedEntry(_StoredEntry, array_like=True, gc=False):
    position: str | None = None


_CODEC = ValueCodec(b"TE", wire, run_events)
_DECODER: msgspec.json.Decoder[_PlacedEntry] = msgspec.json.Decoder(_PlacedEntry)

FINGERPRINT = _CODEC.fingerprint
"""The same only in programs with the same definitions."""


def encode_entry(at: float, provenance: Provenance, change: Change, position: str | None = None) -> bytes:
    """Encode an entry without its number. Raises `UnencodableValueError`."""
    entry = (at, provenance, change)
    return _CODEC.pack(encode_body(_StoredEntry(*entry) if position is None else _PlacedEntry(*entry, position)))


def decode_entry(number: int, data: bytes) -> LogEntry | None:
    """Decode the bytes of entry `number`. Returns None for garbage and for entries of another version."""
    stored = _CODEC.unpack(data, "", _DECODER)
    if stored is None:
        return None
    return LogEntry(number, stored.at, stored.provenance, stored.change, stored.position)
