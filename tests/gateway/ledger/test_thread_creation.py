"""Tests that the owner of a new thread is recorded before anybody learns of the thread."""

import asyncio
from typing import Any

import pytest

from gateway.ledger.ledger_store import ObjectKind
from gateway.ledger.thread_creation import ThreadCreation
from schema.contract.errors import ErrorCode, GatewayError, OwnKeyRefusedError
from schema.contract.run_streams import StreamEvent
from tests.support.fake_ownership import FakeIntent, FakeOwnership
from tests.support.signed_in import owner
from tests.support.wire_samples import message, run, thread

DOWN = GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "The upstream is down.")
MAY_HAVE_HAPPENED = GatewayError(ErrorCode.UPSTREAM_TIMEOUT, "Too slow.", retryable=False)


class Stream:
    """A run's stream that yields these batches of wire objects."""

    def __init__(self, *batches: list[Any]) -> None:
        self.thread_id = None
        self.batches = list(batches)
        self.is_closed = False

    async def read_events(self) -> list[StreamEvent]:
        return [StreamEvent(wire=wire) for wire in self.batches.pop(0)] if self.batches else []

    async def aclose(self) -> None:
        self.is_closed = True


async def begin() -> tuple[ThreadCreation, FakeIntent]:
    ownership = FakeOwnership()
    creation = ThreadCreation(await ownership.begin_create(owner("ann"), ObjectKind.THREAD))
    (intent,) = ownership.intents
    return creation, intent


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (thread("thread_1"), "thread_1"),
        (run("run_1", thread_id="thread_1"), "thread_1"),
        (run("run_1", thread_id=None), None),
        (message("msg_1"), None),
    ],
)
async def test_a_response_names_the_thread(result: Any, expected: str | None) -> None:
    creation, intent = await begin()
    await creation.record_result(result)
    assert creation.thread_id == intent.object_id == expected


@pytest.mark.parametrize("first", [thread("thread_1"), run("run_1", thread_id="thread_1")])
async def test_the_first_event_that_names_the_thread_comes_after_the_record(first: Any) -> None:
    creation, intent = await begin()
    stream = creation.watch_stream(Stream([message("msg_1")], [first, run("run_1", thread_id="thread_1")]))
    recorded = []
    for _ in range(2):
        await stream.read_events()
        recorded.append(intent.object_id)
    assert recorded == [None, "thread_1"]
    assert stream.thread_id is None
    # The response and later events record nothing again: the fake intent refuses a second record.
    await creation.record_result(run("run_1", thread_id="thread_1"))
    assert await stream.read_events() == []


async def test_events_wait_until_the_owner_is_recorded() -> None:
    creation, intent = await begin()
    recorded = asyncio.Event()
    record_id = intent.record_id

    async def record_later(upstream_id: str) -> None:
        await recorded.wait()
        await record_id(upstream_id)

    intent.record_id = record_later  # type: ignore[method-assign]
    reading = asyncio.create_task(creation.watch_stream(Stream([thread("thread_1")])).read_events())
    await asyncio.sleep(0)
    assert not reading.done()
    recorded.set()
    assert len(await reading) == 1


async def test_closing_it_closes_the_stream() -> None:
    creation, _ = await begin()
    stream = Stream()
    await creation.watch_stream(stream).aclose()
    assert stream.is_closed


@pytest.mark.parametrize(
    ("error", "is_discarded"),
    [
        (DOWN, True),
        (GatewayError(ErrorCode.BAD_USER_INPUT, "No."), True),
        (GatewayError(ErrorCode.NOT_FOUND, "No assistant found with id 'asst_1'."), True),
        (OwnKeyRefusedError(), True),
        (MAY_HAVE_HAPPENED, False),
        (GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, "What?"), False),
    ],
)
async def test_an_intent_stays_unless_the_upstream_surely_created_nothing(
    error: GatewayError, is_discarded: bool
) -> None:
    creation, intent = await begin()
    creation.record_failure(error)
    assert intent.is_discarded is is_discarded


async def test_an_intent_whose_thread_is_known_is_never_discarded() -> None:
    creation, intent = await begin()
    await creation.record_result(thread("thread_1"))
    creation.record_failure(DOWN)
    assert not intent.is_discarded
