"""The difference between a polled run and the known state. Pure.

Polled text never becomes text deltas. If the deltas of a message are missing, the reader gets `TOKENS_LOST`, and the
whole message once it is finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.run_log.partial_content import texts_from_message
from gateway.run_log.run_state import RunState, is_message_finished, message_ids_from_completed_steps
from gateway.run_log.stream_diff import diff_status, diff_step
from schema.contract.run_events import Change, FaultChange, MessageCreatedChange, MessageFinishedChange, SnapshotChange
from schema.contract.wire import MessageObject, RunObject, RunStepObject

TOKENS_LOST = "TOKENS_LOST"


def diff_poll(
    state: RunState,
    run: RunObject,
    steps: Sequence[RunStepObject] | None = None,
    messages: Sequence[MessageObject] | None = None,
) -> list[Change]:
    """Return the changes, the run's status last. Steps and messages are oldest first, or None if they were not polled.

    Steps and messages of a run that is over must be read after the run itself.
    """
    if state.is_over:
        return []
    own = [message for message in messages or () if _is_own(message, run)]
    if state.run is None:
        return [SnapshotChange(run, list(steps or ()), own)]
    if run.id != state.run.id:
        return []
    known_steps = [change for step in steps or () for change in diff_step(state, step, streamed=False)]
    completed = message_ids_from_completed_steps(steps or ())
    known_messages = [change for message in own for change in _diff_message(state, message, run, completed)]
    return [*known_steps, *known_messages, *diff_status(state, run)]


def _is_own(message: MessageObject, run: RunObject) -> bool:
    """Return whether a message of a run's list is the run's. Some servers do not say which run wrote a message."""
    return message.run_id == run.id or (message.run_id is None and message.role != "user")


def _diff_message(
    state: RunState, message: MessageObject, run: RunObject, completed: frozenset[str]
) -> Iterator[Change]:
    if state.is_finished(message.id):
        return
    known = state.message(message.id)
    if known is None:
        yield MessageCreatedChange(message)
    if not is_message_finished(message, run, completed):
        return
    if (
        known is not None
        and state.was_streamed(message.id)
        and texts_from_message(known) != texts_from_message(message)
    ):
        yield FaultChange(TOKENS_LOST, "Some of this message's text was lost on the way; the whole message follows.")
    yield MessageFinishedChange(message)
