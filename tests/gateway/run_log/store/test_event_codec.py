from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redis import value_codec
from gateway.run_log.store import event_codec
from gateway.run_log.store.event_log import LogEntry
from schema.contract import run_events, wire
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
from schema.contract.thread_records import ThreadRecord
from tests.support.wire_samples import message, raw, raws, run, run_step

WORDS = st.text(max_size=5)
MAYBE = st.none() | WORDS
SMALL = st.integers(0, 2**31)
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        SnapshotChange,
        st.builds(run, WORDS, metadata=st.none() | st.dictionaries(WORDS, WORDS, max_size=2)),
        st.lists(st.builds(run_step, WORDS), max_size=2),
        st.lists(st.builds(message, WORDS, content=MAYBE), max_size=2),
    ),
    st.builds(StatusChange, st.builds(run, status=WORDS), MAYBE),
    st.builds(StepChange, st.builds(run_step, WORDS, status=WORDS)),
    st.builds(ToolCallDeltaChange, WORDS, SMALL, MAYBE, MAYBE, MAYBE, MAYBE),
    st.builds(MessageCreatedChange, st.builds(message, WORDS)),
    st.builds(TextDeltaChange, WORDS, SMALL, WORDS, st.lists(st.builds(raw, WORDS), max_size=2)),
    st.builds(MessageFinishedChange, st.builds(message, WORDS, content=MAYBE)),
    st.builds(FaultChange, WORDS, WORDS, st.booleans()),
    st.builds(LaggedChange, SMALL),
    st.builds(ThreadChange, WORDS, st.none() | st.builds(ThreadRecord, WORDS, SMALL, SMALL, MAYBE, st.booleans())),
    st.builds(ThreadRemovedChange, WORDS),
)
DELTA = TextDeltaChange("msg_1", 0, "word")
LARGE = TextDeltaChange("msg_1", 0, "x" * value_codec.MIN_COMPRESSED_BYTES)


def encoded(change: Change) -> bytes:
    return event_codec.encode_entry(1000.5, Provenance.STREAMED, change)


def shown(entry: LogEntry | None) -> Any:
    """Return comparable fields: raw parts are equal only to themselves, so changes are compared as JSON."""
    assert entry is not None
    change = msgspec.json.encode(entry.change)
    return entry.number, entry.at, entry.provenance, type(entry.change), change, entry.position


@given(SMALL, st.floats(0, 2**40), st.sampled_from(Provenance), CHANGES, st.sampled_from([None, "resp_1:7"]))
def test_an_entry_survives_encoding_unchanged(
    number: int, at: float, provenance: Provenance, change: Change, position: str | None
) -> None:
    back = event_codec.decode_entry(number, event_codec.encode_entry(at, provenance, change, position))
    assert shown(back) == shown(LogEntry(number, at, provenance, change, position))


def test_every_kind_of_change_is_covered() -> None:
    kinds = {one for one in vars(run_events).values() if isinstance(one, type) and one.__name__.endswith("Change")}
    assert kinds - {run_events._Change} == {type(one) for one in _one_of_each()}
    for change in _one_of_each():
        assert shown(event_codec.decode_entry(1, encoded(change))) == shown(
            LogEntry(1, 1000.5, Provenance.STREAMED, change)
        )


def _one_of_each() -> list[Change]:
    return [
        SnapshotChange(run(), [run_step()], [message()]),
        StatusChange(run()),
        StepChange(run_step()),
        ToolCallDeltaChange("step_1", 0),
        MessageCreatedChange(message()),
        DELTA,
        MessageFinishedChange(message()),
        FaultChange("CODE", "Message."),
        LaggedChange(1),
        ThreadChange("thread_1"),
        ThreadRemovedChange("thread_1"),
    ]


def test_raw_parts_stay_byte_for_byte() -> None:
    odd = msgspec.structs.replace(run(), tools=[msgspec.Raw(b'{"type" :  "new"}'), *raws({"type": "function"})])
    back = event_codec.decode_entry(1, encoded(StatusChange(odd)))
    assert back is not None
    assert isinstance(back.change, StatusChange)
    assert back.change.run.tools is not None
    assert [bytes(tool) for tool in back.change.run.tools] == [b'{"type" :  "new"}', b'{"type": "function"}']


def test_large_entries_are_compressed() -> None:
    assert len(encoded(LARGE)) < value_codec.MIN_COMPRESSED_BYTES / 10
    assert b"word" in encoded(DELTA)


def test_a_small_change_takes_few_bytes() -> None:
    assert len(encoded(DELTA)) < 150


def test_a_change_that_json_cannot_express_is_an_error() -> None:
    with pytest.raises(value_codec.UnencodableValueError):
        encoded(TextDeltaChange("msg_1", 0, "\ud800"))


@given(st.binary(max_size=60))
def test_garbage_is_no_entry(data: bytes) -> None:
    good = encoded(DELTA)
    start = len(event_codec._CODEC.header) + 8
    for damaged in (data, good[:start] + data, good[:start] + b"j" + data, good + data + b"x"):
        assert event_codec.decode_entry(1, damaged) is None


def test_an_entry_of_another_version_or_of_the_cache_is_no_entry() -> None:
    good = encoded(DELTA)
    assert event_codec.decode_entry(1, b"TE" + bytes(8) + good[10:]) is None
    assert event_codec.decode_entry(1, b"TG" + good[2:]) is None


def test_other_definitions_have_another_fingerprint() -> None:
    assert value_codec.fingerprint(wire, run_events) == event_codec.FINGERPRINT != value_codec.fingerprint(wire)
