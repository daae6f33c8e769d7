"""Raw parts of wire objects, decoded one by one, so that a part of an unknown shape affects no other part."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from schema.graph.scalars import JSON

PartT = TypeVar("PartT")


def decode_part(decoder: msgspec.json.Decoder[PartT], raw: msgspec.Raw) -> PartT | None:
    """Decode a part. Returns None if it has no known shape."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        return None


def unknown_part(raw: msgspec.Raw) -> tuple[str, JSON]:
    """Return the kind and the JSON of a part of an unknown shape. The kind is empty if the part names none.

    A part that is null or missing becomes an empty object, because `raw` is never null in the graph.
    """
    value: Any = msgspec.json.decode(raw)
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else "", JSON({} if value is None else value)
