"""Merges pieces of streamed JSON as the official clients do. Pure.

Source: `accumulate_delta` of the Python client, https://github.com/openai/openai-python.
"""

from __future__ import annotations

from typing import Any

_WHOLE_TEXTS = frozenset({"type", "id", "file_id", "url", "detail"})
"""Texts that come whole. All other texts are appended piece by piece."""


def merge_delta(known: dict[str, Any], piece: dict[str, Any]) -> dict[str, Any]:
    """Return the known fields with a piece merged into them.

    Texts are appended, and items of lists are merged by their `index`. Any other value is replaced.
    """
    merged = dict(known)
    for name, value in piece.items():
        before = merged.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[name] = merge_delta(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            merged[name] = merge_items(before, value)
        elif isinstance(before, str) and isinstance(value, str) and name not in _WHOLE_TEXTS:
            merged[name] = before + value
        elif value is not None:
            merged[name] = value
    return merged


def merge_items(known: list[Any], pieces: list[Any]) -> list[Any]:
    """Return the items of a list with pieces merged into them. A piece without a known `index` is a new item."""
    merged = list(known)
    for piece in pieces:
        position = next((at for at, item in enumerate(merged) if _continues(item, piece)), None)
        if position is None:
            merged.append(piece)
        elif merged[position] != piece or "start_index" not in piece:  # some servers send an annotation twice
            merged[position] = merge_delta(merged[position], piece)
    return merged


def without_empty_fields(value: Any, *left_out: str) -> Any:
    """Drop fields that are null, empty texts, empty lists or empty objects, and those that are `left_out`."""
    if isinstance(value, dict):
        fields = {name: without_empty_fields(part, *left_out) for name, part in value.items() if name not in left_out}
        return {name: part for name, part in fields.items() if part not in (None, "", [], {})}
    return [without_empty_fields(part, *left_out) for part in value] if isinstance(value, list) else value


def _continues(item: Any, piece: Any) -> bool:
    """Return whether a piece belongs to an item: their indexes are the same, and no position in a text differs."""
    if not (isinstance(item, dict) and isinstance(piece, dict)) or type(piece.get("index")) is not int:
        return False
    spans = ("index", "start_index", "end_index")
    return "index" in item and all(item[name] == piece[name] for name in spans if name in item and name in piece)
