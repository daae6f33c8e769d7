"""A gateway that is killed in the middle of a response's stream: another one goes on behind its last event.

Both share a Valkey, a database and the upstream, and nothing else. The upstream's clock stands still unless the test
advances it, so nothing happens before the survivor has caught up.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    PIECE_SECONDS,
    QUEUED_SECONDS,
    RUN_EVENTS,
    STEP_SECONDS,
    check_events_match_messages,
    statuses,
    wait_for_status,
)
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_command, running_gateway, url_in
from tests.support.mutations import succeed
from tests.support.responses_gateway import (
    FUNCTION,
    new_assistant,
    new_thread,
    read_run,
    running_responses_gateway,
    start_response_run,
)
from tests.support.subscription_clients import LiveSocket, SubscriptionReader, open_socket
from tests.support.valkey import Valkey

LEASE_SECONDS = 1.0
TAKEOVER_SECONDS = 10.0
"""Much longer than a lease, since the machine may be busy, but still bounded."""

PLAIN = ["QUEUED", "IN_PROGRESS", "COMPLETED"]


@dataclass
class Pair:
    """The gateway that will be killed, and the one that goes on."""

    emulator: Emulator
    victim: Gateway
    process: subprocess.Popen[str]
    survivor: Gateway
    socket: LiveSocket

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    async def start(self, **options: Any) -> tuple[Any, SubscriptionReader]:
        """Start a run through the victim, and follow it through the survivor."""
        assistant_id = await new_assistant(self.victim, **options)
        run = await start_response_run(self.victim, await new_thread(self.victim), assistant_id)
        reader = await self.socket.subscribe(RUN_EVENTS, run=run["id"])
        await wait_for_status(reader, "QUEUED")
        return run, reader

    async def finish(self, run: Any, reader: SubscriptionReader, expected: list[str]) -> None:
        """Let the run end, and check the events of the survivor's reader."""
        await finish(self.emulator, self.survivor, run["id"], reader, expected)


async def finish(
    emulator: Emulator, gateway: Gateway, run_id: str, reader: SubscriptionReader, expected: list[str]
) -> None:
    """Let a run end, and compare a reader's events with what the upstream has. None may be missing, lost or polled."""
    emulator.clock.advance(LONG_SECONDS)
    async with asyncio.timeout(TAKEOVER_SECONDS):
        await reader.wait_for_completion()
    assert statuses(reader.events) == expected
    assert not reader.of_type("StreamError", "Lagged")
    truth = (await read_run(gateway, run_id, "messages { nodes { id text } }"))["messages"]["nodes"]
    assert any(message["text"] for message in truth)
    check_events_match_messages(reader.events, truth)
    assert {event["provenance"] for event in reader.events if "provenance" in event} == {"STREAMED"}
    for message in truth:
        pieces = [event["value"] for event in reader.of_type("TextDelta") if event["messageId"] == message["id"]]
        assert "".join(pieces) == message["text"]


@asynccontextmanager
async def two_gateways(emulator: Emulator, valkey: Valkey, folder: Path) -> AsyncIterator[Pair]:
    shared: dict[str, Any] = {
        "redis_url": valkey.url,
        "gateway_run_lease_seconds": LEASE_SECONDS,
        "gateway_database_url": f"sqlite:///{folder / 'ledger.db'}",
        "gateway_ledger_deadline_seconds": 10.0,
        "upstream_dialect": "openai-responses",
    }
    environment = {name.upper(): str(value) for name, value in shared.items()}
    arguments = ("serve", "--port", "0", "--upstream-url", emulator.url)
    # While the victim starts, nothing else runs here: the survivor would hold the database meanwhile.
    with running_command(*arguments, log=folder / "victim.log", **environment) as (process, printed):
        async with running_gateway(emulator.url, **shared) as survivor, open_socket(survivor) as socket:
            yield Pair(emulator, Gateway(url_in(printed, "GraphQL"), survivor.session), process, survivor, socket)


@pytest.fixture
async def pair(emulator: Emulator, valkey: Valkey, tmp_path: Path) -> AsyncIterator[Pair]:
    async with two_gateways(emulator, valkey, tmp_path) as pair:
        yield pair


@pytest.mark.parametrize("pieces", long_except(range(-3, 24), [7]))
async def test_another_gateway_goes_on_behind_the_last_word_of_a_killed_one(pair: Pair, pieces: int) -> None:
    """With less than no pieces, the victim is killed while the run is queued, in progress, or about to write."""
    clock = pair.emulator.clock
    run, reader = await pair.start()
    if pieces > -3:
        clock.advance(QUEUED_SECONDS)
        await wait_for_status(reader, "IN_PROGRESS")
    if pieces > -2:
        clock.advance(STEP_SECONDS)
        await reader.wait_for_event("MessageCreated")
    if pieces > 0:
        clock.advance(pieces * PIECE_SECONDS)
        await reader.wait_until(lambda reader: len(reader.of_type("TextDelta")) >= pieces or _is_written(reader))
    pair.kill()
    await pair.finish(run, reader, PLAIN)
    reads = pair.emulator.counts.by_operation["getResponse"]
    assert reads <= 4, f"expected streams and no polls, got {reads} reads"


def _is_written(reader: SubscriptionReader) -> bool:
    return bool(reader.of_type("MessageFinished"))


async def submit(pair: Pair, gateway: Gateway, run: Any) -> None:
    """Submit the outputs that a run waits for."""
    response = await pair.emulator.get(f"/responses/{run['upstreamId']}")
    calls = [item["call_id"] for item in response["output"] if item["type"] == "function_call"]
    outputs = [{"callId": call_id, "output": "22 °C"} for call_id in calls]
    await succeed(gateway, "submitToolOutputs", "run { status }", runId=run["id"], toolOutputs=outputs)


@pytest.mark.parametrize("killed", long_except(["waiting", "answered", "writing"], ["writing"]))
async def test_a_run_that_waits_for_outputs_goes_on_too(pair: Pair, killed: str) -> None:
    run, reader = await pair.start(tools=[FUNCTION])
    pair.emulator.clock.advance(LONG_SECONDS)
    await wait_for_status(reader, "REQUIRES_ACTION")
    if killed == "waiting":
        pair.kill()
    await submit(pair, pair.survivor if killed == "waiting" else pair.victim, run)
    await wait_for_status(reader, "QUEUED")
    if killed == "answered":
        pair.kill()
    pair.emulator.clock.advance(QUEUED_SECONDS)
    await wait_for_status(reader, "IN_PROGRESS")
    if killed == "writing":
        pair.emulator.clock.advance(STEP_SECONDS + 5 * PIECE_SECONDS)
        await reader.wait_for_event("TextDelta", 5)
        pair.kill()
    await pair.finish(run, reader, ["QUEUED", "IN_PROGRESS", "REQUIRES_ACTION", *PLAIN])


async def test_a_run_that_was_started_past_the_gateway_is_followed_word_by_word(emulator: Emulator) -> None:
    async with running_responses_gateway(emulator) as gateway, open_socket(gateway) as socket:
        made = await succeed(gateway, "createThread", "thread { upstreamId }")
        key = RunKey(made["thread"]["upstreamId"], await start_response(emulator, made["thread"]["upstreamId"]))
        reader = await socket.subscribe(RUN_EVENTS, run=to_global_id(key))
        await wait_for_status(reader, "QUEUED")
        await finish(emulator, gateway, to_global_id(key), reader, PLAIN)


async def start_response(emulator: Emulator, conversation_id: str) -> str:
    """Start a response in the background as another client does, and leave its stream. Returns its id."""
    body = {"model": "gpt-5-mini", "conversation": conversation_id, "input": "Hi", "background": True, "stream": True}
    headers = {"Authorization": AUTHORIZATION}
    async with emulator.session.post(f"{emulator.url}/responses", json=body, headers=headers) as reply:
        created = await reply.content.readuntil(b"\n\n")
    response_id: str = msgspec.json.decode(created.partition(b"data: ")[2])["response"]["id"]
    return response_id
