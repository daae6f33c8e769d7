"""The difference between a run's stream and the known state. Pure.

An event that comes twice, too late or out of order, is of another run or of an unknown kind, results in no change. The
content of an event is its object, never its name; the name decides only if an object has no status of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from gateway.run_log.delta_merging import without_empty_fields
from gateway.run_log.partial_content import says_nothing
from gateway.run_log.run_state import RunState
from schema.contract.run_events import (
    Change,
    FaultChange,
    MessageCreatedChange,
    MessageFinishedChange,
    Provenance,
    SnapshotChange,
    StatusChange,
    StepChange,
    TextDeltaChange,
    ToolCallDeltaChange,
)
from schema.contract.run_streams import StreamEvent
from schema.contract.statuses import FINAL_STEP_STATUSES, FINISHED_MESSAGE_STATUSES, is_terminal
from schema.contract.tolerant_decoder import parse_raw, text_from_json
from schema.contract.wire import MessageObject, RunObject, RunStepObject

_MAX_INDEX = 1_000


def diff_stream_event(state: RunState, event: StreamEvent) -> list[Change]:
    """Return the changes of one event. Returns none if the run is over or, except for the run itself, not known yet."""
    if state.is_over:
        return []
    fault = event.error or event.decode_error
    if fault is not None:
        return [FaultChange(fault.code.value, fault.message)]
    if isinstance(event.wire, RunObject):
        return diff_status(state, event.wire)
    if not state.has_begun:
        return []
    if isinstance(event.wire, RunStepObject):
        return diff_step(state, event.wire, streamed=True)
    if isinstance(event.wire, MessageObject):
        return _diff_message(state, event.wire, event.name or "")
    return [] if event.delta is None else list(_changes_from_delta(state, event.delta))


def first_snapshot(run: RunObject, earlier: Sequence[StreamEvent]) -> SnapshotChange:
    """Return the snapshot of a run from a stream's first run object and the `earlier` events of the stream."""
    state = RunState()
    # In progress, because a run that is over would ignore its own steps and messages.
    state.apply(SnapshotChange(msgspec.structs.replace(run, status="in_progress"), [], []))
    for event in earlier:
        if not isinstance(event.wire, RunObject):
            for change in diff_stream_event(state, event):
                state.apply(change, Provenance.STREAMED)
    snapshot = state.snapshot()
    return SnapshotChange(run, snapshot.steps, snapshot.messages)


def diff_status(state: RunState, run: RunObject) -> list[Change]:
    """Return the change of a run's status. A terminal status is the last one; changes of other fields are no event."""
    if state.run is None:
        return [SnapshotChange(run, [], [])]
    if run.id != state.run.id or not is_new_status(state.run.status, run.status):
        return []
    return [StatusChange(run, state.run.status)]


def is_new_status(known: str, status: str) -> bool:
    """Return whether a status is new, and not an old one that comes late.

    Only a run that waited for its caller is queued again, and a run that is cancelling can only end.
    Source: the run lifecycle in the API's documentation.
    """
    if is_terminal(known) or status == known:
        return False
    if known == "cancelling":
        return is_terminal(status)
    return not (known == "in_progress" and status == "queued")


def diff_step(state: RunState, step: RunStepObject, *, streamed: bool) -> list[Change]:
    """Return the change of a step. A step never leaves a final status."""
    known = state.step(step.id)
    if known is not None:
        if known.status in FINAL_STEP_STATUSES and step.status not in FINAL_STEP_STATUSES:
            return []
        if known.status == step.status:
            # While deltas of tool calls are streamed, a step object holds fewer calls than the state.
            if streamed and state.has_partial_tool_calls(step.id) and step.status not in FINAL_STEP_STATUSES:
                return []
            if _comparable_fields(known) == _comparable_fields(step):
                return []
    return [StepChange(step)]


def _diff_message(state: RunState, message: MessageObject, name: str) -> list[Change]:
    if state.run is None or message.run_id not in {None, state.run.id} or state.is_finished(message.id):
        return []
    changes: list[Change] = [] if state.message(message.id) is not None else [MessageCreatedChange(message)]
    if message.status is None:
        ended = message.completed_at is not None or message.incomplete_at is not None
        finished = ended or name.endswith((".completed", ".incomplete"))
    else:
        finished = message.status in FINISHED_MESSAGE_STATUSES
    if finished and says_nothing(message):
        known = state.message(message.id)
        # If its deltas said something, a poll tells the whole message.
        finished = known is None or says_nothing(known)
    return [*changes, MessageFinishedChange(message)] if finished else changes


def _changes_from_delta(state: RunState, delta: dict[str, Any]) -> Iterator[Change]:
    object_id, body = delta.get("id"), delta.get("delta")
    if not isinstance(object_id, str) or not isinstance(body, dict):
        return
    if delta.get("object") == "thread.message.delta":
        if not state.is_finished(object_id):
            yield from _changes_from_message_delta(object_id, body)
    elif delta.get("object") == "thread.run.step.delta":
        step = state.step(object_id)
        if step is None or step.status not in FINAL_STEP_STATUSES:
            yield from _changes_from_step_delta(object_id, body)


def _changes_from_message_delta(message_id: str, body: dict[str, Any]) -> Iterator[Change]:
    content = body.get("content")
    for index, part in _indexed_objects([{"text": content}] if isinstance(content, str) else content):
        text = part.get("text")
        if isinstance(text, str):
            text = {"value": text}
        if isinstance(text, dict):
            value = _str_or_none(text.get("value")) or ""
            annotations = [Raw(msgspec.json.encode(item)) for item in _listed(text.get("annotations"))]
            if value or annotations:
                yield TextDeltaChange(message_id, index, value, annotations)
        elif part.get("type") != "text" and (rest := without_empty_fields(_without(part, "index", "text"))):
            yield TextDeltaChange(message_id, index, "", rest=rest)


def _changes_from_step_delta(step_id: str, body: dict[str, Any]) -> Iterator[Change]:
    details = body.get("step_details")
    for index, call in _indexed_objects(details.get("tool_calls") if isinstance(details, dict) else None):
        function, code = _dict_or_empty(call.get("function")), _dict_or_empty(call.get("code_interpreter"))
        rest = _without(call, "index", "id", "function", "code_interpreter") | {
            "function": _without(function, "name", "arguments"),
            "code_interpreter": _without(code, "input"),
        }
        if (function or code) and rest.get("type") in {"function", "code_interpreter"}:
            del rest["type"]  # the field tells the kind
        change = ToolCallDeltaChange(
            step_id,
            index,
            call_id=_str_or_none(call.get("id")),
            name=_str_or_none(function.get("name")),
            arguments=None if (sent := function.get("arguments")) is None else text_from_json(sent),
            code=_str_or_none(code.get("input")),
            rest=without_empty_fields(rest) or None,
        )
        if change != ToolCallDeltaChange(step_id, index):
            yield change


def _without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _indexed_objects(listed: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """Iterate over the objects of a list, each with its `index` field or else its position."""
    for position, item in enumerate(_listed(listed)):
        if isinstance(item, dict):
            index = item.get("index")
            if isinstance(index, float) and index.is_integer():
                index = int(index)
            if type(index) is not int:
                index = position
            if 0 <= index < _MAX_INDEX:
                yield index, item


def _listed(value: object) -> list[Any]:
    """Return a list as it is, and an object as the only item of a list. Anything else is no item."""
    if isinstance(value, dict) and value:
        return [value]
    return value if isinstance(value, list) else []


def _dict_or_empty(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _str_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _comparable_fields(step: RunStepObject) -> tuple[object, ...]:
    """Return the fields that make a difference. Only some servers write nulls, empty values and indexes."""
    return step.status, step.last_error, step.usage, without_empty_fields(parse_raw(step.step_details), "index")
