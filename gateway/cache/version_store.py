"""Where versions of tags live, and values that processes share: one small interface, in memory and in Redis."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.cache.cache_keys import CacheKey
from gateway.cache.tags import Tag

MAX_LOCAL_TAGS = 500_000


@dataclass(frozen=True, slots=True)
class KnownVersions:
    """What a store knows: a version for each tag that it could read, and the bytes of the values that it has."""

    versions: Mapping[Tag, str]
    values: Mapping[CacheKey, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A value to be kept: its bytes, and after how long nobody needs them."""

    data: bytes
    ttl_seconds: float


class VersionStore(Protocol):
    """Versions and values by principal. Never raises: what fails is not known, or not kept.

    `until` is a time of the running loop after which the caller does not wait.
    """

    @property
    def holds_values(self) -> bool:
        """Whether values can be found here at all."""

    async def look_up(
        self, scope: str, tags: Collection[Tag], places: Collection[CacheKey], until: float
    ) -> KnownVersions | None:
        """Read versions and values in one go; a tag without a version gets one. None when nothing is known."""

    async def keep(self, scope: str, values: Mapping[CacheKey, StoredValue]) -> None:
        """Keep values for all processes."""

    async def begin_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Mark tags as being written: until `end_write`, nothing that depends on them is kept."""

    async def end_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Give tags new versions; once it returns, nobody in this process sees a value of before the write."""


class LocalVersionStore:
    """The store of a gateway that is one process. A version that is forgotten comes back as another."""

    holds_values = False

    def __init__(self, max_tags: int = MAX_LOCAL_TAGS) -> None:
        self._max_tags = max_tags
        self._versions: OrderedDict[tuple[str, Tag], str] = OrderedDict()
        self._made = 0

    async def look_up(
        self,
        scope: str,
        tags: Collection[Tag],
        places: Collection[CacheKey],  # noqa: ARG002 # values are the memory tier's
        until: float,  # noqa: ARG002 # nothing here takes time
    ) -> KnownVersions:
        """Read versions."""
        return KnownVersions({tag: self._version(scope, tag) for tag in tags})

    async def keep(self, scope: str, values: Mapping[CacheKey, StoredValue]) -> None:
        """Keep nothing: the memory tier already does."""

    async def begin_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Do nothing: a process that dies takes its values along."""

    async def end_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Forget versions, so that the next read makes others."""
        for tag in tags:
            self._versions.pop((scope, tag), None)

    def _version(self, scope: str, tag: Tag) -> str:
        version = self._versions.get((scope, tag))
        if version is None:
            self._made += 1
            version = self._versions[scope, tag] = f"v{self._made}"
            if len(self._versions) > self._max_tags:
                self._versions.popitem(last=False)
        else:
            self._versions.move_to_end((scope, tag))
        return version
