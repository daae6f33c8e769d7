"""What is known about one key of a batch on its way through the cache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from gateway.cache.cache_keys import CacheKey, Key, to_cache_key
from gateway.cache.entry import CacheEntry
from gateway.cache.policy import Answer
from gateway.cache.single_flight import FlightKey
from gateway.cache.tags import Tag, Tags, candidate_tags
from gateway.cache.version_store import KnownVersions

Fetch: TypeAlias = Callable[..., Awaitable[Sequence[Any]]]
"""Asks the upstream for some keys: one answer for each, in their order. One for lists takes `on_result` too."""


@dataclass(slots=True)
class CacheLookup:
    """One key of a batch: `held` is what memory has, `stale` what may answer when the upstream fails.

    `versions` are those of its tags when the read began; `is_known` is false while, or because, they are not.
    """

    key: Key
    place: CacheKey
    tags: Tags
    held: CacheEntry | None = None
    is_known: bool = False
    versions: dict[Tag, str] = field(default_factory=dict)
    stale: Answer | None = None

    @classmethod
    def of(cls, key: Key) -> CacheLookup:
        """Begin with a key."""
        return cls(key, to_cache_key(key), candidate_tags(key))

    def note(self, known: KnownVersions | None) -> None:
        """Note the versions that a store knows: all of them, or nothing is known."""
        versions: Mapping[Tag, str] = {} if known is None else known.versions
        self.is_known = all(tag in versions for tag in self.tags)
        self.versions = {tag: versions[tag] for tag in self.tags} if self.is_known else {}

    def flight(self, scope: str) -> FlightKey:
        """Name the call that would answer it: another read's too, if no write came between."""
        return FlightKey(scope, self.place, tuple(self.versions[tag] for tag in self.tags))


class UpstreamResult(NamedTuple):
    """An answer of the upstream, and whether another process asked for it."""

    answer: Any
    by_another_process: bool


@dataclass(frozen=True, slots=True)
class UpstreamRead:
    """How the upstream is asked: through whom, at which moment the read began, and until when it waits for Redis.

    `on_result`, where given, gets each answer as soon as it arrives; then the fetch takes it, too.
    """

    fetch: Fetch
    moment: int
    until: float
    on_result: Callable[[Any, Any], None] | None = None

    def ask(self, keys: Sequence[Any], on_result: Callable[[Any, Any], None] | None) -> Awaitable[Sequence[Any]]:
        """Ask for some keys; `on_result` may be told of each answer before all are here."""
        return self.fetch(keys) if self.on_result is None else self.fetch(keys, on_result=on_result)
