"""The version store: versions of tags, and values that processes share. One interface, in memory and in Redis."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cachetools import FIFOCache

from gateway.cache.cache_keys import CacheKey
from gateway.cache.tags import Tag

MAX_LOCAL_TAGS = 500_000


@dataclass(frozen=True, slots=True)
class KnownVersions:
    """The result of a look-up: a version for each tag that could be read, and the bytes of the values found."""

    versions: Mapping[Tag, str]
    values: Mapping[CacheKey, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A value to store: its bytes, and the time after which it may be dropped."""

    data: bytes
    ttl_seconds: float


class VersionStore(Protocol):
    """Versions and values by scope.

    It never raises: after a failure, versions are unknown or values are not stored. `deadline` is a time of the
    running loop after which the caller does not wait.
    """

    @property
    def holds_values(self) -> bool:
        """Whether the store can hold values at all."""

    async def look_up(
        self, scope: str, tags: Collection[Tag], cache_keys: Collection[CacheKey], deadline: float
    ) -> KnownVersions | None:
        """Read versions and values together; a tag without a version gets one. Returns None if nothing is known."""

    async def store_values(self, scope: str, values: Mapping[CacheKey, StoredValue]) -> None:
        """Store values for all processes."""

    async def remove_values(self, scope: str, cache_keys: Collection[CacheKey]) -> None:
        """Remove values, if the store can be reached."""

    async def begin_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Mark tags as being written: until `end_write`, no value that depends on them is stored."""

    async def end_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Replace the versions of tags; once it returns, no read in this process sees a value from before the write."""


class LocalVersionStore:
    """The store of a gateway that is one process. A version that was evicted comes back as another."""

    holds_values = False

    def __init__(self, max_tags: int = MAX_LOCAL_TAGS) -> None:
        # First in, first out: to keep the order of use would cost more than the rest of a look-up.
        self._versions: FIFOCache[tuple[str, Tag], str] = FIFOCache(max_tags)
        self._created = 0

    async def look_up(
        self,
        scope: str,
        tags: Collection[Tag],
        cache_keys: Collection[CacheKey],  # noqa: ARG002 # the entry store has the values
        deadline: float,  # noqa: ARG002 # nothing here takes time
    ) -> KnownVersions:
        """Read versions."""
        return KnownVersions({tag: self._get_version(scope, tag) for tag in tags})

    async def store_values(self, scope: str, values: Mapping[CacheKey, StoredValue]) -> None:
        """Store nothing: the entry store already has the values."""

    async def remove_values(self, scope: str, cache_keys: Collection[CacheKey]) -> None:
        """Remove nothing: the entry store has the values."""

    async def begin_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Do nothing: a process that dies loses its values too."""

    async def end_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Remove versions, so that the next read creates others."""
        for tag in tags:
            self._versions.pop((scope, tag), None)

    def _get_version(self, scope: str, tag: Tag) -> str:
        try:
            return self._versions[scope, tag]
        except KeyError:
            self._created += 1
            version = self._versions[scope, tag] = f"v{self._created}"
            return version
