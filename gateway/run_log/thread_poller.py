"""Polls one thread: its newest runs and messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from gateway.run_log.poller import PollDiff, single_result
from gateway.run_log.thread_state import PolledThread, ThreadState, diff_thread
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import MESSAGES, RUNS, MessagePageKey, RunPageKey
from schema.contract.paging import Window
from schema.contract.ports import ThreadsApi
from schema.contract.run_events import Provenance
from schema.contract.wire import MessageObject, Page, RunObject

_PAGE_SIZE = 20
_MAX_PAGES = 5

ObjectT = TypeVar("ObjectT", MessageObject, RunObject)


@dataclass(frozen=True, slots=True)
class ThreadPollResult:
    """A fetched thread."""

    state: ThreadState
    polled: PolledThread

    def to_diff(self) -> PollDiff:
        provenance = Provenance.POLLED if self.state.has_begun else Provenance.SNAPSHOT
        return PollDiff(diff_thread(self.state, self.polled), provenance)


class ThreadPoller:
    """Polls one thread repeatedly."""

    def __init__(self, key: ThreadKey, state: ThreadState) -> None:
        self._key = key
        self._state = state

    async def poll(self, api: ThreadsApi, *, with_details: bool) -> ThreadPollResult:
        """Fetch the runs, then the messages, so that the messages of a run that is over are complete.

        Raises:
            GatewayError: The runs or the messages could not be read.
        """
        del with_details
        thread_id = self._key.thread_id
        state = self._state

        async def run_page(window: Window) -> Page[RunObject]:
            return single_result(await api.list(RUNS, [RunPageKey(thread_id, window)]))

        async def message_page(window: Window) -> Page[MessageObject]:
            return single_result(await api.list(MESSAGES, [MessagePageKey(thread_id, None, window)]))

        runs = await self._fetch_newest(run_page, lambda run: state.run(run.id) is not None)
        fetched = {run.id for run in runs}
        missing = [RunKey(thread_id, run.id) for run in state.active_runs if run.id not in fetched]
        if missing:
            runs += [run for run in await api.get(RUNS, missing) if not isinstance(run, GatewayError)]
        messages = await self._fetch_newest(message_page, lambda message: state.has_message(message.id))
        return ThreadPollResult(state, PolledThread(runs, messages))

    async def _fetch_newest(
        self, fetch: Callable[[Window], Awaitable[Page[ObjectT]]], is_known: Callable[[ObjectT], bool]
    ) -> list[ObjectT]:
        """Fetch the newest objects, at least down to a known one."""
        found: list[ObjectT] = []
        for _ in range(_MAX_PAGES if self._state.has_begun else 1):
            page = await fetch(Window(_PAGE_SIZE, "desc", found[-1].id if found else None))
            found += page.data
            if not page.has_more or not page.data or any(map(is_known, page.data)):
                break
        return found
