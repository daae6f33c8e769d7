"""Tests that npm's own graphql-ws client can follow runs."""

from schema.contract.errors import ErrorCode, GatewayError
from tests.support.npm_clients import run_npm_client
from tests.support.ports import free_port
from tests.support.subscription_gateway import STATUS, running_following, status


def next_of(text: str) -> object:
    return {"next": {"data": {"runStatus": {"status": text}}}}


async def test_it_receives_each_event_and_the_end() -> None:
    async with running_following() as gateway, run_npm_client("ws", gateway.url, STATUS) as told:
        await gateway.followed()
        for text in ("queued", "completed"):
            gateway.events.push(status(text))
        gateway.events.end()
        assert await told == [
            {"connected": None}, next_of("QUEUED"), next_of("COMPLETED"), {"complete": None}, {"closed": 1000},
        ]  # fmt: skip
        await gateway.nobody_left()


async def test_it_can_stop_before_the_end() -> None:
    async with running_following() as gateway, run_npm_client("ws", gateway.url, STATUS, most=1) as told:
        await gateway.followed()
        gateway.events.push(status("queued"))
        assert {"closed": 1000} in await told
        await gateway.nobody_left()


async def test_it_runs_a_query() -> None:
    async with running_following() as gateway, run_npm_client("ws", gateway.url, "{ __typename }") as told:
        assert {"next": {"data": {"__typename": "Query"}}} in await told
        await gateway.nobody_left()


async def test_it_receives_errors() -> None:
    async with running_following() as gateway:
        async with run_npm_client("ws", gateway.url, "subscription { nonsense }") as told:
            (error,) = next(line["error"] for line in await told if "error" in line)
            assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        async with run_npm_client("ws", gateway.url, STATUS) as told:
            await gateway.followed()
            gateway.events.fail(GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "It is away."))
            (error,) = next(line["error"] for line in await told if "error" in line)
            assert error["message"] == "It is away."
        await gateway.nobody_left()


async def test_it_reconnects_after_a_restart() -> None:
    port = free_port()
    async with running_following(port=port) as first:
        restarted = run_npm_client("ws", first.url, STATUS)
        told = await restarted.__aenter__()
        await first.followed()
        async with first.initialised() as witness:
            await witness.subscribe()
            await first.followed(2)
            first.events.push(status("queued"))
            await witness.receive()  # its iteration comes after the other's
        await first.stop()
        await first.nobody_left()
    async with running_following(port=port) as second:
        await second.followed()
        second.events.push(status("completed"))
        second.events.end()
        lines = [line for line in await told if line != {"closed": 1006}]  # while the client was disconnected
        assert lines == [
            {"connected": None}, next_of("QUEUED"), {"closed": 1012},
            {"connected": None}, next_of("COMPLETED"), {"complete": None}, {"closed": 1000},
        ]  # fmt: skip
        await second.nobody_left()
    await restarted.__aexit__(None, None, None)
