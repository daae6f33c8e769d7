"""Polls one run: only the run itself, or also its steps and the messages that it wrote."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.run_log.poll_diff import diff_poll
from gateway.run_log.poller import FATAL_CODES, PollDiff, single_result
from gateway.run_log.run_state import RunState
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.kinds import MESSAGES, RUN_STEPS, RUNS, MessagePageKey, RunStepPageKey
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from schema.contract.ports import ThreadsApi
from schema.contract.run_events import FaultChange
from schema.contract.statuses import is_terminal
from schema.contract.wire import MessageObject, RunObject, RunStepObject

_MAX_PAGES = 10
_MAX_FAILED_END_POLLS = 5


@dataclass(frozen=True, slots=True)
class RunPollResult:
    """A fetched run. Steps and messages are None if they were not fetched.

    `fault` says why a part of a run that is over is missing. `retry_after_ms` is how long the upstream asks to wait
    before the parts are fetched again.
    """

    state: RunState
    run: RunObject
    steps: list[RunStepObject] | None = None
    messages: list[MessageObject] | None = None
    fault: FaultChange | None = None
    retry_after_ms: int | None = None

    def to_diff(self) -> PollDiff:
        changes = diff_poll(self.state, self.run, self.steps, self.messages)
        ends = bool(changes) and is_terminal(self.run.status)
        if self.fault is not None and ends:
            has_begun = self.state.has_begun
            changes = [*changes[:-1], self.fault, changes[-1]] if has_begun else [changes[0]]
        is_waiting = self.run.status == "requires_action"
        return PollDiff(changes, ends=ends, is_waiting=is_waiting, retry_after_ms=self.retry_after_ms)


class RunPoller:
    """Polls one run repeatedly. Counts the polls in which the end of the run could not be read completely."""

    def __init__(self, key: RunKey, state: RunState) -> None:
        self._key = key
        self._state = state
        self._failed_end_polls = 0

    async def poll(self, api: ThreadsApi, *, with_details: bool) -> RunPollResult:
        """Fetch the run; then its steps and messages, if `with_details` or if the run is over.

        Raises:
            GatewayError: The run could not be read. Or the run is over and its steps or messages could not be read: its
                end must not be shown before the events that led to it. After some failures it is shown with a fault.
        """
        run = single_result(await api.get(RUNS, [self._key]))
        is_over = is_terminal(run.status)
        if not (with_details or is_over):
            return RunPollResult(self._state, run)
        steps, messages = await asyncio.gather(self._fetch_steps(api), self._fetch_messages(api))
        failures = [part for part in (steps, messages) if isinstance(part, GatewayError)]
        fault = None
        if failures and is_over:
            self._failed_end_polls += 1
            transient = [failure for failure in failures if failure.code not in FATAL_CODES]
            if transient and self._failed_end_polls < _MAX_FAILED_END_POLLS:
                raise transient[0]
            fault = FaultChange(failures[0].code.value, failures[0].message)
        return RunPollResult(
            self._state,
            run,
            None if isinstance(steps, GatewayError) else steps,
            None if isinstance(messages, GatewayError) else messages,
            fault,
            max((failure.retry_after_ms or 0 for failure in failures), default=None),
        )

    async def _fetch_steps(self, api: ThreadsApi) -> list[RunStepObject] | GatewayError:
        found: list[RunStepObject] = []
        for _ in range(_MAX_PAGES):
            window = Window(UPSTREAM_PAGE_SIZE, "asc", found[-1].id if found else None)
            (page,) = await api.list(RUN_STEPS, [RunStepPageKey(*self._key, window)])
            if isinstance(page, GatewayError):
                # A server that cannot list steps has none that a reader could miss.
                return found if page.code is ErrorCode.UNSUPPORTED_BY_UPSTREAM else page
            found += page.data
            if not page.has_more or not page.data:
                break
        return found

    async def _fetch_messages(self, api: ThreadsApi) -> list[MessageObject] | GatewayError:
        # Newest first: if a server ignores the run filter, the run's messages are among the newest.
        found: list[MessageObject] = []
        thread_id, run_id = self._key
        after = None
        for _ in range(_MAX_PAGES):
            window = Window(UPSTREAM_PAGE_SIZE, "desc", after)
            (page,) = await api.list(MESSAGES, [MessagePageKey(thread_id, run_id, window)])
            if isinstance(page, GatewayError):
                return page
            found += page.data
            if not page.has_more or page.read_until is not None or not page.data:
                break
            after = page.data[-1].id
        return found[::-1]
