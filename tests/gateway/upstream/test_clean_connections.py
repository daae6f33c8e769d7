import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from gateway.upstream.clean_connections import MAX_UNCLEAN, CleanConnector
from gateway.upstream.connection_pool import UpstreamPool
from gateway.upstream.plain_gets import PlainGets
from gateway.upstream.upstream_options import UpstreamOptions
from tests.support.scripted_upstream import ScriptedResponse, ScriptedUpstream, response

OTHER = response(200, b"of another request").data
TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
HALF = OTHER[:-5]


@pytest.fixture
async def connector(upstream: ScriptedUpstream) -> AsyncIterator[CleanConnector]:
    made = CleanConnector()
    yield made
    await made.close()


@pytest.fixture
def gets(connector: CleanConnector, upstream: ScriptedUpstream) -> PlainGets:
    return PlainGets(connector, aiohttp.ClientTimeout(total=None), URL(upstream.url).origin(), {})


async def get(gets: PlainGets) -> tuple[bytes, ResponseHandler]:
    """Return the body of one response, and the protocol of its connection, which is idle again."""
    connection = await gets.connect()
    protocol = connection.protocol
    assert protocol is not None
    reply = await gets.send(connection, "/v1/threads/t", gets.encode_headers({}))
    body = await reply.content.read()
    connection.release()
    return body, protocol


async def make_unclean(gets: PlainGets, upstream: ScriptedUpstream, unasked: bytes) -> None:
    """Leave an idle connection on which something has come."""
    is_idle = asyncio.Event()
    upstream.queue_responses(ScriptedResponse(response(200, b"{}").data, pieces=(is_idle, unasked)))
    body, protocol = await get(gets)
    assert body == b"{}"
    assert not protocol.should_close
    is_idle.set()
    async with asyncio.timeout(5):
        while not protocol.should_close:  # noqa: ASYNC110 - aiohttp has no event for it
            await asyncio.sleep(0)


@pytest.mark.parametrize("unasked", [OTHER, TIMED_OUT, HALF])
async def test_what_came_on_an_idle_connection_answers_no_read(
    gets: PlainGets, upstream: ScriptedUpstream, unasked: bytes
) -> None:
    await make_unclean(gets, upstream, unasked)
    upstream.default_response = response(200, b"[]")
    assert [(await get(gets))[0] for _ in range(2)] == [b"[]"] * 2
    assert upstream.connections == 2


async def test_what_came_on_an_idle_connection_answers_no_write(
    gets: PlainGets, connector: CleanConnector, upstream: ScriptedUpstream
) -> None:
    await make_unclean(gets, upstream, OTHER)
    upstream.default_response = response(200, b"[]")
    async with (
        aiohttp.ClientSession(connector=connector, connector_owner=False) as session,
        session.post(upstream.url) as theirs,
    ):
        assert await theirs.read() == b"[]"


async def test_a_server_that_always_sends_without_being_asked_is_given_up(
    connector: CleanConnector, monkeypatch: pytest.MonkeyPatch, gets: PlainGets, upstream: ScriptedUpstream
) -> None:
    monkeypatch.setattr(ResponseHandler, "should_close", property(lambda _: True))
    with pytest.raises(aiohttp.ClientConnectionResetError):
        await gets.connect()
    monkeypatch.undo()
    upstream.default_response = response(200, b"{}")
    assert (await get(gets))[0] == b"{}"
    assert upstream.connections <= MAX_UNCLEAN + 1


async def test_reads_and_writes_of_an_upstream_share_such_a_pool(upstream: ScriptedUpstream) -> None:
    async with UpstreamPool(UpstreamOptions(base_url=upstream.url)) as pool:
        assert isinstance(pool.write_session.connector, CleanConnector)
        assert pool.plain_gets._connector is pool.write_session.connector
