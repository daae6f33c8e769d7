"""The state of a thread, built from the changes of its log: its runs and its newest messages. Pure.

A thread's log begins with a baseline: a snapshot of no run with the newest messages, and the status of each run, all
with the provenance `SNAPSHOT`. It is the past that the next poller compares with, so that it misses nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.run_log.stream_diff import is_new_status
from schema.contract.run_events import (
    Change,
    MessageCreatedChange,
    MessageFinishedChange,
    Provenance,
    SnapshotChange,
    StatusChange,
)
from schema.contract.statuses import FINISHED_MESSAGE_STATUSES, is_terminal
from schema.contract.wire import MessageObject, RunObject

NO_RUN = RunObject(id="", created_at=0)

_MAX_KNOWN = 200

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class PolledThread:
    """The result of polling a thread, newest first: its newest runs and its newest messages."""

    runs: Sequence[RunObject]
    messages: Sequence[MessageObject]


class ThreadState:
    """The present state of one thread. Accepts any change at any time and never fails."""

    def __init__(self) -> None:
        self.has_begun = False
        self._runs: OrderedDict[str, RunObject] = OrderedDict()
        self._messages: OrderedDict[str, MessageObject] = OrderedDict()
        self._finished: OrderedDict[str, None] = OrderedDict()

    @property
    def active_runs(self) -> list[RunObject]:
        """The runs that are not terminal, oldest first."""
        return [run for run in self._runs.values() if not is_terminal(run.status)]

    def run(self, run_id: str) -> RunObject | None:
        """Return a run as it was last polled."""
        return self._runs.get(run_id)

    def has_message(self, message_id: str) -> bool:
        """Return whether a message is known. The oldest messages are dropped."""
        return message_id in self._messages

    def is_finished(self, message_id: str) -> bool:
        """Return whether readers were told that a message is finished, or never have to be."""
        return message_id in self._finished

    @property
    def newest_created_at(self) -> float:
        """The creation time of the newest known message; 0 without one."""
        return max((message.created_at for message in self._messages.values()), default=0)

    def baseline(self) -> list[Change]:
        """Return changes from which this state can be rebuilt."""
        if not self.has_begun:
            return []
        latest = list(self._messages.values())[-20:]
        marker = SnapshotChange(
            NO_RUN, [], [_marked_message(message, is_finished=message.id in self._finished) for message in latest]
        )
        return [marker, *(StatusChange(run) for run in list(self._runs.values())[-20:])]

    def apply(self, change: Change, _: Provenance = Provenance.POLLED) -> None:
        """Apply one change to the state."""
        match change:
            case SnapshotChange(messages=messages):
                self.has_begun = True
                self._runs.clear()
                self._messages.clear()
                self._finished.clear()
                for message in messages:
                    self._store_message(message)
                    if message.role == "user" or message.status in FINISHED_MESSAGE_STATUSES:
                        _store_bounded(self._finished, message.id, None)
            case StatusChange(run=run):
                self._runs[run.id] = run
                self._trim_runs()
            case MessageCreatedChange(message=message):
                self._store_message(message)
                if message.role == "user":
                    _store_bounded(self._finished, message.id, None)
            case MessageFinishedChange(message=message):
                self._store_message(message)
                _store_bounded(self._finished, message.id, None)
            case _:
                pass

    def _store_message(self, message: MessageObject) -> None:
        _store_bounded(self._messages, message.id, _message_envelope(message, message.status))

    def _trim_runs(self) -> None:
        if len(self._runs) > _MAX_KNOWN:
            oldest_run_id = next(
                (name for name, run in self._runs.items() if is_terminal(run.status)), next(iter(self._runs))
            )
            del self._runs[oldest_run_id]


def diff_thread(state: ThreadState, polled: PolledThread) -> list[Change]:
    """Return the changes, oldest first; the end of a run comes after the messages that it finished.

    For a thread that is not known yet, return its baseline, to be written with the provenance `SNAPSHOT`.
    """
    runs = {run.id: run for run in reversed(polled.runs)}
    messages = list(reversed(polled.messages))
    if not state.has_begun:
        marked_messages = [
            _marked_message(message, is_finished=_is_message_finished(message, runs)) for message in messages
        ]
        return [SnapshotChange(NO_RUN, [], marked_messages), *(StatusChange(run) for run in runs.values())]
    new_messages = _new_messages(state, messages)
    created_changes: list[Change] = [MessageCreatedChange(message) for message in new_messages]
    new_ids = {message.id for message in new_messages}
    written = [message for message in messages if state.has_message(message.id) or message.id in new_ids]
    finished_changes: list[Change] = [
        MessageFinishedChange(message)
        for message in written
        if message.role != "user" and not state.is_finished(message.id) and _is_message_finished(message, runs)
    ]
    started_runs: list[Change] = []
    ended_runs: list[Change] = []
    for run in runs.values():
        known = state.run(run.id)
        if known is not None and not is_new_status(known.status, run.status):
            continue
        change = StatusChange(run, None if known is None else known.status)
        (ended_runs if is_terminal(run.status) else started_runs).append(change)
    user_messages = [
        change
        for change in created_changes
        if isinstance(change, MessageCreatedChange) and change.message.role == "user"
    ]
    other_messages = [change for change in created_changes if change not in user_messages]
    return [*user_messages, *started_runs, *other_messages, *finished_changes, *ended_runs]


def _new_messages(state: ThreadState, messages: Sequence[MessageObject]) -> list[MessageObject]:
    """Return the messages that are newer than the known ones.

    A deletion can bring an older message onto the page; that message is not new.
    """
    last_known = max((index for index, message in enumerate(messages) if state.has_message(message.id)), default=-1)
    newest_created_at = state.newest_created_at
    return [
        message
        for index, message in enumerate(messages)
        if not state.has_message(message.id) and (message.created_at >= newest_created_at or 0 <= last_known < index)
    ]


def _is_message_finished(message: MessageObject, runs: dict[str, RunObject]) -> bool:
    if message.role == "user" or message.status in FINISHED_MESSAGE_STATUSES:
        return True
    if message.run_id is None:
        # Some servers do not say which run writes a message.
        return message.status is None and not any(_may_be_writing(run) for run in runs.values())
    run = runs.get(message.run_id)
    return is_terminal(run.status) if run is not None else message.status is None


def _may_be_writing(run: RunObject) -> bool:
    return not is_terminal(run.status) and run.status != "requires_action"


def _marked_message(message: MessageObject, *, is_finished: bool) -> MessageObject:
    return _message_envelope(message, "completed" if is_finished else "in_progress")


def _message_envelope(message: MessageObject, status: str | None) -> MessageObject:
    """Keep only the fields that identify a message and its status."""
    return MessageObject(
        id=message.id, created_at=message.created_at, role=message.role, status=status, run_id=message.run_id
    )


def _store_bounded(table: OrderedDict[str, ValueT], name: str, value: ValueT) -> None:
    """Store a value as the last one of a bounded table."""
    table[name] = value
    table.move_to_end(name)
    while len(table) > _MAX_KNOWN:
        table.popitem(last=False)
