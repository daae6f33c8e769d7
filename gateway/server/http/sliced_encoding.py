"""The encoding of a large response as JSON in slices, between which the event loop has a turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import orjson

from schema.contract.encoded_json import JsonPieces

MAX_UNSLICED_BYTES = 1 << 20
"""The largest response that is encoded in one go. This and the copies of it take some milliseconds."""

SLICE_BYTES = 1 << 18
"""The JSON that is encoded without a turn of the event loop, or one text if that is longer."""

MAX_ENCODED_AT_ONCE = 4
"""Large responses that are encoded at once, by each of which a turn of the event loop is longer."""

_PIECE_VALUES = 2_000
"""The most values that are encoded by one call, in about a tenth of a millisecond."""

_TEXT_SHIFT = 5
"""A text counts as one value more for each 2^5 of its characters, so 64,000 characters fill a piece."""

_ITEMS_PER_PIECE = 100

_CONTAINERS = frozenset({dict, list})

_Pieces: TypeAlias = "Iterator[bytes | _Pieces]"
"""Pieces of JSON, and in the place of some of them what makes more pieces."""


class SlicedEncoder:
    """Encodes large responses, a few at once: the others wait as the objects that they share with the cache."""

    def __init__(self, max_at_once: int = MAX_ENCODED_AT_ONCE) -> None:
        """Encode nothing yet."""
        self._places = asyncio.Semaphore(max_at_once)

    async def encode(self, value: Any) -> JsonPieces:
        """Wait for a place and encode a value in slices."""
        async with self._places:
            return await encode_in_slices(value)


def encode_value(value: Any) -> bytes:
    """Encode a value of any type as JSON in UTF-8."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # orjson refuses lone surrogates, integers beyond 64 bits and deep nesting, which free JSON may hold.
        pass
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"".join(_encode_pieces(value, max_values=0))


async def encode_in_slices(value: Any) -> JsonPieces:
    """Encode a value as `encode_value` does, with a turn of the event loop after each slice."""
    slices: list[bytes] = []
    pieces: list[bytes] = []
    slice_bytes = 0
    for piece in _encode_pieces(value, _PIECE_VALUES):
        pieces.append(piece)
        slice_bytes += len(piece)
        if slice_bytes > SLICE_BYTES:
            slices.append(b"".join(pieces))
            pieces.clear()
            slice_bytes = 0
            await asyncio.sleep(0)
    if pieces:
        slices.append(b"".join(pieces))
    return JsonPieces(tuple(slices))


def _encode_pieces(value: Any, max_values: int) -> Iterator[bytes]:
    """Encode a value in pieces, without recursion: JSON of an upstream may be nested as deep as Python can recurse."""
    walks = [_walk(value, max_values)]
    while walks:
        piece = next(walks[-1], None)
        if piece is None:
            walks.pop()
        elif isinstance(piece, bytes):
            yield piece
        else:
            walks.append(piece)


def _walk(value: Any, max_values: int) -> _Pieces:
    """Encode a value whole where it is small, else part by part, the items of a list some at a time."""
    if type(value) not in _CONTAINERS or _is_small(value, max_values):
        yield encode_value(value)
    elif isinstance(value, dict):
        separator = b"{"
        for name, member in value.items():
            yield separator + encode_value(name) + b":"
            yield _walk(member, max_values)
            separator = b","
        yield b"}"
    else:
        separator = b"["
        for start in range(0, len(value), _ITEMS_PER_PIECE):
            items = value[start : start + _ITEMS_PER_PIECE]
            for part in [items] if _is_small(items, max_values) else [[item] for item in items]:
                yield separator
                separator = b","
                if len(part) > 1 or _is_small(part[0], max_values):
                    yield encode_value(part)[1:-1]
                else:
                    yield _walk(part[0], max_values)
        yield b"]"


def _is_small(value: Any, max_values: int) -> bool:
    """Whether a value holds few other values, and no long texts. Looks at no more of it than that needs."""
    count, containers = 0, [value]
    while containers and count <= max_values:
        container = containers.pop()
        if type(container) not in _CONTAINERS:
            continue
        members = container.values() if isinstance(container, dict) else container
        count += len(members)
        if count <= max_values:
            containers += [member for member in members if type(member) in _CONTAINERS]
            count += sum(len(member) >> _TEXT_SHIFT for member in members if type(member) is str)
    return count <= max_values
