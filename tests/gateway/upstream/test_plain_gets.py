import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from gateway.upstream.plain_gets import PlainGets
from tests.support.scripted_upstream import CLOSED, ScriptedResponse, ScriptedUpstream, response

DEFAULTS = {"Accept": "application/json", "User-Agent": "tests"}


@pytest.fixture
async def connector(upstream: ScriptedUpstream) -> AsyncIterator[aiohttp.TCPConnector]:
    made = aiohttp.TCPConnector()
    yield made
    await made.close()


@pytest.fixture
def gets(connector: aiohttp.TCPConnector, upstream: ScriptedUpstream) -> PlainGets:
    return PlainGets(connector, aiohttp.ClientTimeout(total=None), URL(upstream.url).origin(), DEFAULTS)


async def send(gets: PlainGets, target: str = "/v1/threads/t?limit=1") -> tuple[int, bytes]:
    connection = await gets.connect()
    try:
        reply = await gets.send(connection, target, gets.encode_headers({"Authorization": "Bearer x"}))
        body = await reply.content.read()
    except BaseException:
        connection.close()
        raise
    connection.release()
    return reply.status, body


async def test_the_request_is_the_one_that_aiohttp_sends(
    gets: PlainGets, connector: aiohttp.TCPConnector, upstream: ScriptedUpstream
) -> None:
    upstream.default_response = response(200, b"{}")
    await send(gets)
    async with (
        aiohttp.ClientSession(connector=connector, connector_owner=False, headers=DEFAULTS) as session,
        session.get(f"{upstream.url}/threads/t?limit=1", headers={"Authorization": "Bearer x"}) as theirs,
    ):
        await theirs.read()
    ours, aiohttps = upstream.requests
    assert ours == aiohttps
    assert upstream.connections == 1


async def test_an_interim_response_is_skipped(gets: PlainGets, upstream: ScriptedUpstream) -> None:
    upstream.queue_responses(ScriptedResponse(b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(404, b"no").data))
    assert await send(gets) == (404, b"no")


async def test_a_status_that_does_not_exist_is_the_one_of_the_response(
    gets: PlainGets, upstream: ScriptedUpstream
) -> None:
    upstream.queue_responses(ScriptedResponse(b"HTTP/1.1 099 Odd\r\nContent-Length: 3\r\n\r\nodd"))
    async with asyncio.timeout(5):
        assert await send(gets) == (99, b"odd")


async def test_a_body_that_ends_with_its_connection_is_whole(gets: PlainGets, upstream: ScriptedUpstream) -> None:
    upstream.queue_responses(ScriptedResponse(b"HTTP/1.1 200 OK\r\n\r\n{}", then="close"), response(200, b"[]"))
    assert await send(gets) == (200, b"{}")
    assert await send(gets) == (200, b"[]")
    assert upstream.connections == 2


async def test_a_connection_is_not_used_again_after_a_fault(gets: PlainGets, upstream: ScriptedUpstream) -> None:
    upstream.queue_responses(ScriptedResponse(b"no HTTP at all\r\n\r\n"), CLOSED, response(200, b"{}"))
    with pytest.raises(HttpProcessingError):
        await send(gets)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await send(gets)
    assert await send(gets) == (200, b"{}")
    assert upstream.connections == 3


@pytest.mark.parametrize("character", ["\r", "\n", "\0"])
async def test_a_header_with_a_line_break_is_refused(gets: PlainGets, character: str) -> None:
    with pytest.raises(ValueError, match="'Authorization' without line breaks"):
        gets.encode_headers({"Authorization": f"Bearer x{character}Cookie: y"})


async def test_a_closed_pool_connects_no_more(gets: PlainGets, connector: aiohttp.TCPConnector) -> None:
    await connector.close()
    with pytest.raises(RuntimeError, match="closed"):
        await gets.connect()


async def test_a_lost_connection_sends_nothing(gets: PlainGets, upstream: ScriptedUpstream) -> None:
    upstream.default_response = response(200, b"{}")
    connection = await gets.connect()
    connection.close()
    with pytest.raises(aiohttp.ClientConnectionResetError):
        await gets.send(connection, "/", b"\r\n")
    assert upstream.requests == []
