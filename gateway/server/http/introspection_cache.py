"""The responses to introspection, which are the same for every caller."""

from __future__ import annotations

from collections import OrderedDict

from schema.contract.ports import ResponseKey

MAX_RESPONSES = 8
"""Tools send two or three different introspection queries."""


class IntrospectionCache:
    """A response cache for operations that ask for the schema alone, least recently used out first."""

    def __init__(self) -> None:
        """Start with an empty cache."""
        self._responses: OrderedDict[ResponseKey, bytes] = OrderedDict()

    async def find_response(self, key: ResponseKey) -> bytes | None:
        """Return the cached data as JSON."""
        data = self._responses.get(key)
        if data is not None:
            self._responses.move_to_end(key)
        return data

    def store_response(self, key: ResponseKey, data: bytes) -> None:
        """Cache the data of an operation."""
        self._responses[key] = data
        if len(self._responses) > MAX_RESPONSES:
            self._responses.popitem(last=False)
