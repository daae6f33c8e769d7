"""Reads of responses that several parts of an operation want at once."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.upstream.responses.conversation_operations import OneResponseKey
from gateway.upstream.responses.response_reads import ResponseReads
from schema.contract.errors import ErrorCode, GatewayError
from tests.support.run_log_processes import settle

GONE = GatewayError(ErrorCode.NOT_FOUND, "Gone.")


class SlowCalls:
    """Calls that are answered when the test says so. `reads` are the ids that were asked for, call by call."""

    def __init__(self) -> None:
        self.reads: list[list[str]] = []
        self.answered = asyncio.Event()

    async def read_all(self, _: object, keys: Sequence[OneResponseKey]) -> list[Any]:
        if keys:
            self.reads.append([key.response_id for key in keys])
            await self.answered.wait()
        return [GONE if key.response_id == "resp_gone" else f"response {key.response_id}" for key in keys]


@pytest.fixture
def calls() -> SlowCalls:
    return SlowCalls()


@pytest.fixture
def reads(calls: Any) -> ResponseReads:
    return ResponseReads(calls)


async def test_what_is_being_read_is_not_read_again_but_what_was_read_is(calls: SlowCalls, reads: Any) -> None:
    first = asyncio.create_task(reads.read(["resp_1", "resp_gone", "resp_1"]))
    second = asyncio.create_task(reads.read(["resp_gone", "resp_2", "resp_1"]))
    await settle()
    calls.answered.set()
    assert await first == {"resp_1": "response resp_1", "resp_gone": GONE}
    assert await second == {"resp_1": "response resp_1", "resp_gone": GONE, "resp_2": "response resp_2"}
    assert calls.reads == [["resp_1", "resp_gone"], ["resp_2"]]
    await reads.read(["resp_1"])
    assert calls.reads[2:] == [["resp_1"]]
    assert await reads.read([]) == {}


async def test_who_waits_for_a_reader_that_is_cancelled_reads_itself(calls: SlowCalls, reads: Any) -> None:
    first, second, third = (asyncio.create_task(reads.read(["resp_1"])) for _ in range(3))
    await settle()
    first.cancel()
    await settle()
    calls.answered.set()
    assert await second == await third == {"resp_1": "response resp_1"}
    assert first.cancelled()
    assert calls.reads == [["resp_1"], ["resp_1"]]


async def test_a_reader_goes_on_when_one_who_waits_is_cancelled(calls: SlowCalls, reads: Any) -> None:
    first, second, third = (asyncio.create_task(reads.read(["resp_1"])) for _ in range(3))
    await settle()
    second.cancel()
    await settle()
    calls.answered.set()
    assert await first == await third == {"resp_1": "response resp_1"}
    assert calls.reads == [["resp_1"]]
