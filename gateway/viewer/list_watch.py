"""Watches over what a viewer is shown: runs that wait are read again, and a credential's holder must stay accepted.

A run that waits may be answered, cancelled or expire without this gateway. While a viewer asks for the inbox or follows
the list, the runs that are known to wait are read again, at most 100 of an owner, ever more rarely. One process at a
time does so for those who follow, and reads a run that was answered or cancelled elsewhere until its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from gateway.background_tasks import BackgroundTasks, wait_for_first
from gateway.ledger.sightings import RecordKey, RecordOwner, RunRecordKey
from gateway.run_log.store.event_log import LogName
from gateway.run_log.viewer_hub import ViewerHub
from gateway.viewer.record_keeper import RecordKeeper
from gateway.viewer.waiting_checks import WaitingChecks
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.kinds import RUNS
from schema.contract.ports import ThreadsApi
from schema.contract.thread_records import KeysetWindow, WaitingRun

_logger = logging.getLogger(__name__)

WATCHED_RUNS = 100
"""Most runs of an owner that are watched: those that wait longest."""

BUSY_ROUND_SECONDS = 10.0
IDLE_ROUND_SECONDS = 60.0
"""How often a list that is followed is looked at: with a run that waits, and without."""

MAX_CHECKS = 500
"""Most reads of waiting runs at once, each of one owner's."""


@dataclass(slots=True)
class _Follower:
    """The latest caller who follows a list. Its watcher calls as that one."""

    open_poller: Callable[[], ThreadsApi]
    check_accepted: Callable[[], Awaitable[None]]


class ListWatch:
    """The watch of one process. Made inside the running loop, ended by `aclose`.

    `now` is a clock that does not go back, `unix_seconds` the time of day.
    """

    def __init__(
        self,
        keeper: RecordKeeper,
        hub: ViewerHub,
        *,
        now: Callable[[], float] = time.monotonic,
        unix_seconds: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._keeper = keeper
        self._hub = hub
        self._now = now
        self._unix_seconds = unix_seconds
        self._sleep = sleep
        self._checks = WaitingChecks()
        self._followers: dict[RecordOwner, _Follower] = {}
        self._tasks = BackgroundTasks()
        self._rounds = BackgroundTasks()

    @property
    def followed_count(self) -> int:
        """The number of lists that are watched for those who follow them."""
        return len(self._followers)

    def check_soon(self, owner: RecordOwner, runs: Sequence[WaitingRun], open_poller: Callable[[], ThreadsApi]) -> None:
        """Read the runs of a page of the inbox again, in the background, those that are due."""
        if len(self._tasks) < MAX_CHECKS:
            keys = [RunRecordKey(RecordKey(owner, run.key.thread_id), run.key.run_id) for run in runs]
            if due := self._checks.take_due(keys[:WATCHED_RUNS], self._now()):
                self._tasks.start(self._read(due, open_poller))

    def follow(
        self,
        owner: RecordOwner,
        name: LogName,
        open_poller: Callable[[], ThreadsApi],
        check_accepted: Callable[[], Awaitable[None]],
    ) -> None:
        """Watch a list for as long as it is followed in this process. `name` is that of its log."""
        is_watched = owner in self._followers
        self._followers[owner] = _Follower(open_poller, check_accepted)
        if not is_watched:
            self._rounds.start(self._watch(owner, name))

    async def aclose(self) -> None:
        """End all tasks."""
        await self._rounds.aclose()
        await self._tasks.aclose()

    async def _watch(self, owner: RecordOwner, name: LogName) -> None:
        waiting: Collection[RunRecordKey] = ()
        try:
            while self._hub.is_followed(name):
                try:
                    waiting = await self._do_round(owner, name, waiting)
                except Exception:
                    _logger.exception("a viewer's list could not be watched")
                await (self._sleep(BUSY_ROUND_SECONDS) if waiting else self._rest(name))
        finally:
            del self._followers[owner]
            await self._hub.release_watch(name)

    async def _rest(self, name: LogName) -> None:
        """Sleep while no run waits. One that begins to wait is looked at as soon as if it had been there before."""
        telling = asyncio.ensure_future(self._hub.wait_for_waiting_run(name))
        await wait_for_first(self._sleep(IDLE_ROUND_SECONDS), telling)
        if not telling.cancelled():
            await self._sleep(BUSY_ROUND_SECONDS)

    async def _do_round(
        self, owner: RecordOwner, name: LogName, waited: Collection[RunRecordKey]
    ) -> Collection[RunRecordKey]:
        """Look at a list once. Returns the runs that wait now, and those that were read to go on."""
        follower = self._followers[owner]
        try:
            await follower.check_accepted()
        except GatewayError as error:
            self._hub.end_readers(name, error)
            return ()
        if not await self._hub.acquire_watch(name):
            return waited
        try:
            page = await self._keeper.read(
                owner,
                lambda records: records.list_waiting_runs(owner, KeysetWindow(WATCHED_RUNS), self._keeper.now_ms()),
            )
        except GatewayError:  # the database is away
            return waited
        waiting = {RunRecordKey(RecordKey(owner, run.key.thread_id), run.key.run_id) for run in page.items}
        left = [run for run in waited if run not in waiting]
        going_on = [run for run in left if self._checks.goes_on(run)][:WATCHED_RUNS]
        expired = self._checks.take_expired([run for run in left if run not in going_on], self._unix_seconds())
        if due := [*expired, *self._checks.take_due([*waiting, *going_on], self._now())]:
            await self._read(due, follower.open_poller)
        return waiting.union(going_on)

    async def _read(self, runs: Sequence[RunRecordKey], open_poller: Callable[[], ThreadsApi]) -> None:
        """Read runs again. What they became is seen by the port. A run that is gone is gone with its thread."""
        keys = [RunKey(run.key.thread_id, run.run_id) for run in runs]
        with contextlib.suppress(GatewayError):  # of the binding, or of the caller's limits
            results = await open_poller().get(RUNS, keys)
            for run, result in zip(runs, results, strict=True):
                if not isinstance(result, GatewayError):
                    self._checks.record_read(run, result)
                elif result.code is ErrorCode.NOT_FOUND:
                    self._checks.record_missing(run)
                    self._keeper.missing.observe_thread(run.key.owner, run.key.thread_id)
