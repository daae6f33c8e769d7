"""Tests of the inbox: a run that waits is told once, and leaves the list however its waiting ends."""

from typing import Any

import pytest

from schema.contract.keys import RunKey
from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS, StartedRun, submit_outputs
from tests.support.gateway import Gateway
from tests.support.mutations import WEATHER, assistant, succeed
from tests.support.signed_in import UserClient
from tests.support.subscription_clients import SubscriptionReader, open_socket
from tests.support.viewer_gateways import clocked_emulator, eventually_equal, list_waiting, viewer_gateway

STATUS_EVENTS = """subscription { viewerEvents { type: __typename
    ... on RunStatusChange { status run { upstreamId thread { upstreamId } } }
    ... on StreamError { code detail } } }"""

EXPIRY_SECONDS = 600.0
"""The time until a run of the emulator expires."""


async def start_waiting(emulator: Emulator, client: Gateway, reader: SubscriptionReader, count: int) -> StartedRun:
    """Start a run that waits, as the one with this number that a reader is told of."""
    made = await succeed(
        client,
        "createThreadAndRun",
        "run { upstreamId } thread { upstreamId }",
        assistantId=await assistant(emulator, tools=[WEATHER]),
        thread={"messages": [{"content": [{"text": "What is the weather?"}]}]},
    )
    emulator.clock.advance(LONG_SECONDS)
    await reader.wait_for_event("RunStatusChange", status="REQUIRES_ACTION", count=count)
    return StartedRun(RunKey(made["thread"]["upstreamId"], made["run"]["upstreamId"]))


async def nothing() -> list[str]:
    return []


def count_waits(reader: SubscriptionReader, run: StartedRun) -> int:
    told = reader.of_type("RunStatusChange")
    return sum(event["status"] == "REQUIRES_ACTION" and event["run"]["upstreamId"] == run.key.run_id for event in told)


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.full)])
async def test_a_waiting_run_is_told_once_and_leaves_when_answered_or_expired(
    database: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    sqlite = database == "sqlite"
    url = f"sqlite:///{tmp_path}/ledger.db" if sqlite else request.getfixturevalue("postgresql").create_database()
    async with clocked_emulator() as emulator, viewer_gateway(emulator, url) as gateway:
        ann, bob = UserClient(gateway, "ann"), UserClient(gateway, "bob")
        async with open_socket(gateway, key="ann") as socket, open_socket(gateway, key="bob") as other:
            reader, stranger = await socket.subscribe(STATUS_EVENTS), await other.subscribe(STATUS_EVENTS)
            answered = await start_waiting(emulator, ann, reader, 1)
            expiring = await start_waiting(emulator, ann, reader, 2)
            assert await list_waiting(ann) == [answered.key.run_id, expiring.key.run_id]
            assert await list_waiting(bob) == []
            await submit_outputs(ann, emulator, answered)
            assert await list_waiting(ann) == [expiring.key.run_id]
            emulator.clock.advance(LONG_SECONDS)
            await reader.wait_for_event("RunStatusChange", status="COMPLETED")
            assert [count_waits(reader, run) for run in (answered, expiring)] == [1, 1]
            emulator.clock.advance(EXPIRY_SECONDS)
            await eventually_equal(lambda: list_waiting(ann), nothing)
            assert (stranger.events, stranger.errors) == ([{"type": "Lagged"}], None)
