"""What is known about one key of a batch on its way through the cache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from gateway.cache.cache_keys import Key, Place, place_of
from gateway.cache.entry import Entry
from gateway.cache.policy import Answer
from gateway.cache.single_flight import FlightKey
from gateway.cache.tags import Tag, Tags, candidate_tags
from gateway.cache.version_store import Known

Fetch: TypeAlias = Callable[..., Awaitable[Sequence[Any]]]
"""Asks the upstream for some keys: one answer for each, in their order. One for lists takes `land` too."""


@dataclass(slots=True)
class Wish:
    """One key of a batch: `held` is what memory has, `stale` what may answer when the upstream fails.

    `versions` are those of its tags when the read began; `is_known` is false while, or because, they are not.
    """

    key: Key
    place: Place
    tags: Tags
    held: Entry | None = None
    is_known: bool = False
    versions: dict[Tag, str] = field(default_factory=dict)
    stale: Answer | None = None

    @classmethod
    def of(cls, key: Key) -> Wish:
        """Begin with a key."""
        return cls(key, place_of(key), candidate_tags(key))

    def note(self, known: Known | None) -> None:
        """Note the versions that a store knows: all of them, or nothing is known."""
        versions: Mapping[Tag, str] = {} if known is None else known.versions
        self.is_known = all(tag in versions for tag in self.tags)
        self.versions = {tag: versions[tag] for tag in self.tags} if self.is_known else {}

    def flight(self, scope: str) -> FlightKey:
        """Name the call that would answer it: another read's too, if no write came between."""
        return FlightKey(scope, self.place, tuple(self.versions[tag] for tag in self.tags))


class Landed(NamedTuple):
    """An answer of the upstream, and whether another process asked for it."""

    answer: Any
    by_another_process: bool


@dataclass(frozen=True, slots=True)
class Call:
    """How the upstream is asked: through whom, at which moment the read began, and until when it waits for Redis.

    `land` is told of each answer as soon as it is here, where somebody wants to know; then the fetch can land, too.
    """

    fetch: Fetch
    moment: int
    until: float
    land: Callable[[Any, Any], None] | None = None

    def ask(self, keys: Sequence[Any], land: Callable[[Any, Any], None] | None) -> Awaitable[Sequence[Any]]:
        """Ask for some keys; `land` may be told of each answer before all are here."""
        return self.fetch(keys) if self.land is None else self.fetch(keys, land=land)
