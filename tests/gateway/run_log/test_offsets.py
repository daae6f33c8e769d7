"""A piece of streamed text says where it begins, so that a reader may apply it more than once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.run_log.run_state import RunState
from gateway.run_log.stream_diff import diff_stream_event
from schema.contract.run_events import (
    Change,
    MessageCreatedChange,
    Provenance,
    SnapshotChange,
    StepChange,
    TextDeltaChange,
    ToolCallDeltaChange,
)
from schema.contract.run_streams import StreamEvent
from schema.contract.tolerant_decoder import parse_raw
from schema.contract.wire import MessageObject, RunStepObject
from tests.support.wire_samples import message, run, run_step

TEXTS = st.text(st.sampled_from("a1é\u4e2d\U0001f600\u200d\n"), max_size=4)
PIECES = st.lists(st.tuples(st.integers(0, 1), TEXTS), max_size=12)
KEPT = {"function": "arguments", "code_interpreter": "input"}
CALL_PIECES = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(sorted(KEPT)), TEXTS), max_size=12)


class Reader:
    """A reader that applies each piece as a browser does: `text.slice(0, offset) + value`."""

    def __init__(self) -> None:
        self.texts: dict[object, bytes] = {}

    def receive(self, change: Change) -> None:
        match change:
            case SnapshotChange(messages=messages, steps=steps):
                self.texts.clear()
                self._start_from(messages, steps)
            case MessageCreatedChange(message=created):
                self._start_from([created], [])
            case TextDeltaChange():
                self._apply(change.index, change.offset, change.value)
            case ToolCallDeltaChange():
                self._apply((change.index, "function"), change.arguments_offset, change.arguments)
                self._apply((change.index, "code_interpreter"), change.code_offset, change.code)

    def _apply(self, place: object, offset: int, piece: str | None) -> None:
        if piece is not None:
            known = self.texts.get(place, b"")
            assert len(known) >= 2 * offset, f"a gap before {piece!r}"
            self.texts[place] = known[: 2 * offset] + piece.encode("utf-16-le")

    def _start_from(self, messages: list[MessageObject], steps: list[RunStepObject]) -> None:
        for one in messages:
            for index, part in enumerate(raw for raw in one.content or () if isinstance(raw, Raw)):
                text = parse_raw(part).get("text", {}).get("value", "")
                self.texts[index] = text.encode("utf-16-le")
        for step in steps:
            for index, call in enumerate((parse_raw(step.step_details) or {}).get("tool_calls", ())):
                for kind, name in KEPT.items():
                    self.texts[index, kind] = call.get(kind, {}).get(name, "").encode("utf-16-le")

    def shown(self) -> dict[object, str]:
        return {place: text.decode("utf-16-le") for place, text in self.texts.items() if text}


def changes_of(*deltas: dict[str, Any], snapshot_after: int) -> list[Change]:
    """Record a stream. After some deltas the recorder begins again, with the snapshot that a new log begins with."""
    state = RunState()
    written = message(role="assistant", status="in_progress", content=[])
    calling = run_step(type="tool_calls", status="in_progress", step_details={"type": "tool_calls", "tool_calls": []})
    begin: list[Change] = [
        SnapshotChange(run(status="in_progress"), [], []),
        StepChange(calling),
        MessageCreatedChange(written),
    ]
    recorded: list[Change] = []
    for change in begin:
        state.apply(change, Provenance.STREAMED)
        recorded.append(change)
    for number, delta in enumerate(deltas):
        if number == snapshot_after:
            recorded.append(state.snapshot())
            state = state.copy()
        for change in diff_stream_event(state, StreamEvent(delta=delta)):
            placed = state.with_offset(change)
            state.apply(placed, Provenance.STREAMED)
            recorded.append(placed)
    return recorded


def message_delta(*pieces: tuple[int, str]) -> dict[str, Any]:
    content = [{"index": index, "type": "text", "text": {"value": text}} for index, text in pieces]
    return {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": content}}


def step_delta(index: int, kind: str, text: str) -> dict[str, Any]:
    calls = [{"index": index, "type": kind, kind: {KEPT[kind]: text}}]
    return {"id": "step_1", "object": "thread.run.step.delta", "delta": {"step_details": {"tool_calls": calls}}}


def read_with_repeats(changes: list[Change], starts: list[int]) -> dict[object, str]:
    """Read all changes. Before each of them that `starts` names, fall back to an earlier one and read on from there."""
    reader = Reader()
    for number, change in enumerate(changes):
        reader.receive(change)
        for start in starts:
            if start % len(changes) == number:
                for again in changes[start % (number + 1) : number + 1]:
                    reader.receive(again)
    return reader.shown()


def expected(pieces: list[tuple[object, str]]) -> dict[object, str]:
    texts: dict[object, str] = {}
    for place, text in pieces:
        texts[place] = texts.get(place, "") + text
    return {place: text for place, text in texts.items() if text}


@given(pieces=PIECES, size=st.integers(1, 3), snapshot_after=st.integers(0, 12), starts=st.lists(st.integers(0, 40)))
def test_texts_applied_by_offset_are_whole_however_often_pieces_come(
    pieces: list[tuple[int, str]], size: int, snapshot_after: int, starts: list[int]
) -> None:
    deltas = [message_delta(*pieces[first : first + size]) for first in range(0, len(pieces), size)]
    changes = changes_of(*deltas, snapshot_after=snapshot_after)
    assert read_with_repeats(changes, starts) == expected(list(pieces))


@given(pieces=CALL_PIECES, snapshot_after=st.integers(0, 12), starts=st.lists(st.integers(0, 40)))
def test_tool_calls_applied_by_offset_are_whole_however_often_pieces_come(
    pieces: list[tuple[int, str, str]], snapshot_after: int, starts: list[int]
) -> None:
    changes = changes_of(*(step_delta(*piece) for piece in pieces), snapshot_after=snapshot_after)
    placed: list[tuple[object, str]] = [((index, kind), text) for index, kind, text in pieces]
    assert read_with_repeats(changes, starts) == expected(placed)


def test_a_piece_begins_behind_the_text_that_a_poll_found() -> None:
    state = RunState()
    state.apply(SnapshotChange(run(status="in_progress"), [], []))
    polled = [{"type": "text", "text": {"value": "\U0001f600 so", "annotations": []}}]
    state.apply(MessageCreatedChange(message(role="assistant", status="in_progress", content=polled)))
    (delta,) = diff_stream_event(state, StreamEvent(delta=message_delta((0, " far"))))
    assert state.with_offset(delta) == TextDeltaChange("msg_1", 0, " far", offset=5)
