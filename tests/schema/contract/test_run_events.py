"""Changes of every kind are encoded and decoded without loss."""

from typing import Any, get_args

import msgspec
import pytest

from schema.contract.run_events import (
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
    ThreadChange,
    ThreadRemovedChange,
    ToolCallDeltaChange,
)
from schema.contract.thread_records import ThreadRecord, TokenUsage
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
    ThreadChange("thread_1", ThreadRecord("thread_1", 1_000, 2_000, title="Tea", usage=TokenUsage(1, 2, 3, 0))),
    ThreadRemovedChange("thread_1"),
]


def test_there_is_a_sample_of_every_kind_of_change() -> None:
    assert {type(sample) for sample in SAMPLES} == set(get_args(Change))


@pytest.mark.parametrize("change", SAMPLES, ids=lambda change: type(change).__name__)
def test_an_encoded_change_can_be_decoded(change: Change) -> None:
    encoded = msgspec.json.encode(change)
    kind: Any = Change
    decoded = msgspec.json.decode(encoded, type=kind)
    assert type(decoded) is type(change)
    assert msgspec.json.encode(decoded) == encoded


def test_each_kind_of_change_has_its_own_tag() -> None:
    tags = [msgspec.json.decode(msgspec.json.encode(sample))["kind"] for sample in SAMPLES]
    assert len(set(tags)) == len(SAMPLES)


def test_a_change_of_an_unknown_kind_is_refused() -> None:
    kind: Any = Change
    with pytest.raises(msgspec.ValidationError, match="kind"):
        msgspec.json.decode(b'{"kind": "surprise"}', type=kind)


def test_changes_and_events_are_immutable() -> None:
    change, event = StatusChange(run()), run_event(LaggedChange(1))
    with pytest.raises(AttributeError):
        change.previous = "queued"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        event.cursor = "other"  # type: ignore[misc]


def test_a_provenance_is_a_string() -> None:
    assert [str(one) for one in Provenance] == ["SNAPSHOT", "STREAMED", "POLLED"]
