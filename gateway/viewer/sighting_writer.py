"""Writes sightings to the ledger behind the requests: merged, in batches, and again from memory until it answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from gateway.background_tasks import end_tasks, wait_for_first
from gateway.ledger.ledger_store import LedgerUnavailableError
from gateway.ledger.record_store import MAX_SIGHTINGS, RecordChanges, WrittenRecord
from gateway.ledger.sightings import RecordKey, RecordOwner, SeenMessage, Sighting
from gateway.telemetry.rare_warning import RareWarning
from gateway.viewer.known_objects import KnownObjects
from gateway.viewer.passed_reads import PassedRead, messages_in_reads, new_in_read
from gateway.viewer.pending_sightings import PendingSightings, SightingBatch
from gateway.viewer.seen_objects import PassedObject, SeenObject

_logger = logging.getLogger(__name__)

MAX_RESULTS = 2_000
"""Most results of reads and writes whose objects are yet to be taken apart."""

MERGE_SECONDS = 0.02
"""How long a batch waits for more."""

READ_SECONDS = 0.2
"""How long the results of reads wait before, since most say nothing new. Nobody waits so long for their own."""

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0
"""Longest pause between two tries, so that a ledger that comes back has what waited within a few seconds."""

OWNERLESS_SECONDS = 20.0
"""How long a sighting waits whose thread is not the user's: its id may be on the way to the ledger."""

_RESULTS_AT_ONCE = 100
_OBJECTS_PER_SLICE = 20

WriteBatch: TypeAlias = Callable[[Sequence[Sighting]], Awaitable[RecordChanges]]
FindWritten: TypeAlias = Callable[[Mapping[RecordKey, Collection[str]]], Awaitable[Mapping[RecordKey, WrittenRecord]]]
OnWritten: TypeAlias = Callable[[RecordChanges, SightingBatch], Awaitable[None]]


class SightingWriter:
    """The one writer of a process. Made inside the running loop, begun by `start`, ended by `aclose`.

    `write_batch` raises `LedgerUnavailableError` if the batch is to be written again. `on_written` gets the outcome of
    each batch. `find_written` finds out what is written, so that only what a read says beyond that is written. A
    sighting for which there is no room is dropped: the next read of the object brings another.
    """

    def __init__(
        self,
        write_batch: WriteBatch,
        on_written: OnWritten,
        *,
        find_written: FindWritten,
        pending: PendingSightings | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write_batch = write_batch
        self._on_written = on_written
        self._find_written = find_written
        self._sleep = sleep
        self._now_seconds = now_seconds
        self._results: deque[tuple[RecordOwner, Iterator[SeenObject] | PassedRead]] = deque()
        self._result_owners: Counter[RecordOwner] = Counter()
        self._pending = PendingSightings() if pending is None else pending
        self._in_flight: SightingBatch = {}
        self._known = KnownObjects(now_seconds=now_seconds)
        self._dropped_in_flight: set[str] = set()
        self._gone: set[str] = set()
        self._work_arrived = asyncio.Event()
        self._urged = asyncio.Event()
        self._waiters = 0
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
        if self._submit(owner, seen):
            self._urged.set()

    def submit_read(self, read: PassedRead) -> None:
        """Take what was read, unless all of it was written a moment ago. It is written together with more."""
        if not self._known.has_all(read.owner, read.objects):
            self._submit(read.owner, read)

    def _submit(self, owner: RecordOwner, result: Iterator[SeenObject] | PassedRead) -> bool:
        if self._closed:
            return False
        if len(self._results) >= MAX_RESULTS:
            self._dropped.give("a result")
            return False
        self._results.append((owner, result))
        self._result_owners[owner] += 1
        self._work_arrived.set()
        if len(self._results) >= MAX_RESULTS / 4:
            self._urged.set()
        return True

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
        for index, (owner, result) in enumerate(self._results):
            if isinstance(result, PassedRead) and result.thread_id == thread_id:
                self._results[index] = (owner, iter(()))
        self._gone.add(thread_id)
        self.forget_written(thread_id)

    def forget_written(self, thread_id: str) -> None:
        """Write what is seen of a thread again, even if the same was written a moment ago."""
        self._known.drop_thread(thread_id)
        self._dropped_in_flight.add(thread_id)

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
                await self._wait_for_more()
                self._dropped_in_flight.clear()
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

    async def _wait_for_more(self) -> None:
        """Wait for what is written with the next batch, unless there is enough for one."""
        if len(self._pending) >= MAX_SIGHTINGS:
            return
        if not self._urged.is_set() and not self._waiters:
            await wait_for_first(self._urged.wait(), self._sleep(READ_SECONDS))
        self._urged.clear()
        await self._sleep(MERGE_SECONDS)

    async def _wait_until(self, is_so: Callable[[], bool]) -> None:
        self._waiters += 1
        self._urged.set()
        try:
            async with self._progress:
                await self._progress.wait_for(is_so)
        finally:
            self._waiters -= 1

    def _put_back(self) -> None:
        """Let a batch wait again. It goes behind what came meanwhile, since the order makes no difference."""
        for pending in self._in_flight.values():
            self._add(pending.seen, pending.ownerless_since)
        self._in_flight = {}

    async def _take_apart(self) -> None:
        """Take the results apart that have arrived, a few objects at a time."""
        count = 0
        while some := list(islice(self._results, _RESULTS_AT_ONCE)):
            self._gone.clear()
            written = await self._find_written_in([each for _, each in some if isinstance(each, PassedRead)])
            for owner, result in some:
                try:
                    for seen in self._to_sightings(result, written):
                        self._add(seen)
                        count += 1
                        if not count % _OBJECTS_PER_SLICE:
                            await asyncio.sleep(0)
                except Exception:
                    _logger.exception("an object that passed through could not be read for its record")
                self._results.popleft()
                self._result_owners[owner] -= 1
                if not self._result_owners[owner]:
                    del self._result_owners[owner]

    def _to_sightings(
        self, result: Iterator[SeenObject] | PassedRead, written: Mapping[RecordKey, WrittenRecord]
    ) -> Iterator[SeenObject]:
        if isinstance(result, PassedRead):
            if result.thread_id in self._gone:
                return iter(())
            return new_in_read(result, written, self._is_known, self._on_found)
        return result

    async def _find_written_in(self, reads: Sequence[PassedRead]) -> Mapping[RecordKey, WrittenRecord]:
        """Find the records that reads tell of. Without an answer, everything in them is written."""
        try:
            return await self._find_written(messages_in_reads(reads)) if reads else {}
        except LedgerUnavailableError:
            return {}
        except Exception:
            _logger.exception("what is kept of objects that passed through could not be found out")
            return {}

    def _is_known(self, key: RecordKey, passed: PassedObject) -> bool:
        """Return whether all that an object says was written a moment ago."""
        return self._known.has_all(key.owner, (passed,))

    def _on_found(self, key: RecordKey, object_id: str, fingerprint: int, *, is_first: bool) -> None:
        """Remember an object that is written, unless its thread was dropped meanwhile."""
        if key.thread_id not in self._dropped_in_flight:
            self._known.add(key, object_id, fingerprint, is_first=is_first)

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
        self._record_known(batch, changes)
        await self._on_written(changes, batch)
        return ownerless

    def _record_known(self, batch: SightingBatch, changes: RecordChanges) -> None:
        """Remember what was written, but for threads that were dropped meanwhile."""
        for sighting_id, pending in batch.items():
            key, sighting, fingerprint = sighting_id.key, pending.seen.sighting, pending.seen.fingerprint
            if fingerprint is not None and key not in changes.unowned:
                is_first = isinstance(sighting, SeenMessage) and sighting.is_first
                self._on_found(key, sighting_id.object_id, fingerprint, is_first=is_first)

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
