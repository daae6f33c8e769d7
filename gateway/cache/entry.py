"""A cache entry: a result, the versions of the tags that it depends on, and its lifetime. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.cache.policy import Result
from gateway.cache.tags import Tag

CLOCK_SKEW_SECONDS = 5.0
"""How far in the future an entry of another process may be dated; one that is further off is not used."""

WRITE_MARK = "w"
"""The first letter of a tag's version while the tag is being written; nothing read under it is stored."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class CacheEntry:
    """A stored result. `versions` are those of its tags, by name; the tags lie in the value's own group.

    `stored_at` is Unix time in seconds.
    """

    value: Result
    versions: Mapping[str, str]
    stored_at: float
    fresh_seconds: float
    stale_seconds: float

    @property
    def expires_at(self) -> float:
        """Unix time in seconds after which the entry has no use."""
        return self.stored_at + self.fresh_seconds + self.stale_seconds

    def is_fresh(self, now_seconds: float) -> bool:
        """Return whether the entry may answer a read."""
        return -CLOCK_SKEW_SECONDS <= now_seconds - self.stored_at < self.fresh_seconds

    def is_usable(self, now_seconds: float) -> bool:
        """Return whether the entry may answer a read at least when the upstream fails."""
        return self.stored_at - CLOCK_SKEW_SECONDS <= now_seconds < self.expires_at

    def is_current(self, group: str, versions: Mapping[Tag, str]) -> bool:
        """Return whether none of its tags has changed; a tag without a known version counts as changed."""
        for name, version in self.versions.items():  # noqa: SIM110 # as in `may_be_stored`
            if versions.get(Tag(group, name)) != version:
                return False
        return True


def may_be_stored(versions: Iterable[str]) -> bool:
    """Return whether a value read under these versions may be stored: not while one of its tags is being written."""
    for version in versions:  # noqa: SIM110 # runs for every result, and a generator takes three times as long
        if version.startswith(WRITE_MARK):
            return False
    return True
