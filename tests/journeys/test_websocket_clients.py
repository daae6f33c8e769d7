"""Tests that npm's own graphql-ws client can follow runs."""

from schema.contract.errors import ErrorCode, GatewayError
from tests.support.npm_clients import run_npm_client
from tests.support.ports import free_port
from tests.support.subscription_gateway import STATUS, running_subscription_gateway, status


def next_message(text: str) -> object:
    return {"next": {"data": {"runStatus": {"status": text}}}}


async def test_it_receives_each_event_and_the_end() -> None:
    async with running_subscription_gateway() as gateway, run_npm_client("ws", gateway.url, STATUS) as received:
        await gateway.wait_for_feeds()
        for text in ("queued", "completed"):
            gateway.events.push(status(text))
        gateway.events.end()
        assert await received == [
            {"connected": None},
            next_message("QUEUED"),
            next_message("COMPLETED"),
            {"complete": None},
            {"closed": 1000},
        ]
        await gateway.wait_until_idle()


async def test_it_can_stop_before_the_end() -> None:
    async with running_subscription_gateway() as gateway, run_npm_client("ws", gateway.url, STATUS, most=1) as received:
        await gateway.wait_for_feeds()
        gateway.events.push(status("queued"))
        assert {"closed": 1000} in await received
        await gateway.wait_until_idle()


async def test_it_runs_a_query() -> None:
    async with (
        running_subscription_gateway() as gateway,
        run_npm_client("ws", gateway.url, "{ __typename }") as received,
    ):
        assert {"next": {"data": {"__typename": "Query"}}} in await received
        await gateway.wait_until_idle()


async def test_it_gives_up_where_it_can_never_be_accepted() -> None:
    async with (
        running_subscription_gateway() as gateway,
        run_npm_client("ws", gateway.url, STATUS, authorization="") as received,
    ):
        reason = "Unauthorized: the Authorization header is empty"
        # It would come again up to a hundred times.
        assert await received == [{"closed": 4401}, {"error": {"code": 4401, "reason": reason}}]
        await gateway.wait_until_idle()


async def test_it_receives_errors() -> None:
    async with running_subscription_gateway() as gateway:
        async with run_npm_client("ws", gateway.url, "subscription { nonsense }") as received:
            (error,) = next(line["error"] for line in await received if "error" in line)
            assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        async with run_npm_client("ws", gateway.url, STATUS) as received:
            await gateway.wait_for_feeds()
            gateway.events.fail(GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "It is away."))
            (error,) = next(line["error"] for line in await received if "error" in line)
            assert error["message"] == "It is away."
        await gateway.wait_until_idle()


async def test_it_reconnects_after_a_restart() -> None:
    port = free_port()
    async with running_subscription_gateway(port=port) as first:
        restarted = run_npm_client("ws", first.url, STATUS)
        received = await restarted.__aenter__()
        await first.wait_for_feeds()
        async with first.initialised() as witness:
            await witness.subscribe()
            await first.wait_for_feeds(2)
            first.events.push(status("queued"))
            await witness.receive()  # its iteration comes after the other's
        await first.stop()
        await first.wait_until_idle()
    async with running_subscription_gateway(port=port) as second:
        await second.wait_for_feeds()
        second.events.push(status("completed"))
        second.events.end()
        lines = [line for line in await received if line != {"closed": 1006}]  # while the client was disconnected
        assert lines == [
            {"connected": None}, next_message("QUEUED"), {"closed": 1012},
            {"connected": None}, next_message("COMPLETED"), {"complete": None}, {"closed": 1000},
        ]  # fmt: skip
        await second.wait_until_idle()
    await restarted.__aexit__(None, None, None)
