"""Tests that readers elsewhere miss nothing if the process that streams or polls a run is killed, at every stage.

The victim is a process of its own. It streams one run, which was started through it, and polls another, which was
started elsewhere. The survivor has readers of both. The upstream's clock stands still unless the test advances it, so
nothing happens before the survivor has caught up.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from schema.contract.keys import RunKey
from tests.support.emulator import Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    PIECE_SECONDS,
    QUEUED_SECONDS,
    RUN_EVENTS,
    RUN_STATUS,
    STEP_SECONDS,
    StartedRun,
    check_events_match_messages,
    messages_of_run,
    start_run,
    start_run_without_gateway,
    start_tool_run,
    statuses,
    submit_outputs,
    wait_for_status,
    write_message,
)
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_command, running_gateway, url_in
from tests.support.mutations import WEATHER, assistant, mutate, thread_with_question
from tests.support.subscription_clients import LiveSocket, SubscriptionReader, open_socket
from tests.support.subscription_gateway import until
from tests.support.valkey import Valkey

LEASE_SECONDS = 1.0
TAKEOVER_SECONDS = 10.0
"""Much longer than a lease and a poll, since the machine may be busy, but still bounded."""

PLAIN = ("QUEUED", "IN_PROGRESS", "COMPLETED")
WITH_TOOL = ("QUEUED", "IN_PROGRESS", "REQUIRES_ACTION", *PLAIN)


@dataclass
class Story:
    """Two runs, the process that will be killed, and the readers on the other gateway."""

    emulator: Emulator
    victim: Gateway
    process: subprocess.Popen[str]
    survivor: Gateway
    socket: LiveSocket
    victims_socket: LiveSocket
    streamed: StartedRun = field(init=False)
    polled: StartedRun = field(init=False)
    readers: list[SubscriptionReader] = field(default_factory=list)

    @property
    def streamed_reader(self) -> SubscriptionReader:
        return self.readers[0]

    @property
    def polled_reader(self) -> SubscriptionReader:
        return self.readers[2]

    async def begin(self, *, tools: bool = False) -> None:
        """Start both runs at the same instant, with readers."""
        if tools:
            self.streamed = await start_tool_run(self.emulator, self.victim)
            self.polled = await start_run_without_gateway(self.emulator, tools=[WEATHER])
        else:
            self.streamed = await start_run(self.emulator, self.victim)
            self.polled = await start_run_without_gateway(self.emulator)
        await (await self.victims_socket.subscribe(RUN_EVENTS, run=self.polled.id)).wait_for_event("RunSnapshot")
        await self.follow()
        await self.wait_for_all("QUEUED")

    async def follow(self) -> None:
        for run in (self.streamed, self.polled):
            self.readers += [await self.socket.subscribe(query, run=run.id) for query in (RUN_EVENTS, RUN_STATUS)]

    async def wait_for_all(self, status: str) -> None:
        """Wait until this status is the last one that every reader has received."""
        async with asyncio.timeout(TAKEOVER_SECONDS):
            await asyncio.gather(*(wait_for_status(reader, status) for reader in self.readers))

    async def advance(self, seconds: float, status: str) -> None:
        self.emulator.clock.advance(seconds)
        await self.wait_for_all(status)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    async def submit(self, gateway: Gateway) -> None:
        """Submit the outputs that both runs wait for; those of the streamed one through this gateway."""
        await submit_outputs(gateway, self.emulator, self.streamed)
        waiting = await self.emulator.get(self.polled.path)
        (call,) = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
        outputs = [{"tool_call_id": call["id"], "output": "23 °C"}]
        await self.emulator.post(f"{self.polled.path}/submit_tool_outputs", {"tool_outputs": outputs})
        await self.wait_for_all("QUEUED")

    async def finish(self, expected: tuple[str, ...] = PLAIN) -> None:
        """Let the runs end, and compare the events of the readers with the upstream's data."""
        self.emulator.clock.advance(LONG_SECONDS)
        async with asyncio.timeout(TAKEOVER_SECONDS):
            await asyncio.gather(*(reader.wait_for_completion() for reader in self.readers))
        for reader in self.readers:
            assert statuses(reader.events) == list(expected), reader
        for reader, run in ((self.streamed_reader, self.streamed), (self.polled_reader, self.polled)):
            check_events_match_messages(reader.events, await messages_of_run(self.emulator, run))
        assert not self.polled_reader.of_type("StreamError", "Lagged", "TextDelta")

    def error_codes(self) -> list[str]:
        return [event["code"] for event in self.streamed_reader.of_type("StreamError")]


@asynccontextmanager
async def two_processes(emulator: Emulator, valkey: Valkey, log: Path) -> AsyncIterator[Story]:
    shared: dict[str, Any] = {"redis_url": valkey.url, "gateway_run_lease_seconds": LEASE_SECONDS}
    environment = {name.upper(): str(value) for name, value in shared.items()}
    arguments = ("serve", "--port", "0", "--upstream-url", emulator.url)
    async with running_gateway(emulator.url, **shared) as survivor, open_socket(survivor) as socket:
        with running_command(*arguments, log=log, **environment) as (process, printed):
            victim = Gateway(url_in(printed, "GraphQL"), survivor.session)
            async with open_socket(victim) as victims_socket:
                yield Story(emulator, victim, process, survivor, socket, victims_socket)


async def run_not_known_yet(story: Story) -> None:
    """Kill the victim before it knows the run that the upstream has created, and while its first poll is unanswered."""
    emulator = story.emulator
    thread_id, assistant_id = await thread_with_question(emulator), await assistant(emulator)
    story.polled = await start_run_without_gateway(emulator)
    emulator.misbehave("createRun:latency=300ms:when=after,getRun:latency=300ms:when=after")
    values = {"threadId": thread_id, "assistantId": assistant_id}
    creating = asyncio.create_task(mutate(story.victim, "createRun", "run { id }", **values))
    await story.victims_socket.subscribe(RUN_EVENTS, run=story.polled.id)
    await until(lambda: all(count.seen for _, count in emulator.faults.rules_with_counts))
    story.kill()
    with pytest.raises(aiohttp.ClientError):
        await creating
    emulator.misbehave("")
    (run,) = (await emulator.get(f"/threads/{thread_id}/runs"))["data"]
    story.streamed = StartedRun(RunKey(thread_id, run["id"]))
    await story.follow()
    await story.wait_for_all("QUEUED")
    await story.advance(QUEUED_SECONDS, "IN_PROGRESS")
    await story.finish()
    assert story.error_codes() == []


async def queued(story: Story) -> None:
    await story.begin()
    story.kill()
    await story.advance(QUEUED_SECONDS, "IN_PROGRESS")
    await story.finish()
    assert story.error_codes() == []


async def in_progress(story: Story) -> None:
    await story.begin()
    await story.advance(QUEUED_SECONDS, "IN_PROGRESS")
    story.kill()
    await story.finish()
    assert story.error_codes() == []


async def writing(story: Story, pieces: int) -> None:
    await story.begin()
    await story.advance(QUEUED_SECONDS, "IN_PROGRESS")
    story.emulator.clock.advance(STEP_SECONDS + pieces * PIECE_SECONDS)
    await story.streamed_reader.wait_for_event("TextDelta", pieces)
    await story.polled_reader.wait_for_event("MessageCreated")
    story.kill()
    await story.finish()
    assert story.error_codes() == ["TOKENS_LOST"]


async def first_piece(story: Story) -> None:
    await writing(story, 1)


async def middle_piece(story: Story) -> None:
    await writing(story, 12)


async def message_written(story: Story) -> None:
    await story.begin()
    await story.advance(QUEUED_SECONDS, "IN_PROGRESS")
    await write_messages(story)
    story.kill()
    await story.finish()
    assert story.error_codes() == []
    assert story.streamed_reader.of_type("MessageFinished")[0]["provenance"] == "STREAMED"


async def end_not_published_yet(story: Story) -> None:
    """Kill the victim after the upstream has sent it the end, and before it publishes the end."""
    await story.begin()
    await story.advance(QUEUED_SECONDS, "IN_PROGRESS")
    await write_messages(story)
    os.kill(story.process.pid, signal.SIGSTOP)
    story.emulator.clock.advance(LONG_SECONDS)
    story.kill()
    await story.finish()
    assert story.error_codes() == []


async def write_messages(story: Story) -> None:
    """Let both runs write their messages, without ending the runs."""
    await write_message(story.emulator, story.streamed_reader)
    await story.polled_reader.wait_for_event("MessageFinished")
    assert [statuses(reader.events)[-1] for reader in story.readers] == ["IN_PROGRESS"] * 4


async def stopped_beyond_its_lease(story: Story) -> None:
    """Stop the victim for longer than its lease instead of killing it. It then goes on where it was."""
    await story.begin()
    await story.advance(QUEUED_SECONDS, "IN_PROGRESS")
    story.emulator.clock.advance(STEP_SECONDS + 5 * PIECE_SECONDS)
    await story.streamed_reader.wait_for_event("TextDelta", 5)
    await story.polled_reader.wait_for_event("MessageCreated")
    os.kill(story.process.pid, signal.SIGSTOP)
    poll_count = story.emulator.counts.by_operation["getRun"]
    await until(lambda: story.emulator.counts.by_operation["getRun"] >= poll_count + 2)  # the survivor has taken over
    late = await story.socket.subscribe(RUN_EVENTS, run=story.streamed.id, after=story.streamed_reader.cursor)
    os.kill(story.process.pid, signal.SIGCONT)
    before = list(story.streamed_reader.events)
    await story.finish()
    assert [*before, *await late.wait_for_completion()] == story.streamed_reader.events


async def without_readers(story: Story) -> None:
    """Kill the victim when it has no readers. It leaves only the log, and later readers take over from there."""
    story.streamed = await start_run(story.emulator, story.victim)
    story.polled = await start_run_without_gateway(story.emulator)
    readers = [await story.victims_socket.subscribe(RUN_EVENTS, run=one.id) for one in (story.streamed, story.polled)]
    await asyncio.gather(*(wait_for_status(reader, "QUEUED") for reader in readers))
    story.emulator.clock.advance(QUEUED_SECONDS + STEP_SECONDS + 5 * PIECE_SECONDS)
    await readers[0].wait_for_event("TextDelta", 5)
    await readers[1].wait_for_event("MessageCreated")
    story.kill()
    story.emulator.clock.advance(LONG_SECONDS)
    await story.follow()
    again = [
        await story.socket.subscribe(RUN_EVENTS, run=run.id, after=reader.cursor)
        for run, reader in ((story.streamed, readers[0]), (story.polled, readers[1]))
    ]
    async with asyncio.timeout(TAKEOVER_SECONDS):
        await asyncio.gather(*(reader.wait_for_completion() for reader in (*again, *story.readers)))
    for here, there, whole in zip(readers, again, (story.streamed_reader, story.polled_reader), strict=True):
        assert [*here.events, *there.events] == whole.events
        assert statuses(whole.events)[-1] == "COMPLETED"
    check_events_match_messages(story.streamed_reader.events, await messages_of_run(story.emulator, story.streamed))
    check_events_match_messages(story.polled_reader.events, await messages_of_run(story.emulator, story.polled))
    assert story.error_codes() == ["TOKENS_LOST"]


async def waiting_for_outputs(story: Story) -> None:
    await story.begin(tools=True)
    await story.advance(QUEUED_SECONDS, "IN_PROGRESS")
    await story.advance(LONG_SECONDS, "REQUIRES_ACTION")
    story.kill()
    await story.submit(story.survivor)
    await story.advance(QUEUED_SECONDS, "IN_PROGRESS")
    await story.finish(WITH_TOOL)
    assert story.error_codes() == []


async def given_outputs(story: Story) -> None:
    await story.begin(tools=True)
    await story.advance(QUEUED_SECONDS, "IN_PROGRESS")
    await story.advance(LONG_SECONDS, "REQUIRES_ACTION")
    await story.submit(story.victim)
    story.kill()
    await story.advance(QUEUED_SECONDS, "IN_PROGRESS")
    await story.finish(WITH_TOOL)
    assert story.error_codes() == []


@pytest.mark.parametrize(
    "stage",
    long_except(
        [
            run_not_known_yet,
            queued,
            in_progress,
            first_piece,
            middle_piece,
            message_written,
            end_not_published_yet,
            waiting_for_outputs,
            given_outputs,
            stopped_beyond_its_lease,
            without_readers,
        ],
        [middle_piece, waiting_for_outputs, stopped_beyond_its_lease],
    ),
)
async def test_the_survivor_sees_each_status_once_and_each_message_complete(
    emulator: Emulator, valkey: Valkey, tmp_path: Path, stage: Callable[[Story], Awaitable[None]]
) -> None:
    async with two_processes(emulator, valkey, tmp_path / "victim.log") as story:
        await stage(story)
