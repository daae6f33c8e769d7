"""Writes the log of one feed for as long as it leads: renews the lead, and shows what was written here at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.run_log.log_mirror import LogMirror
from gateway.run_log.run_log_options import Sleep
from gateway.run_log.store.event_log import Draft, EventLog, LeaseLostError, LogUnavailableError, WriterLease
from schema.contract.keys import ThreadKey
from schema.contract.run_events import Change, Provenance

BeforeAppend: TypeAlias = Callable[[LogMirror, Sequence[Change]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LogWriterFactory:
    """What every writer of a process needs; `open_writer` gives one."""

    sleep: Sleep
    before_append: BeforeAppend
    snapshot_every_entries: int = 1_000

    async def open_writer(self, mirror: LogMirror, *, preempt: bool = False) -> LogWriter | None:
        """Lead the feed's log; None where another does (unless it is to be preempted) or the log has ended."""
        for failed in itertools.count(1):
            log = mirror.log
            try:
                lease = await log.acquire_lease(mirror.name, preempt=preempt)
            except LogUnavailableError:
                if failed > 1:
                    await mirror.switch_to_local_log(log)
            else:
                return None if lease is None else LogWriter(self, mirror, log, lease)
        raise AssertionError("expected to be left by a return")


class LogWriter:
    """The lead of one log, which has to be ended. Owns the task that renews it."""

    def __init__(self, factory: LogWriterFactory, mirror: LogMirror, log: EventLog, lease: WriterLease) -> None:
        self._factory = factory
        self._mirror = mirror
        self._log = log
        self._lease = lease
        self.holds_lease = True
        """Whether this writer leads, for all that it knows."""
        self._mirrored_after_append: int | None = None
        """How much was mirrored when this writer last wrote."""
        self._serial = 0
        """Names what is appended, so that nothing is written twice where the store's answer was lost."""
        self._renew_task = asyncio.create_task(self._renew_lease_periodically())

    async def announce_changes(self, changes: Sequence[Change]) -> None:
        """Have forgotten whatever these changes make untrue."""
        await self._factory.before_append(self._mirror, changes)

    async def append(self, provenance: Provenance, changes: Sequence[Change], *, ends: bool = False) -> None:
        """Write changes down and show them here; `ends` the log for good.

        Raises `LeaseLostError` where another leads by now or the log has ended: then no more was written.
        """
        if not changes:
            return
        mirror = self._mirror
        # Changes tell what differs from what is mirrored now: whoever writes meanwhile makes them untrue.
        mirrored_before = mirror.mirrored_entries
        await self.announce_changes(changes)
        # What is written at once has to leave room in a short log for what the log is about.
        max_batch = self._factory.snapshot_every_entries
        for first in range(0, len(changes), max_batch):
            batch = changes[first : first + max_batch]
            await self._append_batch(
                provenance, batch, mirrored_before, ends=ends and first + max_batch >= len(changes)
            )
            mirrored_before = mirror.mirrored_entries

    async def _append_batch(
        self, provenance: Provenance, changes: Sequence[Change], mirrored_before: int, *, ends: bool
    ) -> None:
        mirror = self._mirror
        self._serial += 1
        for attempt in itertools.count():
            log = await self._leased_log()
            drafts = self._new_drafts(provenance, changes)
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
            # Where the store failed, nobody knows what it has by now; what was read back, readers have.
            if (was_written and mirror.log is log) or mirror.mirrored_entries - mirrored_before >= len(drafts):
                self._mirrored_after_append = mirror.mirrored_entries
                return

    async def aclose(self) -> None:
        """Stop leading, so that another can begin at once."""
        self._renew_task.cancel()
        await asyncio.wait([self._renew_task])
        with contextlib.suppress(LogUnavailableError):
            await self._log.release_lease(self._mirror.name, self._lease)

    def _new_drafts(self, provenance: Provenance, changes: Sequence[Change]) -> list[Draft]:
        """Draft the changes, behind what the log is about where it should be told that again."""
        mirror = self._mirror
        drafts = [Draft(provenance, change) for change in changes]
        if not mirror.needs_baseline(self._factory.snapshot_every_entries):
            return drafts
        # A thread's baseline is not to be shown as something that happens.
        baseline_provenance = Provenance.SNAPSHOT if isinstance(mirror.name.key, ThreadKey) else provenance
        return [*(Draft(baseline_provenance, change) for change in mirror.state.baseline()), *drafts]

    async def _reacquire_lease(self, log: EventLog, mirrored_before: int) -> None:
        """Lead once more where nobody has led meanwhile: the store came back empty, or a lease ran out unnoticed.

        Raises `LeaseLostError` where somebody else leads, or has written.
        """
        mirror = self._mirror
        await mirror.refresh()
        if mirror.is_over() or mirror.mirrored_entries != mirrored_before:
            raise LeaseLostError
        with contextlib.suppress(LogUnavailableError):
            lease = await log.acquire_lease(mirror.name)
            if lease is None:
                raise LeaseLostError
            self._lease, self.holds_lease = lease, True

    async def _leased_log(self) -> EventLog:
        """Give the log that the feed follows, led by this writer."""
        mirror = self._mirror
        if self._log is not mirror.log:
            lease = await mirror.log.acquire_lease(mirror.name, preempt=True)
            if lease is None:
                raise LeaseLostError
            self._log, self._lease, self.holds_lease = mirror.log, lease, True
        return self._log

    async def _renew_lease_periodically(self) -> None:
        while True:
            await self._factory.sleep(self._lease.lease_seconds / 3)
            # A store that does not answer once may answer the next time; an append may lead again.
            with contextlib.suppress(LogUnavailableError):
                lease = self._lease
                is_renewed = await self._log.renew_lease(self._mirror.name, lease)
                if lease is self._lease:
                    self.holds_lease = is_renewed
