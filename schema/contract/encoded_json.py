"""JSON that is encoded already: short JSON as one text, long JSON in pieces that are never joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class JsonPieces:
    """The bytes of a long JSON text, in pieces. One copy of 15 MB takes an event loop up to 40 ms."""

    pieces: tuple[bytes, ...]

    def __len__(self) -> int:
        """Count the bytes."""
        return sum(map(len, self.pieces))


EncodedJson: TypeAlias = bytes | JsonPieces


def wrap_json(before: bytes, encoded: EncodedJson, after: bytes) -> EncodedJson:
    """Put bytes before and after JSON, without a copy of long JSON."""
    if isinstance(encoded, bytes):
        return b"%b%b%b" % (before, encoded, after)
    return JsonPieces((before, *encoded.pieces, after))


def to_pieces(encoded: EncodedJson) -> tuple[bytes, ...]:
    """Return the pieces of JSON in their order, one of short JSON."""
    return (encoded,) if isinstance(encoded, bytes) else encoded.pieces
