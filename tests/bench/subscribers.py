"""Measures many readers of one run, against the same in plain Strawberry, in one run.

    python -m tests.bench.subscribers [--subscribers 1000] [--events 30] [--rounds 3]

Runs a gateway over an upstream that streams one run, whose events this program sends; a plain Strawberry server; and
readers of both over graphql-transport-ws. In each round, every server in turn gets the events of a run. Figures:
resident memory for each idle reader, processor time for each delivered event, and the delay from sending an event to
its arrival at the readers. Linux only: memory and processor time are read from /proc.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.bench.reads import processor_seconds
from tests.support.gateway import ROOT, clean_environment, running_command, url_in

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


class StreamedRun:
    """An upstream with one run. Its stream gets a piece of text at each call of `publish`."""

    def __init__(self) -> None:
        self.calls = 0
        self._streams: list[web.StreamResponse] = []
        self._over = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        run = {"id": "run_1", "object": "thread.run", "created_at": 1, "thread_id": "thread_1", "status": "in_progress"}
        if request.method == "GET":
            return web.json_response(run)
        message = {"id": "msg_1", "object": "thread.message", "created_at": 1, "role": "assistant", "content": []}
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(frame("thread.run.in_progress", run) + frame("thread.message.created", message))
        self._streams.append(stream)
        await self._over.wait()
        return stream

    async def publish(self) -> None:
        text = {"index": 0, "type": "text", "text": {"value": "word "}}
        delta = {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": [text]}}
        for stream in self._streams:
            await stream.write(frame("thread.message.delta", delta))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/v1/{path:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        finally:
            self._over.set()
            await runner.cleanup()


def frame(event: str, data: dict[str, Any]) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()


@dataclass
class Measured:
    """One server with its readers and its measurements."""

    name: str
    url: str
    pid: int
    query: str
    publish: Callable[[], Awaitable[None]]
    received: int = 0
    expected: int = 0
    all_have_it: asyncio.Event = field(default_factory=asyncio.Event)
    sent_at: float = 0.0
    bytes_per_reader: float = 0.0
    seconds_per_event: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    reading: list[asyncio.Task[None]] = field(default_factory=list)

    async def read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            frame_type = json.loads(message.data)["type"]
            assert frame_type in {"next", "ping"}, message.data
            if frame_type == "next" and self.sent_at:
                self.received += 1
                self.delays.append(time.perf_counter() - self.sent_at)
                if self.received == self.expected:
                    self.all_have_it.set()

    async def connect(self, session: aiohttp.ClientSession, readers: int) -> None:
        before = resident_bytes(self.pid)
        for _ in range(readers):
            socket = await session.ws_connect(self.url, protocols=["graphql-transport-ws"], max_msg_size=0)
            await socket.send_json({"type": "connection_init"})
            assert (await socket.receive_json())["type"] == "connection_ack"
            await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": self.query}})
            self.reading.append(asyncio.create_task(self.read(socket)))
        await asyncio.sleep(2)
        self.bytes_per_reader = (resident_bytes(self.pid) - before) / readers

    async def run(self, events: int) -> None:
        processor, already = processor_seconds(self.pid), self.received
        for _ in range(events):
            self.expected = self.received + len(self.reading)
            self.all_have_it.clear()
            self.sent_at = time.perf_counter()
            await self.publish()
            async with asyncio.timeout(30):
                await self.all_have_it.wait()
        self.sent_at = 0.0
        self.seconds_per_event.append((processor_seconds(self.pid) - processor) / (self.received - already))

    def row(self) -> str:
        self.delays.sort()
        p50, p95 = (1000 * self.delays[int(len(self.delays) * part)] for part in (0.5, 0.95))
        used = 1000 * statistics.median(self.seconds_per_event)
        return f"| {self.name} | {self.bytes_per_reader / 1024:.1f} | {used:.4f} | {p50:.0f} | {p95:.0f} |"


@contextmanager
def plain_strawberry() -> Iterator[tuple[int, str]]:
    command = [sys.executable, "-m", "tests.bench.plain_strawberry"]
    process = subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.pid, f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


async def measure(readers: int, events: int, rounds: int, say: Callable[[str], None]) -> None:
    upstream = StreamedRun()
    async with AsyncExitStack() as stack:
        upstream_url = await stack.enter_async_context(upstream.listening())
        over: dict[str, Any] = {
            "UPSTREAM_URL": upstream_url,
            "UPSTREAM_ANONYMOUS": "true",
            "GATEWAY_LOG_LEVEL": "warning",
        }
        process, printed = await asyncio.to_thread(stack.enter_context, running_command("serve", "--port", "0", **over))
        gateway_url = url_in(printed, "GraphQL")
        peer_pid, peer_url = stack.enter_context(plain_strawberry())
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))

        async def publish_to_peer() -> None:
            async with session.post(f"{peer_url}/publish"):
                pass

        start = 'mutation { createRun(input: {threadId: "thread_1", assistantId: "asst_1"}) { run { id } } }'
        async with session.post(f"{gateway_url}/graphql", json={"query": start}) as response:
            run_id = (await response.json())["data"]["createRun"]["run"]["id"]
        own_query = f'subscription {{ runEvents(runId: "{run_id}") {{ ... on TextDelta {{ messageId value }} }} }}'
        plain_query = 'subscription { runEvents(runId: "run_1") { messageId value } }'
        servers = [
            Measured("this gateway", f"{gateway_url}/graphql", process.pid, own_query, upstream.publish),
            Measured("plain Strawberry", f"{peer_url}/graphql", peer_pid, plain_query, publish_to_peer),
        ]
        for server in servers:
            await server.connect(session, readers)
        for _ in range(rounds):
            for server in servers:
                await server.run(events)
        say(f"{readers} readers, {rounds} x {events} events; calls of the gateway to its upstream: {upstream.calls}\n")
        say("| server | KB for each idle reader | ms of processor for each delivered event | p50 ms | p95 ms |")
        say("|---|---|---|---|---|")
        for server in servers:
            say(server.row())
        for task in [task for server in servers for task in server.reading]:
            task.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.subscribers, arguments.events, arguments.rounds, print))


if __name__ == "__main__":
    main()
