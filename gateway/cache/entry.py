"""One cached answer: the value, what it depends on, and how long it may be used. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.cache.policy import Answer
from gateway.cache.tags import Tag

CLOCK_SKEW_SECONDS = 5.0
"""How far in the future another process may have written; what is further off is not believed."""

BEING_WRITTEN = "w"
"""How the version of a tag begins while a write is under way: under it nothing is kept."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class CacheEntry:
    """An answer as it is kept. `versions` are those of its tags, by name; the tags lie in the value's own group.

    `stored_at` is Unix time in seconds. An entry that is fresh for 0 seconds was only handed over.
    """

    value: Answer
    versions: Mapping[str, str]
    stored_at: float
    fresh_seconds: float
    stale_seconds: float

    @property
    def expires_at(self) -> float:
        """When it is of no use any more, in Unix seconds."""
        return self.stored_at + self.fresh_seconds + self.stale_seconds

    def is_fresh(self, now_seconds: float) -> bool:
        """Tell whether it still answers."""
        return -CLOCK_SKEW_SECONDS <= now_seconds - self.stored_at < self.fresh_seconds

    def is_usable(self, now_seconds: float) -> bool:
        """Tell whether it may at least serve when the upstream fails."""
        return self.stored_at - CLOCK_SKEW_SECONDS <= now_seconds < self.expires_at

    def holds(self, group: str, versions: Mapping[Tag, str]) -> bool:
        """Tell whether none of its tags has changed; one whose version is unknown may have."""
        for name, version in self.versions.items():  # noqa: SIM110 # as in `may_be_kept`
            if versions.get(Tag(group, name)) != version:
                return False
        return True


def may_be_kept(versions: Iterable[str]) -> bool:
    """Tell whether a value read under these versions may be kept: not while one of its tags is being written."""
    for version in versions:  # noqa: SIM110 # asked of every answer, and a generator takes three times as long
        if version.startswith(BEING_WRITTEN):
            return False
    return True
