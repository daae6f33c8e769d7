"""The writer of one log, for as long as it holds the lease. Renews the lease, and mirrors its own entries at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.background_tasks import end_tasks
from gateway.run_log.log_mirror import LogMirror
from gateway.run_log.run_log_options import Sleep
from gateway.run_log.store.event_log import Draft, EventLog, LeaseLostError, LogUnavailableError, WriterLease
from schema.contract.keys import ThreadKey
from schema.contract.run_events import Change, Provenance

BeforeAppend: TypeAlias = Callable[[LogMirror, Sequence[Change]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LogWriterFactory:
    """Opens the log writers of a process. `before_append` is called with the changes before each append."""

    sleep: Sleep
    before_append: BeforeAppend
    snapshot_every_entries: int = 1_000

    async def open_writer(self, mirror: LogMirror, *, preempt: bool = False) -> LogWriter | None:
        """Acquire the lease of a mirror's log; with `preempt`, from another holder.

        Returns:
            None if another writer holds the lease (unless `preempt`) or if the log has ended.
        """
        for failed in itertools.count(1):
            log = mirror.log
            try:
                lease = await log.acquire_lease(mirror.name, preempt=preempt)
            except LogUnavailableError:
                if failed > 1:
                    await mirror.switch_to_local_log(log)
            else:
                return None if lease is None else LogWriter(self, mirror, log, lease, preempts=preempt)
        raise AssertionError("expected to be left by a return")


class LogWriter:
    """The holder of one log's lease; `aclose` releases it. Owns the task that renews the lease.

    With `preempts`, it takes the lease back from a writer that acquired it because the store had lost the log.
    """

    def __init__(
        self, factory: LogWriterFactory, mirror: LogMirror, log: EventLog, lease: WriterLease, *, preempts: bool = False
    ) -> None:
        self._factory = factory
        self._mirror = mirror
        self._log = log
        self._lease = lease
        self._preempts = preempts
        self._epoch: str | None = None
        """The epoch in which this writer wrote last."""
        self.holds_lease = True
        """Whether this writer still holds the lease, as far as it knows."""
        self._mirrored_after_append: int | None = None
        """The number of mirrored entries after the last append."""
        self._serial = 0
        """Identifies an append, so that a retry after a lost reply writes nothing twice."""
        self._renew_task: asyncio.Task[None] | None = asyncio.create_task(self._renew_lease_periodically())

    async def announce_changes(self, changes: Sequence[Change]) -> None:
        """Call `before_append`, which invalidates cached data that these changes outdate."""
        await self._factory.before_append(self._mirror, changes)

    async def append(
        self,
        provenance: Provenance,
        changes: Sequence[Change],
        *,
        ends: bool = False,
        positions: Sequence[str | None] | None = None,
        baseline: Callable[[], Sequence[Change]] | None = None,
    ) -> None:
        """Append changes and mirror them here. With `ends`, the log ends for good.

        `positions` holds the place in the run's stream behind each change, as far as the stream can be opened there.
        `baseline` returns changes for the state with these changes. If the store lost the log and another writer has
        begun it again without them, they replace what that writer wrote.

        Raises:
            LeaseLostError: Another writer holds the lease, or the log has ended. No more was written.
        """
        if not changes:
            return
        mirror = self._mirror
        # The changes are a diff against the mirrored entries: entries of another writer in between make them wrong.
        mirrored_before = mirror.mirrored_entries
        await self.announce_changes(changes)
        drafts = [Draft(provenance, *one) for one in zip(changes, positions or [None] * len(changes), strict=True)]
        # A batch must leave room for the baseline, also in a short log.
        max_batch = self._factory.snapshot_every_entries
        for first in range(0, len(drafts), max_batch):
            batch = drafts[first : first + max_batch]
            is_last = first + max_batch >= len(drafts)
            try:
                await self._append_batch(batch, mirrored_before, ends=ends and is_last)
            except LeaseLostError:
                if baseline is None or not await self._discard_other_log():
                    raise
                whole = [Draft(provenance, change, drafts[-1].position) for change in baseline()]
                await self._append_batch(whole, mirror.mirrored_entries, ends=ends, replaces_log=True)
                return
            mirrored_before = mirror.mirrored_entries

    async def _append_batch(
        self, batch: Sequence[Draft], mirrored_before: int, *, ends: bool, replaces_log: bool = False
    ) -> None:
        mirror = self._mirror
        self._serial += 1
        for attempt in itertools.count():
            log = await self._leased_log()
            drafts = batch if replaces_log else self._with_baseline(batch)
            was_written = True
            try:
                await log.append(mirror.name, self._lease, drafts, ends=ends, serial=self._serial)
            except LeaseLostError:
                was_written = False
                await self._reacquire_lease(
                    log, mirrored_before if self._mirrored_after_append is None else self._mirrored_after_append
                )
            except LogUnavailableError:
                was_written = False
                if attempt:
                    await mirror.switch_to_local_log(log)
            await mirror.refresh()
            # After a failure of the store only the mirrored entries prove that the batch was written.
            if (was_written and mirror.log is log) or mirror.mirrored_entries - mirrored_before >= len(drafts):
                self._mirrored_after_append, self._epoch = mirror.mirrored_entries, mirror.epoch
                return

    async def aclose(self) -> None:
        """Stop renewing and release the lease, so that another writer can acquire it at once."""
        # A cancelled task holds its frames, and those hold this writer.
        renew_task, self._renew_task = self._renew_task, None
        await end_tasks(renew_task)
        with contextlib.suppress(LogUnavailableError):
            await self._log.release_lease(self._mirror.name, self._lease)

    def _with_baseline(self, drafts: Sequence[Draft]) -> Sequence[Draft]:
        """Return the drafts, behind the baseline if the log needs it again."""
        mirror = self._mirror
        if not mirror.needs_baseline(self._factory.snapshot_every_entries):
            return drafts
        # Readers of a thread must not see its baseline as new events.
        provenance = Provenance.SNAPSHOT if isinstance(mirror.name.key, ThreadKey) else drafts[0].provenance
        position = mirror.stream_position
        return [*(Draft(provenance, change, position) for change in mirror.state.baseline()), *drafts]

    async def _reacquire_lease(self, log: EventLog, mirrored_before: int) -> None:
        """Acquire the lease again after the store came back empty or the lease ran out.

        Raises:
            LeaseLostError: Another writer holds the lease, or has written meanwhile.
        """
        mirror = self._mirror
        await mirror.refresh()
        if mirror.is_over() or mirror.mirrored_entries != mirrored_before:
            raise LeaseLostError
        with contextlib.suppress(LogUnavailableError):
            # A writer that has written nothing yet into the lost log has nothing that could be missed.
            lease = await log.acquire_lease(mirror.name, preempt=self._preempts and mirror.is_log_lost)
            if lease is None:
                raise LeaseLostError
            self._lease, self.holds_lease = lease, True

    async def _discard_other_log(self) -> bool:
        """Discard what another writer began after the store had lost the log, and acquire the lease again.

        Returns:
            False if the log was not lost, has ended, or the store does not answer.
        """
        mirror, log = self._mirror, self._log
        if not self._preempts or self._epoch is None or mirror.is_over() or mirror.log is not log:
            return False
        if mirror.epoch is None or mirror.epoch == self._epoch:
            return False
        with contextlib.suppress(LogUnavailableError):
            await log.discard(mirror.name, mirror.epoch)
            lease = await log.acquire_lease(mirror.name, preempt=True)
            if lease is not None:
                self._lease, self.holds_lease = lease, True
                return True
        return False

    async def _leased_log(self) -> EventLog:
        """Return the log that the mirror follows, with its lease held by this writer."""
        mirror = self._mirror
        if self._log is not mirror.log:
            lease = await mirror.log.acquire_lease(mirror.name, preempt=True)
            if lease is None:
                raise LeaseLostError
            self._log, self._lease, self.holds_lease = mirror.log, lease, True
            self._epoch = mirror.epoch
        return self._log

    async def _renew_lease_periodically(self) -> None:
        while True:
            await self._factory.sleep(self._lease.lease_seconds / 3)
            # After a failure the next renewal may succeed, or the next append acquires the lease again.
            with contextlib.suppress(LogUnavailableError):
                lease = self._lease
                is_renewed = await self._log.renew_lease(self._mirror.name, lease)
                if lease is self._lease:
                    self.holds_lease = is_renewed
