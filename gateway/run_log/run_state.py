"""The state of a run, built from the changes of its log. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from gateway.run_log.partial_content import PartialContent, PartialToolCalls, message_with_content, step_with_tool_calls
from schema.contract.run_events import (
    Change,
    MessageCreatedChange,
    MessageFinishedChange,
    Provenance,
    SnapshotChange,
    StatusChange,
    StepChange,
    TextDeltaChange,
    ToolCallDeltaChange,
)
from schema.contract.statuses import FINAL_STEP_STATUSES, FINISHED_MESSAGE_STATUSES, is_terminal
from schema.contract.tolerant_decoder import TolerantDecoder
from schema.contract.wire import NULL, MessageObject, RunObject, RunStepObject
from schema.contract.wire_parts import StepDetailsObject

_DETAILS = TolerantDecoder(StepDetailsObject, "step's details")


class RunState:
    """The present state of one run. Accepts any change at any time and never fails."""

    def __init__(self) -> None:
        self.run: RunObject | None = None
        self._steps: dict[str, RunStepObject] = {}
        self._messages: dict[str, MessageObject] = {}
        self._partial_contents: dict[str, PartialContent] = {}
        self._partial_tool_calls: dict[str, PartialToolCalls] = {}
        self._finished_message_ids: set[str] = set()
        self._streamed_message_ids: set[str] = set()
        self._is_streamed_so_far = False

    @property
    def has_begun(self) -> bool:
        """Whether the run is known."""
        return self.run is not None

    @property
    def is_over(self) -> bool:
        """Whether the run is terminal and can never change again."""
        return self.run is not None and is_terminal(self.run.status)

    @property
    def has_output(self) -> bool:
        """Whether a step or a message of the run is known."""
        return bool(self._steps or self._messages)

    @property
    def is_fully_streamed(self) -> bool:
        """Whether the run waits for its caller and all that it did until then came from streams."""
        waits = self.run is not None and self.run.status == "requires_action"
        return self._is_streamed_so_far and waits and any(self._open_steps())

    @property
    def is_settled(self) -> bool:
        """Whether no step and no message is in progress."""
        return not any(self._open_steps()) and self._messages.keys() <= self._finished_message_ids

    def has_all_output(self, run: RunObject) -> bool:
        """Return whether all that a run wrote is known, as far as its final object `run` and its steps show.

        Each message belongs to a step. A run that failed or was stopped may have written nothing.
        """
        named = {name for step in self._steps.values() if (name := _created_message_id(step)) is not None}
        if not self.is_settled or self._messages.keys() != named:
            return False
        if run.status == "completed":
            return bool(named)
        return bool(self._steps) or not (run.status == "incomplete" or _has_written_tokens(run))

    def _open_steps(self) -> Iterator[RunStepObject]:
        return (step for step in self._steps.values() if step.status not in FINAL_STEP_STATUSES)

    def step(self, step_id: str) -> RunStepObject | None:
        """Return a step with its partial tool calls."""
        step = self._steps.get(step_id)
        return None if step is None else step_with_tool_calls(step, self._partial_tool_calls.get(step_id))

    def message(self, message_id: str) -> MessageObject | None:
        """Return a message with its partial content."""
        message = self._messages.get(message_id)
        return None if message is None else message_with_content(message, self._partial_contents.get(message_id))

    def has_partial_tool_calls(self, step_id: str) -> bool:
        """Return whether deltas of the step's tool calls came after the step object."""
        return step_id in self._partial_tool_calls

    def is_finished(self, message_id: str) -> bool:
        """Return whether a message is finished."""
        return message_id in self._finished_message_ids

    def was_streamed(self, message_id: str) -> bool:
        """Return whether a message's text came, or was to come, as deltas."""
        return message_id in self._streamed_message_ids

    def snapshot(self) -> SnapshotChange:
        """Return the run as it is now. Raises `ValueError` if the run is not known."""
        if self.run is None:
            raise ValueError("expected a run of which something is known")
        steps = [
            step_with_tool_calls(step, self._partial_tool_calls.get(step_id)) for step_id, step in self._steps.items()
        ]
        messages = [
            message_with_content(message, self._partial_contents.get(name)) for name, message in self._messages.items()
        ]
        completed = message_ids_from_completed_steps(steps)
        shown = [
            message
            if message.id not in self._finished_message_ids or is_message_finished(message, self.run, completed)
            else _with_finished_status(message)
            for message in messages
        ]
        return SnapshotChange(self.run, steps, shown)

    def baseline(self) -> list[Change]:
        """Return changes from which this state can be rebuilt."""
        return [] if self.run is None else [self.snapshot()]

    def copy(self) -> RunState:
        """Return an independent copy."""
        other = RunState()
        for change in self.baseline():
            other.apply(change)
        # A snapshot marks finished messages by their status; the state keeps the original objects.
        other._messages |= {name: self._messages[name] for name in self._messages.keys() & self._finished_message_ids}
        other._finished_message_ids = set(self._finished_message_ids)
        other._streamed_message_ids = set(self._streamed_message_ids)
        other._is_streamed_so_far = self._is_streamed_so_far
        return other

    def with_offset(self, change: Change) -> Change:
        """Return a piece of a text with the place where it begins. Any other change is returned as it is."""
        match change:
            case TextDeltaChange(rest=None):
                offset = self._partial_content(change.message_id).text_length(change.index)
                return msgspec.structs.replace(change, offset=offset) if offset else change
            case ToolCallDeltaChange() if change.arguments is not None or change.code is not None:
                calls, index = self._partial_calls(change.step_id), change.index
                return msgspec.structs.replace(
                    change, arguments_offset=calls.arguments_length(index), code_offset=calls.code_length(index)
                )
            case _:
                return change

    def apply(self, change: Change, provenance: Provenance = Provenance.POLLED) -> None:
        """Apply one change to the state."""
        match change:
            case SnapshotChange():
                self._apply_snapshot(change, provenance)
            case StatusChange(run=run):
                self.run = run
                self._is_streamed_so_far = self._is_streamed_so_far and provenance is Provenance.STREAMED
            case StepChange(step=step):
                self._steps[step.id] = step
                self._partial_tool_calls.pop(step.id, None)
            case ToolCallDeltaChange():
                self._apply_tool_call_delta(change)
            case MessageCreatedChange(message=message):
                self._apply_message_created(message, provenance)
            case TextDeltaChange():
                self._apply_text_delta(change)
            case MessageFinishedChange(message=message):
                self._messages[message.id] = message
                self._partial_contents.pop(message.id, None)
                self._finished_message_ids.add(message.id)
            case _:
                pass  # a fault concerns the transport, not the run

    def _apply_snapshot(self, snapshot: SnapshotChange, provenance: Provenance) -> None:
        # A stream that begins after the run began does not contain the earlier changes.
        saw_beginning = self.run is None and snapshot.run.started_at is None and not snapshot.steps
        self._is_streamed_so_far = (saw_beginning or self._is_streamed_so_far) and provenance is Provenance.STREAMED
        self.run = snapshot.run
        self._steps = {step.id: step for step in snapshot.steps}
        self._messages = {message.id: message for message in snapshot.messages}
        self._partial_contents, self._partial_tool_calls = {}, {}
        completed = message_ids_from_completed_steps(snapshot.steps)
        self._finished_message_ids &= self._messages.keys()
        self._finished_message_ids |= {
            message.id for message in snapshot.messages if is_message_finished(message, snapshot.run, completed)
        }
        self._streamed_message_ids &= self._messages.keys()
        if provenance is Provenance.STREAMED:
            self._streamed_message_ids |= self._messages.keys() - self._finished_message_ids

    def _apply_message_created(self, message: MessageObject, provenance: Provenance) -> None:
        if message.id in self._finished_message_ids or (message.id in self._messages and not message.content):
            return
        if message.content:
            # The object's content includes the deltas that came before it.
            self._partial_contents.pop(message.id, None)
        self._messages[message.id] = message
        if provenance is Provenance.STREAMED:
            self._streamed_message_ids.add(message.id)

    def _apply_text_delta(self, delta: TextDeltaChange) -> None:
        if delta.message_id in self._finished_message_ids:
            return
        content = self._partial_contents[delta.message_id] = self._partial_content(delta.message_id)
        content.add_delta(delta)
        self._streamed_message_ids.add(delta.message_id)

    def _partial_content(self, message_id: str) -> PartialContent:
        """Return the partial content of a message. If there is none yet, return one that begins with the message."""
        content, message = self._partial_contents.get(message_id), self._messages.get(message_id)
        return content or PartialContent(None if message is None else message.content)

    def _apply_tool_call_delta(self, delta: ToolCallDeltaChange) -> None:
        step = self._steps.get(delta.step_id)
        if step is not None and step.status in FINAL_STEP_STATUSES:
            return
        calls = self._partial_tool_calls[delta.step_id] = self._partial_calls(delta.step_id)
        calls.add_delta(delta)

    def _partial_calls(self, step_id: str) -> PartialToolCalls:
        """Return the partial tool calls of a step. If there are none yet, return ones that begin with the step."""
        calls, step = self._partial_tool_calls.get(step_id), self._steps.get(step_id)
        return calls or PartialToolCalls(NULL if step is None else step.step_details)


def message_ids_from_completed_steps(steps: Iterable[RunStepObject]) -> frozenset[str]:
    """Return the ids of the messages whose step is completed."""
    created = (_created_message_id(step) for step in steps if step.status == "completed")
    return frozenset(message_id for message_id in created if message_id is not None)


def _created_message_id(step: RunStepObject) -> str | None:
    """Return the id of the message that a step writes."""
    if step.type not in {"message_creation", ""}:
        return None
    details = _DETAILS.decode_part(step.step_details)
    return None if details is None or details.message_creation is None else details.message_creation.message_id


def _has_written_tokens(run: RunObject) -> bool:
    return isinstance(run.usage, dict) and bool(run.usage.get("completion_tokens"))


def is_message_finished(message: MessageObject, run: RunObject, completed: Collection[str]) -> bool:
    """Return whether a run's message is finished. `completed` holds the ids of messages whose step is completed.

    The real service leaves `status` out of messages that are read, so the run and its steps decide.
    """
    if message.status in FINISHED_MESSAGE_STATUSES or is_terminal(run.status):
        return True
    if message.status is not None:
        return False
    return message.completed_at is not None or message.incomplete_at is not None or message.id in completed


def _with_finished_status(message: MessageObject) -> MessageObject:
    """Return the message with a status that marks it as finished."""
    status = "completed" if message.incomplete_at is None and message.incomplete_details is None else "incomplete"
    return msgspec.structs.replace(message, status=status)
