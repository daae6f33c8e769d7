"""Changes are written down and read back as they were, whatever kind they are of."""

from typing import Any, get_args

import msgspec
import pytest

from schema.contract.run_events import (
    TERMINAL_STATUSES,
    Change,
    FaultChange,
    LaggedChange,
    MessageCreatedChange,
    MessageFinishedChange,
    Provenance,
    SnapshotChange,
    StatusChange,
    StepChange,
    TextDeltaChange,
    ToolCallDeltaChange,
    is_terminal,
)
from schema.graph.enums import RunStatus
from tests.support.fake_run_events import run_event
from tests.support.wire_samples import message, raws, run, run_step

SAMPLES: list[Change] = [
    SnapshotChange(run(), [run_step()], [message()]),
    StatusChange(run(status="completed"), "in_progress"),
    StepChange(run_step()),
    ToolCallDeltaChange("step_1", 0, "call_1", "weather", '{"city"', None),
    MessageCreatedChange(message()),
    TextDeltaChange("msg_1", 0, "Hel", raws({"type": "file_path"})),
    MessageFinishedChange(message(content=[{"type": "text", "text": {"value": "Hello"}}])),
    FaultChange("TOKENS_LOST", "Some were lost."),
    LaggedChange(7),
]


def test_there_is_a_sample_of_every_kind() -> None:
    assert {type(sample) for sample in SAMPLES} == set(get_args(Change))


@pytest.mark.parametrize("change", SAMPLES, ids=lambda change: type(change).__name__)
def test_a_change_that_was_written_down_is_read_back(change: Change) -> None:
    written = msgspec.json.encode(change)
    kind: Any = Change
    read = msgspec.json.decode(written, type=kind)
    assert type(read) is type(change)
    assert msgspec.json.encode(read) == written


def test_kinds_are_told_apart_by_a_word_of_their_own() -> None:
    words = [msgspec.json.decode(msgspec.json.encode(sample))["kind"] for sample in SAMPLES]
    assert len(set(words)) == len(SAMPLES)


def test_a_change_of_an_unknown_kind_is_refused() -> None:
    kind: Any = Change
    with pytest.raises(msgspec.ValidationError, match="kind"):
        msgspec.json.decode(b'{"kind": "surprise"}', type=kind)


def test_what_has_been_written_down_never_changes() -> None:
    change, event = StatusChange(run()), run_event(LaggedChange(1))
    with pytest.raises(AttributeError):
        change.previous = "queued"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        event.cursor = "other"  # type: ignore[misc]


def test_provenance_is_written_as_its_word() -> None:
    assert [str(word) for word in Provenance] == ["SNAPSHOT", "STREAMED", "POLLED"]


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action", "cancelling", "", "paused"])
def test_a_status_that_may_still_change_is_not_terminal(status: str) -> None:
    assert not is_terminal(status)


@pytest.mark.parametrize("status", sorted(TERMINAL_STATUSES))
def test_a_terminal_status_is_one_that_the_graph_knows_and_describes_as_terminal(status: str) -> None:
    assert is_terminal(status)
    assert RunStatus(status) is not RunStatus.UNRECOGNIZED
