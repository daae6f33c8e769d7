"""The records of one process: written behind the requests, read within a deadline, and their changes published."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from gateway.background_tasks import BackgroundTasks
from gateway.ledger.ledger_link import OPEN_SECONDS, LedgerLink
from gateway.ledger.ledger_store import LedgerUnavailableError
from gateway.ledger.record_batch import is_message_id
from gateway.ledger.record_store import MAX_UNFINISHED, RecordChanges, RecordStore, WrittenRecord
from gateway.ledger.removal_marks import MARK_REACH_MS
from gateway.ledger.sightings import RecordKey, RecordOwner, RunRecordKey, SeenRun, SeenThread, Sighting
from gateway.run_log.viewer_hub import ViewerHub
from gateway.viewer.missing_objects import MissingObjects
from gateway.viewer.passed_reads import PassedRead
from gateway.viewer.pending_sightings import SightingBatch, SightingId
from gateway.viewer.record_owners import RecordOwners
from gateway.viewer.removal_writer import DeletedKey, Removal, RemovalWriter
from gateway.viewer.seen_objects import SeenObject, seen_in_changes
from gateway.viewer.sighting_writer import SightingWriter
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import MessageKey, RunKey, ThreadKey
from schema.contract.run_events import Change, StatusChange, ThreadChange, ThreadRemovedChange
from schema.contract.thread_records import RecordUpdate, ThreadRecord

SETTLE_SECONDS = 0.25
"""How long a viewer's read waits for what the same viewer did just before through this process."""

OVERLAP_MS = 60_000
"""How much the clocks of two gateways may differ."""

FINISH_SECONDS = 60.0
"""How often removals are looked for that other gateways did not finish."""

_logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


class RecordKeeper:
    """The one keeper of a process. Made inside the running loop, begun by `start`, ended by `aclose`."""

    def __init__(
        self,
        link: LedgerLink,
        hub: ViewerHub,
        owners: RecordOwners,
        *,
        unix_seconds: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._hub = hub
        self._unix_seconds = unix_seconds
        self.owners = owners
        self.writer = SightingWriter(
            self._write_sightings, self._publish_written, find_written=self._find_written, sleep=sleep
        )
        self.missing = MissingObjects(link, self._publish_gone, self._publish_forgotten)
        self._updating: Counter[RecordKey] = Counter()
        self._withheld: set[RecordKey] = set()
        self._tasks = BackgroundTasks()
        self._sleep = sleep
        self.removals = RemovalWriter(self._write_removal, sleep=sleep)

    def start(self) -> None:
        """Begin to write, and to finish the removals of others."""
        self.writer.start()
        self._tasks.start(self._finish_removals())

    async def aclose(self) -> None:
        """Write what waits, if the ledger answers."""
        await self._tasks.aclose()
        await self.missing.aclose()
        await self.removals.aclose()
        await self.writer.aclose()

    def observe(self, owner: RecordOwner, seen: Iterator[SeenObject]) -> None:
        """Take sightings of an owner's objects. Never waits and never raises."""
        self.writer.submit(owner, seen)

    def observe_read(self, owner: RecordOwner, key: Any, result: object, seen_at_ms: int) -> None:
        """Take sightings of what the upstream showed for a key, unless they say nothing new. Never waits."""
        self.writer.submit_read(PassedRead(owner, key, result, seen_at_ms))

    def observe_changes(self, scope: str, key: RunKey | ThreadKey, changes: Sequence[Change]) -> None:
        """Take sightings in the changes of a run or thread that this process records. Never raises."""
        owner = self.owners.find_owner(scope)
        if owner is not None:
            self.writer.submit(owner, seen_in_changes(owner, key, list(changes), self.now_ms()))

    async def read(self, owner: RecordOwner, work: Callable[[RecordStore], Awaitable[ResultT]]) -> ResultT:
        """Read records of an owner, behind what they did before.

        Raises:
            GatewayError: `LEDGER_UNAVAILABLE`; the ledger did not answer in time.
        """
        await self.writer.settle(owner, SETTLE_SECONDS)
        return await self._call(work)

    async def update_record(self, key: RecordKey, update: RecordUpdate) -> ThreadRecord | None:
        """Change a record, and publish it once, with what was seen of it just before. Returns None if there is none.

        Raises:
            GatewayError: `LEDGER_UNAVAILABLE`; the ledger did not answer in time.
        """
        record: ThreadRecord | None = None
        self._updating[key] += 1
        try:
            await self.writer.settle(key.owner, SETTLE_SECONDS)
            record = await self._call(lambda records: records.update_record(key, update, self.now_ms()))
        finally:
            self._updating[key] -= 1
            if not self._updating[key]:
                del self._updating[key]
            is_withheld = key in self._withheld and key not in self._updating
            if is_withheld:
                self._withheld.discard(key)
                self._tasks.start(self._publish_records(frozenset({key}), {}))
        if record is not None and not is_withheld:
            await self._publish(key.owner, [ThreadChange(key.thread_id, record)])
        return record

    async def record_thread(self, seen: SeenThread) -> bool:
        """Record a thread at once. Returns whether it could be: it may be gone, or not be the user's.

        Raises:
            GatewayError: `LEDGER_UNAVAILABLE`; the ledger did not answer in time.
        """
        changes = await self._call(lambda records: records.record_sightings([seen]))
        return seen.key not in changes.unowned

    async def begin_removal(self, owner: RecordOwner, key: DeletedKey) -> bool:
        """Mark a thread or message that is about to be deleted upstream, so that no end of this process forgets it.

        Returns False, without a mark, if the owner's record keeps nothing of it.

        Raises:
            GatewayError: `LEDGER_UNAVAILABLE`; the ledger did not answer in time, so nothing may be deleted.
        """
        message_id = key.message_id if isinstance(key, MessageKey) else ""
        if isinstance(key, MessageKey) and not is_message_id(message_id):
            return False
        record_key, began_at_ms = RecordKey(owner, key.thread_id), self.now_ms()
        try:
            return await self._call(lambda records: records.begin_removal(record_key, message_id, began_at_ms))
        except GatewayError:
            self._tasks.start(self.record_not_removed(key))  # the mark may be there, and only its answer be lost
            raise

    async def record_removed(self, owner: RecordOwner, key: DeletedKey) -> None:
        """Remove the record of a deleted thread, or the words of a deleted message. A failure is tried again."""
        if isinstance(key, MessageKey):
            await self.removals.submit(Removal(key))
            return
        self.writer.drop_thread(key.thread_id)
        await self.removals.submit(Removal(key, informed=owner))
        await self._publish(owner, [ThreadRemovedChange(key.thread_id)])

    async def record_not_removed(self, key: DeletedKey) -> None:
        """Go on with what was not deleted after all. Never raises, as above."""
        await self.removals.submit(Removal(key, is_withdrawn=True))

    def now_ms(self) -> int:
        """Return the time."""
        return int(self._unix_seconds() * 1000)

    async def _publish_gone(self, key: RecordKey, is_removed: bool) -> None:
        self.writer.drop_thread(key.thread_id)  # also what was seen before, and is yet to be written
        if is_removed:
            await self._publish(key.owner, [ThreadRemovedChange(key.thread_id)])

    async def _publish_forgotten(self, key: RecordKey, is_retitled: bool) -> None:
        self.writer.forget_written(key.thread_id)
        if is_retitled:
            await self._publish_records(frozenset({key}), {})

    async def _call(self, work: Callable[[RecordStore], Awaitable[ResultT]]) -> ResultT:
        try:
            return await self._link.call(lambda store: work(store.records))
        except LedgerUnavailableError:
            raise records_unavailable_error() from None

    async def _find_written(self, messages: Mapping[RecordKey, Collection[str]]) -> Mapping[RecordKey, WrittenRecord]:
        return await self._link.call(lambda store: store.records.find_written(messages))

    async def _write_sightings(self, sightings: Sequence[Sighting]) -> RecordChanges:
        return await self._link.call(lambda store: store.records.record_sightings(sightings))

    async def _write_removal(self, removal: Removal) -> None:
        key, now_ms = removal.key, self.now_ms()
        if removal.is_withdrawn:
            mark = MessageKey(key.thread_id, "") if isinstance(key, ThreadKey) else key
            await self._link.call(lambda store: store.records.withdraw_removal(mark))
            self.writer.forget_written(key.thread_id)  # what was seen meanwhile was dropped
        elif isinstance(key, ThreadKey):
            removed = await self._link.call(lambda store: store.records.remove_threads([key.thread_id], now_ms))
            for owner in {each.owner for each in removed} - {removal.informed}:
                await self._publish(owner, [ThreadRemovedChange(key.thread_id)])
        else:
            changed = await self._link.call(lambda store: store.records.remove_messages([key], now_ms))
            await self._publish_records(changed, {})

    async def _finish_removals(self) -> None:
        """Finish, again and again, the removals of gateways that ended before they did."""
        looked_until_ms = 0
        while True:
            before_ms = self.now_ms() - MARK_REACH_MS
            after_ms = looked_until_ms
            try:
                found = await self._link.call(lambda store: store.records.find_unfinished_removals(after_ms, before_ms))  # noqa: B023 - it is awaited here
                for key in found:
                    await self._write_removal(Removal(key if key.message_id else ThreadKey(key.thread_id)))
            except LedgerUnavailableError:
                _logger.debug("unfinished removals are looked for later")
            except Exception:
                _logger.exception("unfinished removals could not be written")
            else:
                looked_until_ms = looked_until_ms if len(found) == MAX_UNFINISHED else before_ms - OVERLAP_MS
            await self._sleep(FINISH_SECONDS)

    async def _publish_written(self, changes: RecordChanges, batch: SightingBatch) -> None:
        statuses: dict[RunRecordKey, StatusChange] = {}
        for run_key, previous in changes.runs.items():
            pending = batch.get(SightingId(SeenRun, run_key.key, run_key.run_id))
            if pending is not None and pending.seen.run is not None:
                statuses[run_key] = StatusChange(pending.seen.run, previous)
        await self._publish_records(changes.records, statuses)

    async def _publish_records(self, keys: frozenset[RecordKey], statuses: dict[RunRecordKey, StatusChange]) -> None:
        """Publish records that changed, and statuses of runs, to each owner. One that is being updated waits for it."""
        changes: dict[RecordOwner, list[Change]] = defaultdict(list)
        withheld = {key for key in keys if key in self._updating}
        self._withheld |= withheld
        keys -= withheld
        records = await self._read_changed(keys)
        for key in keys:
            changes[key.owner].append(ThreadChange(key.thread_id, records.get(key)))
        for run_key, status in statuses.items():
            changes[run_key.key.owner].append(status)
        for owner, theirs in changes.items():
            await self._publish(owner, theirs)

    async def _read_changed(self, keys: frozenset[RecordKey]) -> dict[RecordKey, ThreadRecord]:
        """Read records that changed. If that fails, those who are told read them themselves."""
        if not keys:
            return {}
        try:
            return await self._link.call(lambda store: store.records.get_records(keys))
        except LedgerUnavailableError:
            return {}

    async def _publish(self, owner: RecordOwner, changes: Sequence[Change]) -> None:
        await self._hub.publish(self.owners.to_log_name(owner), changes)


def records_unavailable_error() -> GatewayError:
    """Make the error of what needs the records while the ledger does not answer."""
    return GatewayError(
        ErrorCode.LEDGER_UNAVAILABLE,
        "What the gateway keeps of threads cannot be read or changed at the moment: its database does not answer.",
        retry_after_ms=int(OPEN_SECONDS * 1000),
    )
