"""Runs of the emulator, streamed and polled."""

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.run_log.hub import RunLogHub
from gateway.run_log.store.memory_log import MemoryLog
from gateway.upstream.threads_api_client import UpstreamClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.bodies import RunBody
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.ports import RunEvents, ThreadsApi
from schema.contract.run_events import MessageFinishedChange, Provenance, RunEvent, TextDeltaChange
from schema.contract.writes import CREATE_RUN
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.run_log_processes import SCOPE, statuses, take_all


@asynccontextmanager
async def a_gateway(emulator: Emulator) -> AsyncIterator[tuple[ThreadsApi, RunEvents]]:
    log = MemoryLog()
    async with UpstreamClient(UpstreamOptions(base_url=emulator.url, dialect_name="openai-v2")) as client:
        hub = RunLogHub(log)
        take_stream = functools.partial(hub.record_stream, SCOPE)
        try:
            yield (
                client.bind(AUTHORIZATION, take_stream),
                hub.bind(SCOPE, lambda: client.bind(AUTHORIZATION)),
            )
        finally:
            await hub.close()
            await log.close()


async def a_thread(emulator: Emulator, question: str) -> tuple[ThreadKey, str]:
    assistant = await emulator.post("/assistants", {"model": "gpt-4o"})
    thread = await emulator.post("/threads", {"messages": [{"role": "user", "content": question}]})
    return ThreadKey(thread["id"]), assistant["id"]


def streamed_text(events: list[RunEvent]) -> str:
    return "".join(event.change.value for event in events if isinstance(event.change, TextDeltaChange))


async def test_a_run_created_here_is_followed_by_token_without_a_further_call(emulator: Emulator) -> None:
    async with a_gateway(emulator) as (api, events):
        thread, assistant_id = await a_thread(emulator, "Hello!")
        run = await api.write(CREATE_RUN, thread, RunBody(assistant_id=assistant_id, model=None))
        calls = emulator.counts.total
        feeds = [await events.follow_run(RunKey(*thread, run.id)) for _ in range(3)]
        emulator.clock.advance(60)
        for feed in feeds:
            received = await take_all(feed)
            assert statuses(received) == ["queued", "in_progress", "completed"]
            (finished,) = [event.change for event in received if isinstance(event.change, MessageFinishedChange)]
            assert streamed_text(received)
            assert finished.message.status == "completed"
            assert {event.provenance for event in received} == {Provenance.STREAMED}
            await feed.aclose()
        assert emulator.counts.total == calls


@pytest.mark.parametrize("kind", ["status", "run"])
async def test_a_run_created_elsewhere_is_followed_to_its_end(emulator: Emulator, kind: str) -> None:
    async with a_gateway(emulator) as (_, events):
        thread, assistant_id = await a_thread(emulator, "Hello!")
        run = await emulator.post(f"/threads/{thread.thread_id}/runs", {"assistant_id": assistant_id})
        key = RunKey(*thread, run["id"])
        feed = await (events.follow_status(key) if kind == "status" else events.follow_run(key))
        emulator.clock.advance(60)
        received = await take_all(feed)
        assert statuses(received) == ["queued", "completed"]
        assert streamed_text(received) == ""
        await feed.aclose()
