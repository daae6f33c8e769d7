"""Tests that sightings are written in batches behind the requests, and again while the ledger is away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.ledger.ledger_store import LedgerUnavailableError
from gateway.ledger.record_store import RecordChanges, WrittenRecord
from gateway.ledger.search_words import to_text_digest
from gateway.ledger.sightings import CredentialOwner, RecordKey, SeenMessage, SeenThread, Sighting
from gateway.viewer import sighting_writer
from gateway.viewer.known_objects import KNOWN_SECONDS
from gateway.viewer.passed_reads import PassedRead
from gateway.viewer.pending_sightings import PendingSightings, SightingBatch
from gateway.viewer.seen_objects import SeenObject
from gateway.viewer.sighting_writer import OWNERLESS_SECONDS, READ_SECONDS, SightingWriter
from schema.contract.kinds import MessagePageKey
from schema.contract.paging import Window
from schema.contract.wire import MessageObject, Page
from tests.support.subscription_gateway import until
from tests.support.wire_samples import message

ANN, BOB = CredentialOwner("ann"), CredentialOwner("bob")
KEY = RecordKey(ANN, "thread_1")


def thread(number: int, owner: CredentialOwner = ANN, **values: Any) -> SeenObject:
    fields = {"seen_at_ms": 1, "created_at_ms": 1} | values
    return SeenObject(SeenThread(RecordKey(owner, f"thread_{number}"), **fields))


@dataclass
class FakeLedger:
    """Takes batches, unless it is away, refuses one thread, or knows no owner of it."""

    is_away: bool = False
    refused: set[str] = field(default_factory=set)
    ownerless: set[str] = field(default_factory=set)
    first_owner_after: int | None = None
    batches: list[list[Sighting]] = field(default_factory=list)
    told: list[SightingBatch] = field(default_factory=list)
    found: dict[RecordKey, WrittenRecord] = field(default_factory=dict)
    asked: list[list[RecordKey]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    now: float = 0.0

    async def write(self, sightings: Sequence[Sighting]) -> RecordChanges:
        if self.is_away:
            raise LedgerUnavailableError("away")
        if any(seen.key.thread_id in self.refused for seen in sightings):
            raise ValueError("refused")
        self.batches.append(list(sightings))
        if len(self.batches) == self.first_owner_after:
            self.ownerless.discard("thread_1")
        return RecordChanges(unowned=frozenset(seen.key for seen in sightings if seen.key.thread_id in self.ownerless))

    async def find_written(self, messages: Mapping[RecordKey, Collection[str]]) -> dict[RecordKey, WrittenRecord]:
        if self.is_away:
            raise LedgerUnavailableError("away")
        self.asked.append(list(messages))
        return {key: record for key, record in self.found.items() if key in messages}

    async def on_written(self, _: RecordChanges, batch: SightingBatch) -> None:
        self.told.append(batch)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    @property
    def written(self) -> list[str]:
        return [seen.key.thread_id for batch in self.batches for seen in batch]


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
async def writer(ledger: FakeLedger) -> AsyncIterator[SightingWriter]:
    writer = new_writer(ledger)
    writer.start()
    yield writer
    ledger.is_away = False
    await writer.aclose()


def new_writer(ledger: FakeLedger, pending: PendingSightings | None = None) -> SightingWriter:
    return SightingWriter(
        ledger.write,
        ledger.on_written,
        find_written=ledger.find_written,
        pending=pending,
        sleep=ledger.sleep,
        now_seconds=lambda: ledger.now,
    )


def read(*messages: MessageObject, at_ms: int = 1) -> PassedRead:
    key = MessagePageKey("thread_1", None, Window(10, "desc", "msg_9"))
    return PassedRead(ANN, key, Page(list(messages), has_more=True), at_ms)


def submit(writer: SightingWriter, *seen: SeenObject) -> None:
    for each in seen:
        owner = each.sighting.key.owner
        assert isinstance(owner, CredentialOwner)
        writer.submit(owner, iter([each]))


async def test_what_comes_together_is_one_batch(ledger: FakeLedger, writer: SightingWriter) -> None:
    submit(writer, thread(1), thread(2, BOB), thread(1, seen_at_ms=2))
    assert writer.has_pending(ANN)
    await writer.wait_until_idle()
    assert [sorted(seen.key.thread_id for seen in batch) for batch in ledger.batches] == [["thread_1", "thread_2"]]
    assert [len(batch) for batch in ledger.told] == [2]
    assert (writer.has_pending(ANN), writer.pending_count) == (False, 0)


async def test_many_are_several_batches(ledger: FakeLedger, writer: SightingWriter) -> None:
    writer.submit(ANN, (thread(number) for number in range(1200)))
    await writer.wait_until_idle()
    assert [len(batch) for batch in ledger.batches] == [500, 500, 200]


async def test_what_the_ledger_does_not_take_is_written_once_it_answers(
    ledger: FakeLedger, writer: SightingWriter
) -> None:
    ledger.is_away = True
    submit(writer, thread(1))
    await until(lambda: len(ledger.pauses) > 12)
    submit(writer, thread(2))
    assert writer.has_pending(ANN)
    ledger.is_away = False
    await writer.wait_until_idle()
    assert sorted(ledger.written) == ["thread_1", "thread_2"]
    assert max(ledger.pauses) == sighting_writer.MAX_PAUSE_SECONDS


async def test_one_that_the_ledger_refuses_costs_only_itself(
    ledger: FakeLedger, writer: SightingWriter, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.refused = {"thread_3"}
    with caplog.at_level(logging.ERROR):
        writer.submit(ANN, (thread(number) for number in range(8)))
        await writer.wait_until_idle()
    assert sorted(ledger.written) == [f"thread_{number}" for number in range(8) if number != 3]
    assert [record.getMessage() for record in caplog.records] == ["what was seen of thread thread_3 cannot be stored"]


async def test_an_object_that_cannot_be_taken_apart_costs_only_its_result(
    ledger: FakeLedger, writer: SightingWriter, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Iterator[SeenObject]:
        yield thread(1)
        raise ValueError("garbage")

    with caplog.at_level(logging.ERROR):
        writer.submit(ANN, broken())
        submit(writer, thread(2))
        await writer.wait_until_idle()
    assert sorted(ledger.written) == ["thread_1", "thread_2"]
    assert len(caplog.records) == 1


async def test_a_thread_whose_owner_is_on_the_way_is_written_again_but_not_for_ever(
    ledger: FakeLedger, writer: SightingWriter
) -> None:
    ledger.ownerless = {"thread_1", "thread_2"}
    ledger.first_owner_after = 3
    submit(writer, thread(1), thread(2))
    await writer.wait_until_idle()
    assert ledger.now >= OWNERLESS_SECONDS
    assert ledger.written.count("thread_1") == 3
    assert ledger.written.count("thread_2") > 3
    submit(writer, thread(1))
    await writer.wait_until_idle()
    before = len(ledger.batches)
    submit(writer, thread(3))
    await writer.wait_until_idle()
    assert len(ledger.batches) == before + 1


async def test_what_was_written_a_moment_ago_is_not_written_again(ledger: FakeLedger, writer: SightingWriter) -> None:
    hello, unfinished = message(content="Hello"), message("msg_2", content="Half", status="in_progress")
    for _ in range(2):
        writer.submit_read(read(hello, unfinished))
        await writer.wait_until_idle()
        ledger.found = {KEY: WrittenRecord(0, 2**60, "msg_0", {})}
    assert [len(batch) for batch in ledger.batches] == [2, 1]
    writer.submit_read(read(hello))
    assert writer.pending_count == 0
    for change in ("of the text", "of the thread", "of the time"):
        before = len(ledger.batches)
        if change == "of the thread":
            writer.drop_thread("thread_1")
        elif change == "of the time":
            ledger.now += KNOWN_SECONDS
        writer.submit_read(read(message(content="Changed")))
        await writer.wait_until_idle()
        assert len(ledger.batches) == before + 1


async def test_what_the_ledger_has_is_not_written_and_then_known(ledger: FakeLedger, writer: SightingWriter) -> None:
    hello, there = message(content="Hello"), message("msg_2", content="there")
    ledger.found = {KEY: WrittenRecord(0, 2**60, "msg_0", {"msg_1": to_text_digest("Hello")})}
    writer.submit_read(read(hello, there))
    await writer.wait_until_idle()
    assert [seen.message_id for batch in ledger.batches for seen in batch if isinstance(seen, SeenMessage)] == ["msg_2"]
    writer.submit_read(read(hello, there))
    assert (writer.pending_count, len(ledger.asked)) == (0, 1)


async def test_what_was_read_waits_while_the_ledger_is_away(ledger: FakeLedger, writer: SightingWriter) -> None:
    ledger.is_away = True
    writer.submit_read(read(message(content="Hello")))
    await until(lambda: len(ledger.pauses) > 5)
    assert writer.has_pending(ANN)
    ledger.is_away = False
    await writer.wait_until_idle()
    assert ledger.written == ["thread_1"]


async def test_a_thread_that_is_dropped_while_it_is_written_is_not_known(ledger: FakeLedger) -> None:
    writer: SightingWriter

    async def write_and_drop(sightings: Sequence[Sighting]) -> RecordChanges:
        changes = await ledger.write(sightings)
        if len(ledger.batches) == 1:
            writer.drop_thread("thread_1")
        return changes

    writer = SightingWriter(
        write_and_drop, ledger.on_written, find_written=ledger.find_written, sleep=ledger.sleep, now_seconds=lambda: 0
    )
    writer.start()
    for _ in range(3):
        writer.submit_read(read(message(content="Hello")))
        await writer.wait_until_idle()
    assert [len(batch) for batch in ledger.batches] == [1, 1]
    await writer.aclose()


async def test_a_thread_that_is_dropped_while_it_is_looked_up_is_not_known(ledger: FakeLedger) -> None:
    writer: SightingWriter

    async def find_and_drop(_: Mapping[RecordKey, Collection[str]]) -> dict[RecordKey, WrittenRecord]:
        writer.drop_thread("thread_1")
        return {KEY: WrittenRecord(0, 2**60, "msg_0", {"msg_1": to_text_digest("Hello")})}

    writer = SightingWriter(ledger.write, ledger.on_written, find_written=find_and_drop, sleep=ledger.sleep)
    writer.start()
    writer.submit_read(read(message(content="Hello"), message("msg_2", content="there")))
    await writer.wait_until_idle()
    assert ledger.batches == []
    writer.submit_read(read(message(content="Hello")))
    assert writer.pending_count == 1
    await writer.aclose()


async def test_what_was_read_of_a_thread_before_it_was_dropped_is_not_written(
    ledger: FakeLedger, writer: SightingWriter
) -> None:
    writer.submit_read(read(message(content="Hello")))
    writer.drop_thread("thread_1")
    await writer.wait_until_idle()
    assert ledger.batches == []
    writer.submit_read(read(message(content="Hello")))
    await writer.wait_until_idle()
    assert ledger.written == ["thread_1"]


async def test_what_was_read_waits_for_more_unless_somebody_waits_for_it(ledger: FakeLedger) -> None:
    read_waits = asyncio.Queue[asyncio.Event]()

    async def sleep(seconds: float) -> None:
        if seconds == READ_SECONDS:
            over = asyncio.Event()
            read_waits.put_nowait(over)
            await over.wait()
        elif seconds != 5:  # which is longer than the test
            await ledger.sleep(seconds)
        else:
            await asyncio.Event().wait()

    writer = SightingWriter(ledger.write, ledger.on_written, find_written=ledger.find_written, sleep=sleep)
    writer.start()
    writer.submit_read(read(message("msg_1", content="1")))
    over = await read_waits.get()
    writer.submit_read(read(message("msg_2", content="2")))
    assert ledger.batches == []
    over.set()
    await until(lambda: [len(batch) for batch in ledger.batches] == [2])
    writer.submit_read(read(message("msg_3", content="3")))
    await read_waits.get()
    await writer.settle(ANN, 5)
    writer.submit_read(read(message("msg_4", content="4")))
    await read_waits.get()
    submit(writer, thread(5, BOB))
    await until(lambda: [len(batch) for batch in ledger.batches] == [2, 1, 2])
    await writer.aclose()


async def test_what_comes_too_much_is_dropped_and_made_good_when_it_is_seen_again(
    ledger: FakeLedger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sighting_writer, "MAX_RESULTS", 3)
    writer = new_writer(ledger, PendingSightings(max_pending=2))
    with caplog.at_level(logging.WARNING):
        submit(writer, *(thread(number) for number in range(4)))
        assert writer.pending_count == 3
        writer.start()
        await writer.wait_until_idle()
    assert ledger.written == ["thread_0", "thread_1"]
    assert "will be late" in caplog.text
    submit(writer, thread(2), thread(3))
    await writer.wait_until_idle()
    assert sorted(ledger.written) == ["thread_0", "thread_1", "thread_2", "thread_3"]
    await writer.aclose()


async def test_a_reader_waits_for_its_own_sightings_alone_and_not_for_long(
    ledger: FakeLedger, writer: SightingWriter
) -> None:
    await writer.settle(ANN, 1)
    assert ledger.pauses == []
    submit(writer, thread(1))
    await writer.settle(BOB, 1)
    assert ledger.batches == []
    await writer.settle(ANN, 1)
    ledger.is_away = True
    submit(writer, thread(2))
    await writer.settle(ANN, 1)
    assert writer.has_pending(ANN)


async def test_what_waits_of_a_refused_caller_or_a_deleted_thread_is_dropped(ledger: FakeLedger) -> None:
    pending = PendingSightings()
    for seen in (thread(1), thread(2), thread(3, BOB)):
        pending.add(seen)
    writer = new_writer(ledger, pending)
    writer.drop_owner(BOB)
    writer.drop_thread("thread_2")
    await writer.aclose()
    assert ledger.written == ["thread_1"]


async def test_a_stop_writes_what_waits_or_says_how_much_is_lost(
    ledger: FakeLedger, caplog: pytest.LogCaptureFixture
) -> None:
    writer = new_writer(ledger)
    submit(writer, thread(1))
    await writer.aclose()
    assert ledger.written == ["thread_1"]
    submit(writer, thread(2))
    assert writer.pending_count == 0
    ledger.is_away = True
    other = new_writer(ledger)
    submit(other, thread(3))
    with caplog.at_level(logging.WARNING):
        await other.aclose()
    assert "sightings that never reached the ledger: 1" in caplog.text
