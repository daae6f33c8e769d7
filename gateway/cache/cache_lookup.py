"""The state of one key of a batch while it is read through the cache, and the parameters of an upstream read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gateway.cache.cache_keys import CacheKey, to_cache_key
from gateway.cache.entry import CacheEntry
from gateway.cache.policy import Result
from gateway.cache.single_flight import FlightKey
from gateway.cache.tags import Tag, Tags, candidate_tags
from gateway.cache.version_store import KnownVersions
from schema.contract.kinds import Key

Fetch: TypeAlias = Callable[..., Awaitable[Sequence[Any]]]
"""Reads keys from the upstream: one result for each, in order. A fetch of lists takes `on_result` too."""


@dataclass(slots=True)
class CacheLookup:
    """One key of a batch.

    `memory_entry` is the key's entry in memory, `stale_result` a result that may be used if the upstream fails.
    `versions` are those that the key's tags had when the read began; empty if `has_versions` is false.
    """

    key: Key
    cache_key: CacheKey
    tags: Tags
    memory_entry: CacheEntry | None = None
    has_versions: bool = False
    versions: dict[Tag, str] = field(default_factory=dict)
    stale_result: Result | None = None

    @classmethod
    def for_key(cls, key: Key) -> CacheLookup:
        """Start the look-up of a key."""
        return cls(key, to_cache_key(key), candidate_tags(key))

    def set_versions(self, known: KnownVersions | None) -> None:
        """Set the versions of the key's tags: all of them, or none if one is unknown."""
        versions: Mapping[Tag, str] = {} if known is None else known.versions
        self.has_versions = all(tag in versions for tag in self.tags)
        self.versions = {tag: versions[tag] for tag in self.tags} if self.has_versions else {}

    def flight_key(self, scope: str) -> FlightKey:
        """Return the key of the flight that reads it; two reads have the same one if no write came between them."""
        return FlightKey(scope, self.cache_key, tuple(self.versions[tag] for tag in self.tags))


@dataclass(frozen=True, slots=True)
class UpstreamRead:
    """The parameters of an upstream read: its fetch, the read's number, and the deadline of waiting for Redis.

    `on_result`, if any, gets each result as soon as it arrives; in this case the fetch takes one as well.
    """

    fetch: Fetch
    read_number: int
    redis_deadline: float
    on_result: Callable[[Any, Any], None] | None = None

    def fetch_keys(self, keys: Sequence[Any], on_result: Callable[[Any, Any], None] | None) -> Awaitable[Sequence[Any]]:
        """Fetch keys; a fetch of lists calls `on_result` for a result that arrives before the others."""
        return self.fetch(keys) if self.on_result is None else self.fetch(keys, on_result=on_result)
