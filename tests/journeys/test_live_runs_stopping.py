"""Tests the end of subscriptions: their gateway stops, their credential ends, or their readers leave."""

import asyncio
import base64
import json
import signal
import time
from pathlib import Path
from typing import Any

from schema.contract.keys import RunKey
from tests.support.emulator import Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    PIECE_SECONDS,
    QUEUED_SECONDS,
    RUN_EVENTS,
    RUN_STATUS,
    STEP_SECONDS,
    THREAD_EVENTS,
    StartedRun,
    check_events_match_messages,
    messages_of_run,
    start_run,
    start_run_without_gateway,
    statuses,
)
from tests.support.gateway import Gateway, running_command, running_gateway, url_in
from tests.support.subscription_clients import open_socket, open_stream
from tests.support.subscription_gateway import DEADLINE_SECONDS, until
from tests.support.valkey import Valkey

SHUTDOWN_SECONDS = 5.0


async def test_readers_of_a_stopping_gateway_go_to_another_and_miss_nothing(
    emulator: Emulator, valkey: Valkey, tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"redis_url": valkey.url, "gateway_run_lease_seconds": 0.5}
    environment = {name.upper(): str(value) for name, value in shared.items()}
    arguments = ("serve", "--port", "0", "--upstream-url", emulator.url, "--shutdown-seconds", str(SHUTDOWN_SECONDS))
    async with running_gateway(emulator.url, **shared) as other:
        with running_command(*arguments, log=tmp_path / "log", **environment) as (process, printed):
            stopping = Gateway(url_in(printed, "GraphQL"), other.session)
            run, watched = await start_run(emulator, stopping), await start_run_without_gateway(emulator)
            async with (
                open_socket(stopping) as socket,
                open_stream(stopping, RUN_EVENTS, run=run.id) as stream,
            ):
                by_socket = await socket.subscribe(RUN_EVENTS, run=run.id)
                polled = await socket.subscribe(RUN_EVENTS, run=watched.id)
                readers = (by_socket, polled, stream)
                await asyncio.gather(*(reader.wait_for_event("RunSnapshot") for reader in readers))
                emulator.clock.advance(QUEUED_SECONDS + STEP_SECONDS + 5 * PIECE_SECONDS)
                await asyncio.gather(*(reader.wait_for_event("TextDelta", 5) for reader in (by_socket, stream)))
                await polled.wait_for_event("MessageCreated")
                began = time.monotonic()
                process.send_signal(signal.SIGTERM)
                await asyncio.gather(*(reader.wait_for_end() for reader in readers))
                assert await socket.wait_for_close() == 1012
                assert time.monotonic() - began < SHUTDOWN_SECONDS
                assert not any(reader.has_completed or reader.errors for reader in readers)
                assert stream.retry_ms == 1000
            assert await asyncio.to_thread(process.wait, DEADLINE_SECONDS) == 0
        async with (
            open_socket(other) as socket,
            open_stream(other, RUN_EVENTS, last_event_id=stream.last_event_id, run=run.id) as again,
        ):
            resumed = await socket.subscribe(RUN_EVENTS, run=run.id, after=by_socket.cursor)
            repolled = await socket.subscribe(RUN_EVENTS, run=watched.id, after=polled.cursor)
            emulator.clock.advance(LONG_SECONDS)
            for before, after, its_run in (
                (by_socket, resumed, run),
                (stream, again, run),
                (polled, repolled, watched),
            ):
                events = [*before.events, *await after.wait_for_completion()]
                assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
                check_events_match_messages(events, await messages_of_run(emulator, its_run))
            codes = [error["code"] for error in [*stream.events, *again.events] if error["type"] == "StreamError"]
            assert codes[-1] == "TOKENS_LOST"
            assert not repolled.of_type("StreamError")


def token_that_ends(at: float) -> str:
    def part(claims: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part({'sub': 'someone', 'exp': at})}.{'c' * 43}"


async def test_subscriptions_end_when_the_credential_does(emulator: Emulator, gateway: Gateway) -> None:
    ends_at = time.time() + 1.5
    key = token_that_ends(ends_at)
    thread = await emulator.post("/threads", {"messages": [{"role": "user", "content": "Hello?"}]}, key=key)
    model = await emulator.post("/assistants", {"model": "gpt-4o"}, key=key)
    made = await emulator.post(f"/threads/{thread['id']}/runs", {"assistant_id": model["id"]}, key=key)
    run = StartedRun(RunKey(thread["id"], made["id"]))
    async with (
        open_socket(gateway, key=key) as socket,
        open_stream(gateway, RUN_EVENTS, key=key, run=run.id) as stream,
        open_socket(gateway) as bystander,
    ):
        on_socket = [await socket.subscribe(RUN_STATUS, run=run.id), await socket.subscribe(RUN_EVENTS, run=run.id)]
        readers = [stream, *on_socket]
        other = await bystander.subscribe(RUN_STATUS, run=(await start_run(emulator, gateway)).id)
        await asyncio.gather(*(reader.wait_until(lambda reader: reader.events) for reader in (*readers, other)))
        for reader in readers:
            await reader.wait_for_end()
        assert stream.error_codes == ["UNAUTHENTICATED"]
        # The close code alone ends those of a socket: after an error, graphql-ws would not start them again.
        assert [reader.error_codes for reader in on_socket] == [[], []]
        assert time.time() >= ends_at
        assert await socket.wait_for_close() == 4403
        assert not other.is_over


async def idle_tasks(emulator: Emulator) -> set[asyncio.Task[Any]]:
    """Return all tasks, with that of the connection that the test itself uses to the emulator."""
    await emulator.get("/assistants")
    return asyncio.all_tasks()


async def test_no_task_is_left_of_runs_that_were_followed(emulator: Emulator, valkey: Valkey) -> None:
    """The tasks of this process are those of the gateway and, one for each open connection, of the emulator."""
    before = await idle_tasks(emulator)
    shared: dict[str, Any] = {"redis_url": valkey.url, "gateway_run_lease_seconds": 0.5}
    async with running_gateway(emulator.url, **shared) as gateway, open_socket(gateway) as socket:
        ended, left, cut = [await start_run(emulator, gateway) for _ in range(3)]
        watched, unwatched = [await start_run_without_gateway(emulator) for _ in range(2)]
        whole = [
            await socket.subscribe(query, run=run.id) for query in (RUN_EVENTS, RUN_STATUS) for run in (ended, watched)
        ]
        unwanted = [
            await socket.subscribe(RUN_EVENTS, run=left.id),
            await socket.subscribe(THREAD_EVENTS, thread=left.thread_id),
            await socket.subscribe(RUN_STATUS, run=unwatched.id),
        ]
        async with open_stream(gateway, RUN_EVENTS, run=cut.id) as stream:
            readers = (*whole, *unwanted, stream)
            await asyncio.gather(*(reader.wait_until(lambda reader: reader.events) for reader in readers))
        assert len(run_log_tasks()) > 4
        for reader in unwanted:
            await socket.unsubscribe(reader)
        emulator.clock.advance(LONG_SECONDS)
        await asyncio.gather(*(reader.wait_for_completion() for reader in whole))
        # Streaming tasks have ended with their runs, and polling tasks with their runs and readers.
        await until(lambda: not run_log_tasks())
    await until(lambda: asyncio.all_tasks() <= before)


def run_log_tasks() -> list[str]:
    """Return the tasks that stream or poll."""
    tasks = (repr(task) for task in asyncio.all_tasks())
    return [task for task in tasks if "gateway/run_log/" in task and "redis_notifications" not in task]


async def test_a_stopping_gateway_leaves_no_task_and_no_connection(emulator: Emulator, valkey: Valkey) -> None:
    before = await idle_tasks(emulator)
    async with running_gateway(emulator.url, redis_url=valkey.url) as gateway, open_socket(gateway) as socket:
        run, watched = await start_run(emulator, gateway), await start_run_without_gateway(emulator)
        readers = [await socket.subscribe(RUN_EVENTS, run=one.id) for one in (run, watched)]
        readers.append(await socket.subscribe(THREAD_EVENTS, thread=run.thread_id))
        await asyncio.gather(*(reader.wait_until(lambda reader: reader.events) for reader in readers))
    await until(lambda: asyncio.all_tasks() <= before)
