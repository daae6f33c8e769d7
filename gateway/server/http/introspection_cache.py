"""The responses to introspection, which are the same for every caller."""

from __future__ import annotations

from cachetools import LRUCache

from schema.contract.encoded_json import EncodedJson
from schema.contract.ports import ResponseKey

MAX_RESPONSES = 8
"""Tools send two or three different introspection queries."""


class IntrospectionCache:
    """A response cache for operations that ask for the schema alone, least recently used out first."""

    def __init__(self) -> None:
        """Start with an empty cache."""
        self._responses: LRUCache[ResponseKey, EncodedJson] = LRUCache(MAX_RESPONSES)

    async def find_response(self, key: ResponseKey) -> EncodedJson | None:
        """Return the cached data as JSON."""
        return self._responses.get(key)

    def store_response(self, key: ResponseKey, data: EncodedJson) -> None:
        """Cache the data of an operation."""
        self._responses[key] = data
