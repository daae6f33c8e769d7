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

BeforeWriting: TypeAlias = Callable[[LogMirror, Sequence[Change]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LogWriterFactory:
    """What every writer of a process needs; `begin` gives one."""

    sleep: Sleep
    before_writing: BeforeWriting
    snapshot_every_entries: int = 1_000

    async def begin(self, feed: LogMirror, *, preempt: bool = False) -> LogWriter | None:
        """Lead the feed's log; None where another does (unless it is to be preempted) or the log has ended."""
        for failed in itertools.count(1):
            log = feed.log
            try:
                lead = await log.lead(feed.name, preempt=preempt)
            except LogUnavailableError:
                if failed > 1:
                    await feed.go_alone(log)
            else:
                return None if lead is None else LogWriter(self, feed, log, lead)
        raise AssertionError("expected to be left by a return")


class LogWriter:
    """The lead of one log, which has to be ended. Owns the task that renews it."""

    def __init__(self, pens: LogWriterFactory, feed: LogMirror, log: EventLog, lead: WriterLease) -> None:
        self._pens = pens
        self._feed = feed
        self._log = log
        self._lead = lead
        self.leads = True
        """Whether this writer leads, for all that it knows."""
        self._mirrored: int | None = None
        """How much was mirrored when this writer last wrote."""
        self._serial = 0
        """Names what is appended, so that nothing is written twice where the store's answer was lost."""
        self._renewing = asyncio.create_task(self._renew())

    async def announce(self, changes: Sequence[Change]) -> None:
        """Have forgotten whatever these changes make untrue."""
        await self._pens.before_writing(self._feed, changes)

    async def append(self, provenance: Provenance, changes: Sequence[Change], *, ends: bool = False) -> None:
        """Write changes down and show them here; `ends` the log for good.

        Raises `LeaseLostError` where another leads by now or the log has ended: then no more was written.
        """
        if not changes:
            return
        feed = self._feed
        # Changes tell what differs from what is mirrored now: whoever writes meanwhile makes them untrue.
        shown_before = feed.mirrored
        await self.announce(changes)
        # What is written at once has to leave room in a short log for what the log is about.
        most = self._pens.snapshot_every_entries
        for begin in range(0, len(changes), most):
            part = changes[begin : begin + most]
            await self._append_part(provenance, part, shown_before, ends=ends and begin + most >= len(changes))
            shown_before = feed.mirrored

    async def _append_part(
        self, provenance: Provenance, changes: Sequence[Change], shown_before: int, *, ends: bool
    ) -> None:
        feed = self._feed
        self._serial += 1
        for attempt in itertools.count():
            log = await self._followed_log()
            drafts = self._drafts(provenance, changes)
            was_written = True
            try:
                await log.append(feed.name, self._lead, drafts, ends=ends, serial=self._serial)
            except LeaseLostError:
                was_written = False
                await self._lead_again(log, shown_before if self._mirrored is None else self._mirrored)
            except LogUnavailableError:
                was_written = False
                if attempt:
                    await feed.go_alone(log)
            await feed.refresh()
            # Where the store failed, nobody knows what it has by now; what was read back, readers have.
            if (was_written and feed.log is log) or feed.mirrored - shown_before >= len(drafts):
                self._mirrored = feed.mirrored
                return

    async def end(self) -> None:
        """Stop leading, so that another can begin at once."""
        self._renewing.cancel()
        await asyncio.wait([self._renewing])
        with contextlib.suppress(LogUnavailableError):
            await self._log.resign(self._feed.name, self._lead)

    def _drafts(self, provenance: Provenance, changes: Sequence[Change]) -> list[Draft]:
        """Draft the changes, behind what the log is about where it should be told that again."""
        feed = self._feed
        drafts = [Draft(provenance, change) for change in changes]
        if not feed.needs_baseline(self._pens.snapshot_every_entries):
            return drafts
        # A thread's baseline is not to be shown as something that happens.
        as_before = Provenance.SNAPSHOT if isinstance(feed.name.key, ThreadKey) else provenance
        return [*(Draft(as_before, change) for change in feed.state.baseline()), *drafts]

    async def _lead_again(self, log: EventLog, shown_before: int) -> None:
        """Lead once more where nobody has led meanwhile: the store came back empty, or a lease ran out unnoticed.

        Raises `LeaseLostError` where somebody else leads, or has written.
        """
        feed = self._feed
        await feed.refresh()
        if feed.is_over() or feed.mirrored != shown_before:
            raise LeaseLostError
        with contextlib.suppress(LogUnavailableError):
            lead = await log.lead(feed.name)
            if lead is None:
                raise LeaseLostError
            self._lead, self.leads = lead, True

    async def _followed_log(self) -> EventLog:
        """Give the log that the feed follows, led by this writer."""
        feed = self._feed
        if self._log is not feed.log:
            lead = await feed.log.lead(feed.name, preempt=True)
            if lead is None:
                raise LeaseLostError
            self._log, self._lead, self.leads = feed.log, lead, True
        return self._log

    async def _renew(self) -> None:
        while True:
            await self._pens.sleep(self._lead.lease_seconds / 3)
            # A store that does not answer once may answer the next time; an append may lead again.
            with contextlib.suppress(LogUnavailableError):
                lead = self._lead
                is_renewed = await self._log.renew(self._feed.name, lead)
                if lead is self._lead:
                    self.leads = is_renewed
