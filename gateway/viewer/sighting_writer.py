"""Writes sightings to the ledger behind the requests: merged, in batches, and again from memory until it answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias

from cachetools import TTLCache

from gateway.background_tasks import end_tasks, wait_for_first
from gateway.ledger.ledger_store import LedgerUnavailableError
from gateway.ledger.record_store import MAX_SIGHTINGS, RecordChanges
from gateway.ledger.sightings import RecordOwner, SeenMessage, SeenRun, SeenThread, Sighting
from gateway.telemetry.rare_warning import RareWarning
from gateway.viewer.pending_sightings import PendingSightings, SightingBatch, SightingId, sighting_id_from
from gateway.viewer.seen_objects import SeenObject
from schema.contract.statuses import is_terminal

_logger = logging.getLogger(__name__)

MAX_RESULTS = 2_000
"""Most results of reads and writes whose objects are yet to be taken apart."""

MERGE_SECONDS = 0.02
"""How long a batch waits for more."""

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0
"""Longest pause between two tries, so that a ledger that comes back has what waited within a few seconds."""

OWNERLESS_SECONDS = 20.0
"""How long a sighting waits whose thread is not the user's: its id may be on the way to the ledger."""

KNOWN_SECONDS = 60.0
"""How long what was written is not written again. So long a change by another program may go unnoticed."""

MAX_KNOWN = 50_000

_OBJECTS_PER_SLICE = 20

WriteBatch: TypeAlias = Callable[[Sequence[Sighting]], Awaitable[RecordChanges]]
OnWritten: TypeAlias = Callable[[RecordChanges, SightingBatch], Awaitable[None]]


class SightingWriter:
    """The one writer of a process. Made inside the running loop, begun by `start`, ended by `aclose`.

    `write_batch` raises `LedgerUnavailableError` if the batch is to be written again. `on_written` gets the outcome of
    each batch. A sighting for which there is no room is dropped: the next read of the object brings another.
    """

    def __init__(
        self,
        write_batch: WriteBatch,
        on_written: OnWritten,
        *,
        pending: PendingSightings | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write_batch = write_batch
        self._on_written = on_written
        self._sleep = sleep
        self._now_seconds = now_seconds
        self._results: deque[tuple[RecordOwner, Iterator[SeenObject]]] = deque()
        self._result_owners: Counter[RecordOwner] = Counter()
        self._pending = PendingSightings() if pending is None else pending
        self._in_flight: SightingBatch = {}
        self._known: TTLCache[SightingId, int] = TTLCache(MAX_KNOWN, KNOWN_SECONDS, timer=now_seconds)
        self._dropped_threads: TTLCache[str, None] = TTLCache(MAX_KNOWN, KNOWN_SECONDS, timer=now_seconds)
        self._work_arrived = asyncio.Event()
        self._progress = asyncio.Condition()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._dropped = RareWarning(_logger, "too much waits for the ledger: the record of %s will be late")

    @property
    def pending_count(self) -> int:
        """The number of objects and results that wait."""
        return len(self._results) + len(self._pending) + len(self._in_flight)

    def start(self) -> None:
        """Begin to write."""
        self._worker = asyncio.create_task(self._run())

    def submit(self, owner: RecordOwner, seen: Iterator[SeenObject]) -> None:
        """Take the sightings of one owner's objects, which are read from `seen` later. Never waits and never raises."""
        if self._closed:
            return
        if len(self._results) >= MAX_RESULTS:
            self._dropped.give("a result")
            return
        self._results.append((owner, seen))
        self._result_owners[owner] += 1
        self._work_arrived.set()

    def has_pending(self, owner: RecordOwner) -> bool:
        """Return whether sightings of an owner's objects wait."""
        return (
            owner in self._result_owners
            or self._pending.has_owner(owner)
            or any(sighting_id.key.owner == owner for sighting_id in self._in_flight)
        )

    async def settle(self, owner: RecordOwner, seconds: float) -> None:
        """Wait until nothing of an owner waits, but at most so long."""
        if self.has_pending(owner):
            await wait_for_first(self._wait_until(lambda: not self.has_pending(owner)), self._sleep(seconds))

    async def wait_until_idle(self) -> None:
        """Wait until nothing waits at all."""
        await self._wait_until(lambda: not self.pending_count)

    def drop_thread(self, thread_id: str) -> None:
        """Drop what waits of a thread, which is gone, and write it again if it is seen all the same."""
        self._pending.remove_thread(thread_id)
        self._dropped_threads[thread_id] = None

    def drop_owner(self, owner: RecordOwner) -> None:
        """Drop what waits of an owner, for whom nothing may be stored any more."""
        self._pending.remove_owner(owner)

    async def aclose(self) -> None:
        """Write what waits, if the ledger answers at once, and end the task."""
        self._closed = True
        await end_tasks(self._worker)
        self._put_back()
        await self._take_apart()
        while batch := self._pending.take(MAX_SIGHTINGS):
            try:
                await self._write(batch, is_last=True)
            except LedgerUnavailableError:
                _logger.warning("sightings that never reached the ledger: %d", len(batch) + len(self._pending))
                return

    async def _run(self) -> None:
        while True:
            await self._work_arrived.wait()
            self._work_arrived.clear()
            pause = FIRST_PAUSE_SECONDS
            while self.pending_count:
                self._work_arrived.clear()
                await self._sleep(MERGE_SECONDS)
                await self._take_apart()
                self._in_flight = self._pending.take(MAX_SIGHTINGS)
                try:
                    ownerless = await self._write(self._in_flight)
                except LedgerUnavailableError:
                    self._put_back()
                    await self._sleep(pause)
                    pause = min(2 * pause, MAX_PAUSE_SECONDS)
                    continue
                self._in_flight = {}
                async with self._progress:
                    self._progress.notify_all()
                if ownerless and ownerless == self.pending_count:
                    await wait_for_first(self._work_arrived.wait(), self._sleep(pause))
                    pause = min(2 * pause, MAX_PAUSE_SECONDS)
                else:
                    pause = FIRST_PAUSE_SECONDS

    async def _wait_until(self, is_so: Callable[[], bool]) -> None:
        async with self._progress:
            await self._progress.wait_for(is_so)

    def _put_back(self) -> None:
        """Let a batch wait again. It goes behind what came meanwhile, since the order makes no difference."""
        for pending in self._in_flight.values():
            self._add(pending.seen, pending.ownerless_since)
        self._in_flight = {}

    async def _take_apart(self) -> None:
        """Take the results apart that have arrived, a few objects at a time."""
        count = 0
        while self._results:
            owner, objects = self._results.popleft()
            try:
                for seen in objects:
                    if not self._is_known(seen.sighting):
                        self._add(seen)
                    count += 1
                    if not count % _OBJECTS_PER_SLICE:
                        await asyncio.sleep(0)
            except Exception:
                _logger.exception("an object that passed through could not be read for its record")
            self._result_owners[owner] -= 1
            if not self._result_owners[owner]:
                del self._result_owners[owner]

    def _is_known(self, sighting: Sighting) -> bool:
        """Return whether the same was written a moment ago."""
        known = self._known.get(sighting_id_from(sighting))
        return (
            known is not None
            and known == _fingerprint(sighting)
            and sighting.key.thread_id not in self._dropped_threads
        )

    def _add(self, seen: SeenObject, ownerless_since: float | None = None) -> None:
        if not self._pending.add(seen, ownerless_since):
            self._dropped.give(f"thread {seen.sighting.key.thread_id}")

    async def _write(self, batch: SightingBatch, *, is_last: bool = False) -> int:
        """Write a batch. Returns the number of sightings that wait again, for the owner of their thread.

        If the ledger refuses a batch, its halves are written each for itself, down to the cause.
        """
        if not batch:
            return 0
        try:
            changes = await self._write_batch([pending.seen.sighting for pending in batch.values()])
        except LedgerUnavailableError:
            raise
        except Exception:
            if len(batch) == 1:
                _logger.exception("what was seen of thread %s cannot be stored", next(iter(batch)).key.thread_id)
                return 0
            items = list(batch.items())
            halves = (dict(items[: len(items) // 2]), dict(items[len(items) // 2 :]))
            return sum([await self._write(half, is_last=is_last) for half in halves])
        ownerless = 0 if is_last else self._keep_ownerless(batch, changes)
        for sighting_id, pending in batch.items():
            if sighting_id.key not in changes.unowned:
                known = _fingerprint(pending.seen.sighting)
                if known is not None:
                    self._known[sighting_id] = known
        await self._on_written(changes, batch)
        return ownerless

    def _keep_ownerless(self, batch: SightingBatch, changes: RecordChanges) -> int:
        """Let the sightings wait again whose thread may become the user's. Returns their number."""
        count, now = 0, self._now_seconds()
        for sighting_id, pending in batch.items():
            if sighting_id.key in changes.unowned:
                since = now if pending.ownerless_since is None else pending.ownerless_since
                if now - since < OWNERLESS_SECONDS:
                    self._add(pending.seen, since)
                    count += 1
        return count


def _fingerprint(sighting: Sighting) -> int | None:
    """Return a number for what a sighting says, but for its time. None if the object may say the same again later."""
    match sighting:
        case SeenThread():
            return hash((sighting.created_at_ms, sighting.opening, sighting.title))
        case SeenRun() if is_terminal(sighting.status):
            return hash((sighting.status, sighting.ended_at_ms, sighting.usage))
        case SeenMessage() if sighting.text is not None:
            return hash((sighting.text, sighting.is_first))
        case _:
            return None
