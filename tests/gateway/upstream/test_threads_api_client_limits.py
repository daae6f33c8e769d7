import asyncio
import gzip
import json
from typing import Literal

import pytest

from gateway.upstream.transport_failures import LARGE_BODY_BYTES
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.kinds import RUNS, THREADS, RunPageKey
from schema.contract.paging import Window
from schema.contract.ports import ThreadsApi
from schema.contract.wire import ThreadObject
from tests.support.scripted_upstream import (
    SILENCE,
    Request,
    ScriptedResponse,
    ScriptedUpstream,
    chunked_response,
    echo,
    response,
)
from tests.support.upstream_client import T1, ClientMaker, read_failure


@pytest.mark.parametrize("most", [1, 7])
async def test_an_operation_stays_within_its_concurrency_limit(
    make_client: ClientMaker, upstream: ScriptedUpstream, most: int
) -> None:
    api = make_client(max_concurrency_per_operation=most).bind(None)
    got = await api.get(THREADS, [ThreadKey(f"t{number}") for number in range(40)])
    assert all(isinstance(thread, ThreadObject) for thread in got)
    assert upstream.max_concurrent <= most
    assert upstream.connections <= most


async def test_results_before_the_deadline_are_returned(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    def only_a(request: Request) -> ScriptedResponse:
        return echo(request) if request.target.endswith("/a") else SILENCE

    upstream.default_response = only_a
    api = make_client(timeout_seconds=0.2).bind(None)
    a, b, again = await api.get(THREADS, [ThreadKey("a"), ThreadKey("b"), ThreadKey("b")])
    assert isinstance(a, ThreadObject)
    for late in (b, again):
        assert isinstance(late, GatewayError)
        assert (late.code, late.retryable) == (ErrorCode.UPSTREAM_TIMEOUT, True)
        assert late.message == "Expected an answer of the upstream within 0.2 s, got none."


async def test_on_result_is_not_called_after_the_deadline(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    upstream.default_response = lambda request: SILENCE if "/b/" in request.target else echo(request)
    here, late = (RunPageKey(thread_id, Window(5, "asc")) for thread_id in "ab")
    reported: list[object] = []
    api = make_client(timeout_seconds=0.2).bind(None)
    results = await api.list(RUNS, [here, late, late], on_result=lambda key, result: reported.append((key, result)))
    assert reported == [(here, results[0])]
    assert [getattr(result, "code", None) for result in results] == [None, *[ErrorCode.UPSTREAM_TIMEOUT] * 2]


async def test_calls_that_wait_for_a_slot_have_the_same_deadline(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.default_response = SILENCE
    api = make_client(timeout_seconds=0.1, max_concurrency_per_operation=1).bind(None)
    got = await api.get(THREADS, [ThreadKey("a"), ThreadKey("b")])
    assert [error.code for error in got if isinstance(error, GatewayError)] == [ErrorCode.UPSTREAM_TIMEOUT] * 2
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("stalled", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"])
async def test_a_response_that_stalls_times_out(
    make_client: ClientMaker, upstream: ScriptedUpstream, stalled: bytes
) -> None:
    upstream.default_response = ScriptedResponse(stalled, then="hang")
    error = await read_failure(make_client(timeout_seconds=0.1).bind(None))
    assert error.code is ErrorCode.UPSTREAM_TIMEOUT


async def test_cancellation_waits_until_every_call_has_ended(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    three_are_sent = asyncio.Event()

    def count(_: Request) -> ScriptedResponse:
        if len(upstream.requests) == 3:
            three_are_sent.set()
        return SILENCE

    upstream.default_response = count
    api = make_client(max_concurrency_per_operation=3).bind(None)
    before = asyncio.all_tasks()
    loading = asyncio.create_task(_load_many(api))
    await three_are_sent.wait()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    left = asyncio.all_tasks() - before
    assert not [task for task in left if "BoundCalls" in repr(task)]


async def _load_many(api: ThreadsApi) -> None:
    await api.get(THREADS, [ThreadKey(f"t{number}") for number in range(10)])


async def test_a_body_is_read_up_to_its_limit(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    body = b'{"id":"thread_1","created_at":1}'
    exactly = make_client(max_response_bytes=len(body)).bind(None)
    too_small = make_client(max_response_bytes=len(body) - 1).bind(None)
    for whole in (
        response(200, body),
        response(200, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), Content_Length="", Transfer_Encoding="chunked"),
        response(200, gzip.compress(body), Content_Encoding="gzip"),
    ):
        upstream.default_response = whole
        (thread,) = await exactly.get(THREADS, [T1])
        assert isinstance(thread, ThreadObject)
        error = await read_failure(too_small)
        assert error.code is ErrorCode.UPSTREAM_INVALID_RESPONSE
        assert error.message == "Upstream operation getThread: expected at most 31 bytes, got more."
        assert not error.retryable


async def test_a_small_body_that_unpacks_to_a_huge_one_is_refused(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.default_response = response(200, gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")
    error = await read_failure(make_client(max_response_bytes=1_000_000).bind(None))
    assert "expected at most 1000000 bytes" in error.message


class CountingSlots(asyncio.Semaphore):
    """Slots that count how many were held at once at most."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.held = self.max_held = self.total = 0

    async def acquire(self) -> Literal[True]:
        await super().acquire()
        self.held += 1
        self.total += 1
        self.max_held = max(self.max_held, self.held)
        return True

    def release(self) -> None:
        self.held -= 1
        super().release()


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(("size", "total"), [(LARGE_BODY_BYTES + 1, 12), (LARGE_BODY_BYTES // 2, 0)])
async def test_few_large_bodies_are_read_at_once_and_all_arrive(
    make_client: ClientMaker, upstream: ScriptedUpstream, size: int, total: int, *, is_chunked: bool
) -> None:
    def reply(request: Request) -> ScriptedResponse:
        body = {"id": request.target.rsplit("/", 1)[1], "created_at": 1, "note": "x" * size}
        text = json.dumps(body).encode()
        half = size // 2
        return chunked_response(text[:half], text[half:]) if is_chunked else response(body=text)

    upstream.default_response = reply
    client = make_client()
    client.large_body_slots = slots = CountingSlots(2)
    got = await client.bind(None).get(THREADS, [ThreadKey(f"t{number}") for number in range(12)])
    assert all(isinstance(thread, ThreadObject) for thread in got)
    assert (slots.total, slots.held) == (total, 0)
    assert slots.max_held <= 2


async def test_a_refused_large_body_frees_its_slot(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    upstream.default_response = chunked_response(b"x" * (LARGE_BODY_BYTES + 1), b"x" * LARGE_BODY_BYTES)
    client = make_client(max_response_bytes=LARGE_BODY_BYTES + 2)
    client.large_body_slots = slots = CountingSlots(1)
    for _ in range(2):
        (error,) = await client.bind(None).get(THREADS, [T1])
        assert isinstance(error, GatewayError)
    assert (slots.total, slots.held) == (2, 0)
