import asyncio
import gzip

import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.paging import Window
from schema.contract.ports import RunPageKey, ThreadsApi
from schema.contract.wire import ThreadObject
from tests.support.scripted_upstream import (
    SILENCE,
    Answer,
    Request,
    ScriptedUpstream,
    answer,
    echo,
)
from tests.support.upstream_client import T1, ClientMaker, failure


@pytest.mark.parametrize("most", [1, 7])
async def test_an_operation_takes_no_more_than_its_places(
    make_client: ClientMaker, upstream: ScriptedUpstream, most: int
) -> None:
    api = make_client(max_concurrency_per_operation=most).bind(None)
    got = await api.get_threads([ThreadKey(f"t{place}") for place in range(40)])
    assert all(isinstance(thread, ThreadObject) for thread in got)
    assert upstream.most_at_once <= most
    assert upstream.connections <= most


async def test_the_deadline_keeps_what_came_in_time(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    def only_a(request: Request) -> Answer:
        return echo(request) if request.target.endswith("/a") else SILENCE

    upstream.always = only_a
    api = make_client(timeout_seconds=0.2).bind(None)
    a, b, again = await api.get_threads([ThreadKey("a"), ThreadKey("b"), ThreadKey("b")])
    assert isinstance(a, ThreadObject)
    for late in (b, again):
        assert isinstance(late, GatewayError)
        assert (late.code, late.retryable) == (ErrorCode.UPSTREAM_TIMEOUT, True)
        assert late.message == "Expected an answer of the upstream within 0.2 s, got none."


async def test_what_is_late_does_not_land(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    upstream.always = lambda request: SILENCE if "/b/" in request.target else echo(request)
    here, late = (RunPageKey(thread_id, Window(5, "asc")) for thread_id in "ab")
    landed: list[object] = []
    api = make_client(timeout_seconds=0.2).bind(None)
    answers = await api.list_runs([here, late, late], on_result=lambda key, answer: landed.append((key, answer)))
    assert landed == [(here, answers[0])]
    assert [getattr(answer, "code", None) for answer in answers] == [None, *[ErrorCode.UPSTREAM_TIMEOUT] * 2]


async def test_those_who_wait_for_a_place_have_the_same_deadline(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.always = SILENCE
    api = make_client(timeout_seconds=0.1, max_concurrency_per_operation=1).bind(None)
    got = await api.get_threads([ThreadKey("a"), ThreadKey("b")])
    assert [error.code for error in got if isinstance(error, GatewayError)] == [ErrorCode.UPSTREAM_TIMEOUT] * 2
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("stalled", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"])
async def test_an_answer_that_stalls_is_late(
    make_client: ClientMaker, upstream: ScriptedUpstream, stalled: bytes
) -> None:
    upstream.always = Answer(stalled, then="hang")
    error = await failure(make_client(timeout_seconds=0.1).bind(None))
    assert error.code is ErrorCode.UPSTREAM_TIMEOUT


async def test_cancellation_ends_every_call_before_it_is_through(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    three_are_asked = asyncio.Event()

    def count(_: Request) -> Answer:
        if len(upstream.requests) == 3:
            three_are_asked.set()
        return SILENCE

    upstream.always = count
    api = make_client(max_concurrency_per_operation=3).bind(None)
    before = asyncio.all_tasks()
    loading = asyncio.create_task(_load_many(api))
    await three_are_asked.wait()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    left = asyncio.all_tasks() - before
    assert not [task for task in left if "BoundThreadsApi" in repr(task)]


async def _load_many(api: ThreadsApi) -> None:
    await api.get_threads([ThreadKey(f"t{place}") for place in range(10)])


async def test_a_body_is_read_up_to_its_limit(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    body = b'{"id":"thread_1","created_at":1}'
    exactly = make_client(max_response_bytes=len(body)).bind(None)
    too_small = make_client(max_response_bytes=len(body) - 1).bind(None)
    for whole in (
        answer(200, body),
        answer(200, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), Content_Length="", Transfer_Encoding="chunked"),
        answer(200, gzip.compress(body), Content_Encoding="gzip"),
    ):
        upstream.always = whole
        (thread,) = await exactly.get_threads([T1])
        assert isinstance(thread, ThreadObject)
        error = await failure(too_small)
        assert error.code is ErrorCode.UPSTREAM_INVALID_RESPONSE
        assert error.message == "Upstream operation getThread: expected at most 31 bytes, got more."
        assert not error.retryable


async def test_a_small_body_that_unpacks_to_a_huge_one_is_refused(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.always = answer(200, gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")
    error = await failure(make_client(max_response_bytes=1_000_000).bind(None))
    assert "expected at most 1000000 bytes" in error.message
