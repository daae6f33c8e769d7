"""Raw parts of wire objects: the kind of a part, and what is shown of a part of an unknown kind or shape."""

from __future__ import annotations

from typing import Any

import msgspec

from schema.contract.tolerant_decoder import parse_raw
from schema.graph.scalars import JSON


def part_kind(part: Any, *kinds: str) -> str:
    """Return the kind of a decoded part. If it names none, its only field that is named like one of `kinds` tells it.

    Returns "" for a part of which neither is known, or that is None.
    """
    if part is None or part.type:
        return "" if part is None else str(part.type)
    present = [kind for kind in kinds if getattr(part, kind) is not None]
    return present[0] if len(present) == 1 else ""


def unknown_part(raw: msgspec.Raw) -> tuple[str, JSON]:
    """Return the kind and the JSON of a part of an unknown shape. The kind is empty if the part names none.

    A part that is null or missing becomes an empty object, because `raw` is never null in the graph.
    """
    value = parse_raw(raw)
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else "", JSON({} if value is None else value)


def unknown_fields(raw: msgspec.Raw, known: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the fields of a part that its wire object does not have, without nulls."""
    value = parse_raw(raw)
    sent = value.items() if isinstance(value, dict) else ()
    return {name: field for name, field in sent if name not in known.__struct_fields__ and field is not None}
