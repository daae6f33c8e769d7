"""The sightings that wait to be written: the latest of each object, merged, bounded in number and in size. Pure."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import islice
from typing import NamedTuple, TypeAlias

from gateway.ledger.record_merging import merge_runs, run_from_sighting
from gateway.ledger.sightings import RecordKey, RecordOwner, SeenMessage, SeenRun, SeenThread, Sighting
from gateway.viewer.seen_objects import SeenObject

MAX_PENDING = 10_000
"""Most objects that wait to be written."""

MAX_PENDING_BYTES = 32 << 20
"""Most memory of what waits to be written, in bytes, as far as it is texts and runs."""

_OVERHEAD_BYTES = 500


class SightingId(NamedTuple):
    """Identity of the object of a sighting."""

    kind: type[Sighting]
    key: RecordKey
    object_id: str


class PendingSighting(NamedTuple):
    """A sighting that waits, and the estimate of its memory.

    `ownerless_since` is the time when its thread was first found not to be the user's.
    """

    seen: SeenObject
    size_bytes: int
    ownerless_since: float | None = None


SightingBatch: TypeAlias = dict[SightingId, PendingSighting]


class PendingSightings:
    """The sightings that wait to be written, the oldest first. An object that is seen again waits once."""

    def __init__(self, max_pending: int = MAX_PENDING, max_bytes: int = MAX_PENDING_BYTES) -> None:
        self._max_pending = max_pending
        self._max_bytes = max_bytes
        self._pending: SightingBatch = {}
        self._owners: Counter[RecordOwner] = Counter()
        self.size_bytes = 0

    def __len__(self) -> int:
        """Count the objects."""
        return len(self._pending)

    def has_owner(self, owner: RecordOwner) -> bool:
        """Return whether anything of an owner waits."""
        return owner in self._owners

    def add(self, seen: SeenObject, ownerless_since: float | None = None) -> bool:
        """Add a sighting. Returns False if there is no room for it."""
        sighting_id = sighting_id_from(seen.sighting)
        present = self._pending.get(sighting_id)
        if present is not None:
            merged = merge_seen(present.seen, seen)
            size_bytes = _size_bytes(merged)
            self.size_bytes += size_bytes - present.size_bytes
            since = present.ownerless_since or ownerless_since
            self._pending[sighting_id] = PendingSighting(merged, size_bytes, since)
            return True
        size_bytes = _size_bytes(seen)
        if len(self._pending) >= self._max_pending or self.size_bytes + size_bytes > self._max_bytes:
            return False
        self._pending[sighting_id] = PendingSighting(seen, size_bytes, ownerless_since)
        self._owners[sighting_id.key.owner] += 1
        self.size_bytes += size_bytes
        return True

    def take(self, limit: int) -> SightingBatch:
        """Take the oldest sightings out, at most `limit`."""
        batch: SightingBatch = {}
        for sighting_id in list(islice(self._pending, limit)):
            batch[sighting_id] = self._remove(sighting_id)
        return batch

    def remove_thread(self, thread_id: str) -> None:
        """Remove all sightings of a thread, which is gone."""
        for sighting_id in [each for each in self._pending if each.key.thread_id == thread_id]:
            self._remove(sighting_id)

    def remove_owner(self, owner: RecordOwner) -> None:
        """Remove all sightings of an owner, for whom nothing may be stored any more."""
        if self.has_owner(owner):
            for sighting_id in [each for each in self._pending if each.key.owner == owner]:
                self._remove(sighting_id)

    def _remove(self, sighting_id: SightingId) -> PendingSighting:
        pending = self._pending.pop(sighting_id)
        self.size_bytes -= pending.size_bytes
        owner = sighting_id.key.owner
        self._owners[owner] -= 1
        if not self._owners[owner]:
            del self._owners[owner]
        return pending


def sighting_id_from(sighting: Sighting) -> SightingId:
    """Return the identity of the object of a sighting."""
    return SightingId(type(sighting), sighting.key, object_id_from(sighting))


def object_id_from(sighting: Sighting) -> str:
    """Return the upstream's id of the object of a sighting."""
    match sighting:
        case SeenThread():
            return sighting.key.thread_id
        case SeenRun():
            return sighting.run_id
        case SeenMessage():
            return sighting.message_id


def merge_seen(one: SeenObject, other: SeenObject) -> SeenObject:
    """Merge two sightings of one object into one that says as much."""
    earlier, later = (one, other) if one.sighting.seen_at_ms <= other.sighting.seen_at_ms else (other, one)
    match earlier.sighting, later.sighting:
        case SeenThread() as before, SeenThread() as after:
            titles = [title for title in (before.title, after.title) if title is not None]
            return SeenObject(
                after._replace(
                    created_at_ms=_earliest(before.created_at_ms, after.created_at_ms),
                    title=max(titles, key=lambda title: title.given_at_ms, default=None),
                    opening=after.opening if after.opening is not None else before.opening,
                ),
                fingerprint=later.fingerprint,
            )
        case SeenRun() as before, SeenRun() as after:
            state = merge_runs(run_from_sighting(before), run_from_sighting(after))
            shows_earlier = (state.status, state.seen_at_ms) == (before.status, before.seen_at_ms)
            ended_at_ms = _earliest(before.ended_at_ms, after.ended_at_ms)
            # Without an end, the earliest time of seeing a run that is over stands for it.
            stands_for_end = state.ended_at_ms if ended_at_ms is None else None
            merged = (before if shows_earlier else after)._replace(
                seen_at_ms=state.seen_at_ms if stands_for_end is None else stands_for_end,
                created_at_ms=state.created_at_ms,
                ended_at_ms=ended_at_ms,
                expires_at_ms=state.expires_at_ms,
                assistant_id=state.assistant_id,
                usage=state.usage,
            )
            shown = earlier if shows_earlier else later
            return SeenObject(merged, shown.run, shown.fingerprint)
        case SeenMessage() as before, SeenMessage() as after:
            return SeenObject(
                after._replace(
                    created_at_ms=_earliest(before.created_at_ms, after.created_at_ms),
                    text=after.text if after.text is not None else before.text,
                    is_first=before.is_first or after.is_first,
                ),
                fingerprint=later.fingerprint,
            )
        case _:
            raise TypeError("expected two sightings of one object")


def _earliest(one: int | None, other: int | None) -> int | None:
    return min((time for time in (one, other) if time is not None), default=None)


def _size_bytes(seen: SeenObject) -> int:
    """Estimate the memory of a sighting in bytes."""
    sighting, size_bytes = seen.sighting, _OVERHEAD_BYTES
    if isinstance(sighting, SeenMessage) and sighting.text is not None:
        size_bytes += sys.getsizeof(sighting.text)
    elif isinstance(sighting, SeenThread) and sighting.opening is not None:
        size_bytes += sys.getsizeof(sighting.opening)
    if seen.run is not None:
        size_bytes += 2000 + sys.getsizeof(seen.run.instructions or "")
        size_bytes += sum(len(tool) for tool in seen.run.tools or ())
    return size_bytes
