"""A replay buffer holds each event once; each reader has its own position in it."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.run_log.replay_buffer import CURSOR_EXPIRED, EventReader, ReplayBuffer, ReplayBufferLimits
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import (
    Change,
    LaggedChange,
    Provenance,
    RunEvent,
    SnapshotChange,
    StatusChange,
    TextDeltaChange,
)
from tests.support.run_log_processes import a_run, kinds, pending_events, settle

SNAPSHOT = SnapshotChange(a_run("queued"), [], [])


class Source:
    """The owner of a buffer, under the control of the test."""

    def __init__(self) -> None:
        self.has_ended = False
        self.error: GatewayError | None = None
        self.closed_readers = 0

    def present_event(self, change: Change, *, resumable: bool) -> RunEvent:
        return RunEvent("here" if resumable else "nowhere", 1.0, Provenance.SNAPSHOT, change)

    async def on_reader_closed(self, reader: EventReader) -> None:
        self.closed_readers += 1


def a_buffer(
    source: Source,
    entries: int = 10,
    size_bytes: int = 1 << 20,
    present: Sequence[Change] = (SNAPSHOT,),
    **options: bool,
) -> ReplayBuffer:
    return ReplayBuffer(source, ReplayBufferLimits(entries, size_bytes), lambda: present, **options)


def add_events(buffer: ReplayBuffer, *numbers: int, change: Change | None = None) -> None:
    for number in numbers:
        change_ = change or TextDeltaChange("msg_1", 0, str(number))
        buffer.add_event(RunEvent(f"cursor {number}", 1.0, Provenance.STREAMED, change_), number)
    buffer.wake_readers()


def new_reader(buffer: ReplayBuffer) -> EventReader:
    reader = EventReader(buffer)
    reader.start_reading()
    return reader


def test_a_reader_starts_with_the_present_and_continues() -> None:
    buffer = a_buffer(Source())
    add_events(buffer, 1, 2)
    reader = new_reader(buffer)
    add_events(buffer, 3)
    assert kinds(pending_events(reader)) == ["snapshot queued", "3"]
    assert reader.poll_event() is None


def test_readers_share_the_present_events_until_the_next_event() -> None:
    buffer = a_buffer(Source())
    first, second = new_reader(buffer).poll_event(), new_reader(buffer).poll_event()
    assert first is second
    add_events(buffer, 1)
    assert new_reader(buffer).poll_event() is not first


def test_only_the_last_present_event_is_resumable() -> None:
    buffer = a_buffer(Source(), present=[TextDeltaChange("msg_1", 0, "a"), TextDeltaChange("msg_1", 0, "b")])
    assert [event.cursor for event in pending_events(new_reader(buffer))] == ["nowhere", "here"]


def test_a_reader_can_start_at_the_oldest_snapshot_and_sees_no_other() -> None:
    buffer = a_buffer(Source(), entries=4, starts_with_snapshot=True)
    add_events(buffer, 1, change=SNAPSHOT)
    add_events(buffer, 2)
    first = new_reader(buffer)
    add_events(buffer, 3, change=SNAPSHOT)
    add_events(buffer, 4)
    assert kinds(pending_events(first)) == ["snapshot queued", "2", "4"]
    assert kinds(pending_events(new_reader(buffer))) == ["snapshot queued", "2", "4"]
    add_events(buffer, 5, 6)
    assert kinds(pending_events(new_reader(buffer))) == ["snapshot queued", "4", "5", "6"]
    assert kinds(pending_events(first)) == ["5", "6"]


def test_a_reader_resumes_behind_an_entry_that_is_held() -> None:
    buffer = a_buffer(Source(), entries=3)
    buffer.set_resumable_after(0)
    add_events(buffer, 1, 2, 3, 4, 5)
    for number, expected in ((2, ["3", "4", "5"]), (4, ["5"]), (5, [])):
        reader = EventReader(buffer)
        reader.resume_after(number, "mine")
        assert kinds(pending_events(reader)) == expected
    for lost in (1, None):
        reader = EventReader(buffer)
        reader.resume_after(lost, "mine")
        fault, shown = pending_events(reader)
        assert fault.change is CURSOR_EXPIRED
        assert fault.cursor == "mine"
        assert kinds([shown]) == ["snapshot queued"]


def test_a_buffer_that_does_not_report_lag_shows_the_present() -> None:
    buffer = a_buffer(Source(), entries=2, reports_lag=False)
    reader = new_reader(buffer)
    pending_events(reader)
    add_events(buffer, 1, 2, 3)
    assert kinds(pending_events(reader)) == ["snapshot queued"]
    resumed = EventReader(buffer)
    resumed.resume_after(None, "mine")
    assert kinds(pending_events(resumed)) == ["snapshot queued"]


def test_a_slow_reader_is_told_how_much_it_missed() -> None:
    buffer = a_buffer(Source(), entries=3)
    slow = new_reader(buffer)
    slow.poll_event()
    add_events(buffer, 1, 2, 3, 4)
    lagged, shown = pending_events(slow)
    assert lagged.change == LaggedChange(4)
    assert lagged.cursor == "nowhere"
    assert kinds([shown]) == ["snapshot queued"]
    add_events(buffer, 5)
    assert kinds(pending_events(slow)) == ["5"]


def test_a_buffer_is_bounded_in_bytes_but_holds_the_last_event() -> None:
    buffer = a_buffer(Source(), entries=1000, size_bytes=5_000)
    for number in range(100):
        add_events(buffer, number, change=TextDeltaChange("msg_1", 0, "x" * 100))
    assert buffer.size_bytes <= 5_000
    assert buffer.end_index - buffer.start_index >= 2
    add_events(buffer, 100, change=TextDeltaChange("msg_1", 0, "x" * 100_000))
    assert buffer.end_index - buffer.start_index == 1


def test_a_gap_in_the_log_is_a_lag_and_a_new_log_is_an_expired_cursor() -> None:
    buffer = a_buffer(Source())
    reader = new_reader(buffer)
    pending_events(reader)
    add_events(buffer, 1)
    buffer.skip_events(5, 6)
    add_events(buffer, 7)
    lagged, _ = pending_events(reader)
    assert lagged.change == LaggedChange(7)
    assert buffer.index_after_entry(5) is None
    assert buffer.index_after_entry(6) == buffer.start_index
    buffer.skip_events(None, 0)
    add_events(buffer, 1)
    assert pending_events(reader)[0].change is CURSOR_EXPIRED
    add_events(buffer, 2)
    assert kinds(pending_events(reader)) == ["2"]


def test_the_end_comes_after_all_held_events() -> None:
    source = Source()
    buffer = a_buffer(source)
    reader = new_reader(buffer)
    add_events(buffer, 1)
    source.has_ended = True
    assert [reader.poll_event() is not None for _ in range(2)] == [True, True]
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            reader.poll_event()


def test_an_error_comes_after_all_held_events_and_repeatedly() -> None:
    source = Source()
    buffer = a_buffer(source)
    reader = new_reader(buffer)
    source.error = GatewayError(ErrorCode.FORBIDDEN, "No.")
    assert reader.poll_event() is not None
    for _ in range(2):
        with pytest.raises(GatewayError):
            reader.poll_event()


async def test_waiting_ends_with_an_event_with_the_end_and_with_closing() -> None:
    source = Source()
    buffer = a_buffer(source, present=[])
    reader, closing_reader = new_reader(buffer), new_reader(buffer)
    assert aiter(reader) is reader
    waiting, closing = asyncio.ensure_future(anext(reader)), asyncio.ensure_future(anext(closing_reader))
    await settle()
    await closing_reader.aclose()
    await closing_reader.aclose()
    with pytest.raises(StopAsyncIteration):
        await closing
    assert source.closed_readers == 1
    assert buffer.readers == {reader}
    add_events(buffer, 1)
    assert kinds([await waiting]) == ["1"]
    waiting = asyncio.ensure_future(anext(reader))
    await settle()
    source.has_ended = True
    buffer.wake_readers()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_a_cancelled_wait_loses_no_event() -> None:
    buffer = a_buffer(Source(), present=[])
    reader = new_reader(buffer)
    waiting = asyncio.ensure_future(anext(reader))
    await settle()
    add_events(buffer, 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert kinds([await anext(reader)]) == ["1"]


async def test_the_callback_is_called_for_held_and_new_events_until_closing() -> None:
    buffer = a_buffer(Source())
    reader = new_reader(buffer)
    calls: list[int] = []
    reader.on_available(lambda: calls.append(1))
    assert calls == []
    await settle()
    assert calls == [1]
    add_events(buffer, 1)
    assert calls == [1, 1]
    await reader.aclose()
    add_events(buffer, 2)
    assert calls == [1, 1]


async def test_a_reader_can_close_during_a_wake() -> None:
    buffer = a_buffer(Source(), present=[])
    readers = [new_reader(buffer) for _ in range(3)]
    closing: list[asyncio.Task[None]] = []

    def close_all() -> None:
        closing.extend(asyncio.ensure_future(reader.aclose()) for reader in readers)

    for reader in readers:
        reader.on_available(close_all)
    add_events(buffer, 1)
    await asyncio.gather(*closing)
    assert buffer.readers == set()


async def test_a_failing_reader_does_not_affect_the_others(caplog: pytest.LogCaptureFixture) -> None:
    buffer = a_buffer(Source(), present=[])
    readers = [new_reader(buffer) for _ in range(2)]
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise RuntimeError

    for reader in readers:
        reader.on_available(fail)
    add_events(buffer, 1)
    assert calls == [1, 1]
    assert len(caplog.records) == 2


def test_without_a_report_of_lag_no_status_is_repeated() -> None:
    present: list[Change] = [StatusChange(a_run("in_progress"))]
    buffer = a_buffer(Source(), present=present, reports_lag=False)
    knows, knew_before = new_reader(buffer), new_reader(buffer)
    assert kinds(pending_events(knows)) == kinds(pending_events(knew_before)) == ["in_progress"]
    buffer.skip_events(None, 0)
    assert kinds(pending_events(knows)) == []
    present[:] = [StatusChange(a_run("cancelling"))]
    buffer.skip_events(None, 0)
    assert kinds(pending_events(knows)) == kinds(pending_events(knew_before)) == ["cancelling"]
    add_events(buffer, 1, change=StatusChange(a_run("cancelled"), "cancelling"))
    assert kinds(pending_events(knows)) == ["cancelled"]
