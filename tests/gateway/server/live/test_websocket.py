"""The protocol over a real socket: each close code and each limit, with nothing left behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from gateway.identity.credentials import CredentialPolicy
from gateway.server.http.request_limits import SubscriptionLimits
from gateway.server.live.ping_limit import BURST_PINGS
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import StatusChange
from tests.support.raw_socket import RawSocket
from tests.support.subscription_gateway import (
    CREDENTIAL,
    STATUS,
    SUBPROTOCOL,
    SubscriptionGateway,
    passing_on,
    running_subscription_gateway,
    status,
    until,
)
from tests.support.wire_samples import run

LIMITS = SubscriptionLimits()


@pytest.fixture
async def gateway() -> AsyncIterator[SubscriptionGateway]:
    async with running_subscription_gateway() as gateway:
        yield gateway
        await gateway.wait_until_idle()


def next_message(text: str, id: str = "1") -> dict[str, Any]:
    return {"type": "next", "id": id, "payload": {"data": {"runStatus": {"status": text}}}}


async def test_a_subscription_sends_each_event_and_complete(gateway: SubscriptionGateway) -> None:
    async with gateway.initialised() as socket:
        await socket.subscribe("a")
        await gateway.wait_for_feeds()
        gateway.events.push(status("queued"))
        assert await socket.receive() == next_message("QUEUED", "a")
        gateway.events.push(status("in_progress"))
        gateway.events.push(status("completed"))
        gateway.events.end()
        assert [await socket.receive() for _ in range(2)] == [
            next_message("IN_PROGRESS", "a"),
            next_message("COMPLETED", "a"),
        ]
        assert await socket.receive() == {"type": "complete", "id": "a"}
        await until(lambda: not gateway.events.open_feeds)


async def test_a_subscription_that_its_client_completes_ends_and_its_id_is_free_again(
    gateway: SubscriptionGateway,
) -> None:
    async with gateway.initialised() as socket:
        for _ in range(2):
            await socket.subscribe()
            await gateway.wait_for_feeds()
            await socket.send(type="complete", id="1")
            await gateway.wait_for_feeds(0)
        await socket.send(type="complete", id="unknown")
        await socket.send(type="ping", payload={"still": "here"})
        assert await socket.receive() == {"type": "pong", "payload": {"still": "here"}}


async def test_a_failed_feed_is_an_error_of_its_operation(gateway: SubscriptionGateway) -> None:
    async with gateway.initialised() as socket:
        await socket.subscribe()
        await gateway.wait_for_feeds()
        gateway.events.fail(GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "It is away."))
        (error,) = (message := await socket.receive())["payload"]
        assert (message["type"], message["id"]) == ("error", "1")
        assert error["extensions"].pop("requestId").endswith(".1")
        assert error == {
            "message": "It is away.",
            "extensions": {"code": "UPSTREAM_UNREACHABLE", "retryable": True},
        }


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("", "BAD_USER_INPUT"),
        ("query A { __typename } query B { __typename }", "BAD_USER_INPUT"),
        ("fragment F on Query { __typename }", "BAD_USER_INPUT"),
    ],
)
async def test_a_request_error_ends_the_operation_and_not_the_socket(
    gateway: SubscriptionGateway, query: str, code: str
) -> None:
    async with gateway.initialised() as socket:
        await socket.subscribe("bad", query)
        message = await socket.receive()
        assert (message["type"], message["id"]) == ("error", "bad")
        assert message["payload"][0]["extensions"]["code"] == code
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}


async def test_a_refused_subscription_is_an_error(gateway: SubscriptionGateway) -> None:
    gateway.events.refuse = GatewayError(ErrorCode.NOT_FOUND, "No such run.")
    async with gateway.initialised() as socket:
        await socket.subscribe()
        message = await socket.receive()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "NOT_FOUND")


async def test_a_query_is_one_next_and_complete(gateway: SubscriptionGateway) -> None:
    async with gateway.initialised() as socket:
        await socket.subscribe("q", "query Q($x: Boolean!) { __typename @include(if: $x) }", variables={"x": True})
        payload = {"data": {"__typename": "Query"}}
        assert await socket.receive() == {"type": "next", "id": "q", "payload": payload}
        assert await socket.receive() == {"type": "complete", "id": "q"}


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["nonsense"], 4400),
        (['{"type": "next", "id": "1"}'], 4400),
        ([b'{"type": "connection_init"}'], 4400),
        ([{"type": "subscribe", "id": "1", "payload": {"query": STATUS}}], 4401),
        ([{"type": "connection_init"}], 4401),
        ([{"type": "connection_init", "payload": {"Authorization": ""}}], 4401),
        ([{"type": "connection_init", "payload": {"authorization": 1}}], 4401),
        ([{"type": "connection_init", "payload": {"authorization": "Bearer e30.eyJleHAiOiAxMDAwfQ.c2lnbmVk"}}], 4403),
        ([{"type": "connection_init", "payload": CREDENTIAL}] * 2, 4429),
        (
            [
                {"type": "connection_init", "payload": CREDENTIAL},
                {"type": "subscribe", "id": "1", "payload": {"query": STATUS}},
                {"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}},
            ],
            4409,
        ),
        ([{"type": "ping", "payload": {"long": "x" * 20_000}}], 1009),
    ],
)
async def test_each_violation_has_its_close_code(gateway: SubscriptionGateway, messages: list[Any], code: int) -> None:
    async with gateway.socket() as socket:
        for message in messages:
            if isinstance(message, bytes):
                await socket.ws.send_bytes(message)
            else:
                await socket.ws.send_str(message if isinstance(message, str) else json.dumps(message))
        while isinstance(received := await socket.receive(), dict):
            assert received == {"type": "connection_ack"}
        assert received[0] == code
        assert len(received[1].encode()) <= 123


@pytest.mark.parametrize("protocols", [(), ("graphql-ws",), ("graphql-ws", "other")])
async def test_another_subprotocol_is_closed_with_4406(
    gateway: SubscriptionGateway, protocols: tuple[str, ...]
) -> None:
    async with gateway.socket(protocols=protocols) as socket:
        assert await socket.wait_for_close() == (4406, "Subprotocol not acceptable")


async def test_the_subprotocol_is_found_among_others(gateway: SubscriptionGateway) -> None:
    async with gateway.socket(protocols=("graphql-ws", SUBPROTOCOL)) as socket:
        assert socket.ws.protocol == SUBPROTOCOL
        await socket.initialise()


@pytest.mark.parametrize(
    "payload",
    [
        {"Authorization": "Bearer x"},
        {"authorization": "Bearer x", "other": 1},
        {"AUTHORIZATION": "Bearer x"},
        {"headers": {"Authorization": "Bearer x"}},
    ],
)
async def test_the_credential_may_come_with_the_first_message(gateway: SubscriptionGateway, payload: Any) -> None:
    async with gateway.socket() as socket:
        await socket.initialise(payload)


async def test_the_credential_may_come_with_the_request(gateway: SubscriptionGateway) -> None:
    async with gateway.socket(headers=CREDENTIAL) as socket:
        await socket.initialise(None)


async def test_a_page_of_another_origin_has_to_send_its_credential_in_connection_init() -> None:
    async with running_subscription_gateway(authenticator=passing_on(CredentialPolicy(has_own_key=True))) as gateway:
        foreign = {**CREDENTIAL, "Origin": "https://elsewhere.example"}
        async with gateway.socket(headers=foreign) as socket:
            await socket.send(type="connection_init")
            code, reason = await socket.wait_for_close()
            assert code == 4401
            assert "another origin" in reason
        async with gateway.socket(headers=foreign) as socket:
            await socket.initialise()
        async with gateway.socket(headers={"Origin": gateway.url}) as socket:
            await socket.initialise(None)
        async with gateway.socket() as socket:
            await socket.initialise(None)


async def test_a_socket_without_connection_init_is_closed_after_the_timeout() -> None:
    async with running_subscription_gateway(limits=replace(LIMITS, socket_init_seconds=0.01)) as gateway:
        async with gateway.socket() as socket:
            assert await socket.wait_for_close() == (4408, "Connection initialisation timeout")
        await gateway.wait_until_idle()


async def refused_upgrade(gateway: SubscriptionGateway) -> tuple[int, str]:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with gateway.socket():
            pass
    assert refused.value.headers is not None
    return refused.value.status, refused.value.headers["Retry-After"]


async def test_connections_beyond_the_limit_are_refused_before_they_open() -> None:
    async with running_subscription_gateway(limits=replace(LIMITS, max_sockets=2)) as gateway:
        async with gateway.initialised(), gateway.initialised():
            assert await refused_upgrade(gateway) == (503, "1")
            async with gateway.stream() as response:
                assert response.status == 503
        await gateway.wait_until_idle()
        async with gateway.initialised():
            pass


async def test_uninitialised_sockets_have_their_own_limit() -> None:
    async with running_subscription_gateway(limits=replace(LIMITS, max_uninitialised_sockets=1)) as gateway:
        async with gateway.initialised(), gateway.socket() as second:
            assert await refused_upgrade(gateway) == (503, "1")
            await second.initialise()
            async with gateway.socket():
                assert await refused_upgrade(gateway) == (503, "1")
        await gateway.wait_until_idle()
        async with gateway.initialised():
            pass


async def test_operations_of_a_socket_and_subscriptions_of_a_principal_are_limited() -> None:
    limits = replace(LIMITS, max_operations_per_socket=2, max_subscriptions_per_principal=3)
    async with running_subscription_gateway(limits=limits) as gateway, gateway.initialised() as first:
        for id_ in ("1", "2"):
            await first.subscribe(id_)
        await first.subscribe("3")
        message = await first.receive()
        assert (message["id"], message["payload"][0]["extensions"]["code"]) == ("3", "TOO_MANY_OPERATIONS")
        await gateway.wait_for_feeds(2)
        async with gateway.initialised() as second:
            await second.subscribe("a")
            await gateway.wait_for_feeds(3)
            await second.subscribe("b")
            message = await second.receive()
            assert (message["id"], message["payload"][0]["extensions"]["code"]) == ("b", "TOO_MANY_OPERATIONS")
            async with gateway.stream() as response:
                assert response.status == 429
            async with gateway.initialised({"Authorization": "Bearer another"}) as another:
                await another.subscribe()
                await gateway.wait_for_feeds(4)


async def test_a_client_that_disconnects_without_complete_leaves_nothing_behind(gateway: SubscriptionGateway) -> None:
    async with gateway.initialised() as socket:
        await socket.subscribe()
        await gateway.wait_for_feeds()
        transport = socket.ws.get_extra_info("socket")
        assert transport is not None
    await gateway.wait_until_idle()


async def test_a_peer_that_answers_no_ping_is_noticed() -> None:
    async with running_subscription_gateway(limits=replace(LIMITS, heartbeat_seconds=0.02)) as gateway:
        client = await RawSocket.open(gateway.url)
        client.send({"type": "connection_init"})
        async with asyncio.timeout(10):
            while await client.reader.read(100):
                pass
        await gateway.wait_until_idle()
        await client.aclose()


async def test_a_client_that_reads_nothing_is_disconnected_and_delays_no_other() -> None:
    async with running_subscription_gateway(limits=replace(LIMITS, stalled_client_seconds=0.05)) as gateway:
        slow = await RawSocket.open(gateway.url, limit=1)
        slow.send({"type": "connection_init"})
        slow.send({"type": "subscribe", "id": "s", "payload": {"query": STATUS.replace("{ status", "{ run { model }")}})
        await gateway.wait_for_feeds(1)
        async with gateway.initialised() as quick:
            await quick.subscribe()
            await gateway.wait_for_feeds(2)
            heavy = StatusChange(run(status="in_progress", model="x" * 20_000))
            for _ in range(5_000):
                if len(gateway.events.open_feeds) < 2:
                    break
                gateway.events.push(heavy)
                assert await quick.receive() == next_message("IN_PROGRESS")
            else:
                pytest.fail("expected the slow client to be given up")
        await gateway.wait_until_idle()
        await slow.aclose()


async def test_a_client_that_sends_pings_and_reads_nothing_is_not_read_any_further() -> None:
    limits = replace(LIMITS, stalled_client_seconds=0.2, ping_flood_seconds=0.2)
    async with running_subscription_gateway(limits=limits) as gateway:
        client = await RawSocket.open(gateway.url, limit=1)
        ping = bytes([0x89, 0x80 | 125, 0, 0, 0, 0]) + b"x" * 125

        async def flood() -> None:
            while True:
                client.writer.write(ping * 100)
                await client.writer.drain()

        async with asyncio.timeout(60):
            with pytest.raises(ConnectionError):
                await flood()
        await gateway.wait_until_idle()
        await client.aclose()


@pytest.mark.parametrize("is_frame", [True, False])
async def test_a_flood_of_pings_ends_with_a_reason(is_frame: bool) -> None:
    limits = replace(LIMITS, ping_flood_seconds=0)
    async with running_subscription_gateway(limits=limits) as gateway, gateway.initialised() as socket:
        for _ in range(BURST_PINGS + 2):
            if is_frame:
                await socket.ws.ping()
            else:
                await socket.send(type="ping")
        pongs = 0
        while isinstance(received := await socket.receive(), dict):
            pongs += 1
        assert received == (1008, "Expected at most 20 pings a second, got more")
        assert pongs == (0 if is_frame else BURST_PINGS + 1)
        await gateway.wait_until_idle()


async def test_a_stop_closes_every_socket_so_that_its_client_reconnects(gateway: SubscriptionGateway) -> None:
    async with gateway.initialised() as socket, gateway.socket() as uninitialised:
        await socket.subscribe()
        await gateway.wait_for_feeds()
        await gateway.stop()
        assert await socket.wait_for_close() == (1012, "Service restart")
        assert await uninitialised.wait_for_close() == (1012, "Service restart")
        assert await refused_upgrade(gateway) == (503, "1")
    await gateway.wait_until_idle()
