"""Raw parts of wire objects, decoded one by one: a part of an unknown shape costs only itself."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from schema.graph.scalars import JSON

PartT = TypeVar("PartT")


def decode_part(decoder: msgspec.json.Decoder[PartT], raw: msgspec.Raw) -> PartT | None:
    """Decode a part; None for one that has not the shape of any kind that is known."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        return None


def unknown_part(raw: msgspec.Raw) -> tuple[str, JSON]:
    """Give the kind and the JSON of a part that is not understood; the kind is empty where it names none.

    A part that is null, or missing, is an empty object: `raw` is never null in the graph.
    """
    value: Any = msgspec.json.decode(raw)
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else "", JSON({} if value is None else value)
