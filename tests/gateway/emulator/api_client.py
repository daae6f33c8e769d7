"""A client of an emulator under test, readers of its streams, and sample objects for tests of its pure parts."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from gateway.emulator.clock import ManualClock
from gateway.emulator.objects import Run
from gateway.emulator.runs.progress import Progress

START = 1_800_000_000
WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TIME_TOOL = {"type": "function", "function": {"name": "get_time"}}


@dataclass(frozen=True)
class Reply:
    status: int
    json: Any
    text: str
    headers: Mapping[str, str]


Event = tuple[str, Any]


def parse_events(text: str) -> list[Event]:
    """Return the events of a stream as name and data. Fail if its framing is not the API's."""
    assert text.endswith("\n\n") or not text
    assert "\r" not in text
    return [parse_event(f"{frame}\n\n") for frame in text.split("\n\n")[:-1]]


def parse_event(frame: str) -> Event:
    first, second, *rest = frame.split("\n")
    assert rest == ["", ""], frame
    name, data = first.removeprefix("event: "), second.removeprefix("data: ")
    assert (first, second) == (f"event: {name}", f"data: {data}")
    return name, data if name == "done" else json.loads(data)


def event_names(events: Iterable[Event]) -> list[str]:
    """Return the names of events without `thread.`. Consecutive deltas of one kind count once."""
    names: list[str] = []
    for name, _ in events:
        short = name.removeprefix("thread.")
        if not (short.endswith("delta") and names and names[-1] == short):
            names.append(short)
    return names


@dataclass(frozen=True)
class Stream:
    """A stream that is being read from its socket."""

    response: ClientResponse

    async def next(self) -> Event:
        return parse_event((await self.response.content.readuntil(b"\n\n")).decode())

    async def until(self, name: str) -> list[Event]:
        """Return the events up to the first one of this name."""
        events = [await self.next()]
        while events[-1][0] != name:
            events.append(await self.next())
        return events

    async def rest(self) -> list[Event]:
        return parse_events((await self.response.read()).decode())


class StreamReader:
    """A reader of a stream without a socket, as fast as its frames come. `frames` holds the frames so far."""

    def __init__(self, frames: AsyncGenerator[bytes, None]) -> None:
        self.frames: list[bytes] = []
        self._stream = frames
        self._task = asyncio.create_task(self._read())

    @property
    def is_over(self) -> bool:
        return self._task.done()

    @property
    def events(self) -> list[Event]:
        return parse_events(b"".join(self.frames).decode())

    async def settle(self) -> list[Event]:
        """Let the stream send all due events, and return all events so far."""
        for _ in range(12):
            await asyncio.sleep(0)
        if self._task.done():
            self._task.result()
        return self.events

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._stream.aclose()

    async def _read(self) -> None:
        async for frame in self._stream:
            self.frames.append(frame)


@dataclass(frozen=True)
class Api:
    """A client with an API key and a version. `ok` fails on any status but 200."""

    client: TestClient[Any, Any]
    clock: ManualClock
    key: str = "sk-test"
    version: str = "v2"

    def using(self, *, key: str | None = None, version: str | None = None) -> "Api":
        return Api(self.client, self.clock, key or self.key, version or self.version)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        if headers is None:
            headers = {"Authorization": f"Bearer {self.key}", "OpenAI-Beta": f"assistants={self.version}"}
        sent = {"data": io.BytesIO(raw)} if raw is not None else {} if body is None else {"json": body}
        async with self.client.request(method, f"/v1{path}", headers=headers, **sent) as response:
            text = await response.text()
            return Reply(response.status, await response.json(), text, response.headers)

    async def ok(self, method: str, path: str, body: Any = None) -> Any:
        reply = await self.call(method, path, body)
        assert reply.status == 200, reply.text
        return reply.json

    async def error(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        reply = await self.call(method, path, body)
        return reply.status, reply.json["error"]

    @asynccontextmanager
    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[Stream]:
        """Open a stream. It is closed at the end of the block, even if it is not read."""
        headers = {"Authorization": f"Bearer {self.key}", "OpenAI-Beta": f"assistants={self.version}"}
        async with self.client.post(f"/v1{path}", headers=headers, json={**body, "stream": True}) as response:
            assert response.status == 200, await response.text()
            yield Stream(response)

    async def streamed(self, path: str, body: Mapping[str, Any], *, seconds: float = 60) -> list[Event]:
        """Return all events of a stream, after the clock is advanced by `seconds` at once."""
        async with self.stream(path, body) as stream:
            self.clock.advance(seconds)
            return await stream.rest()

    async def streamed_run(
        self, question: str = "What is a heron?", *, tools: Any = (), seconds: float = 60, **fields: Any
    ) -> list[Event]:
        """Return all events of a new run on a new thread."""
        body = {"assistant_id": await self.new_assistant(tools=list(tools)), **fields}
        return await self.streamed(f"/threads/{await self.new_thread(question)}/runs", body, seconds=seconds)

    async def new_assistant(self, **fields: Any) -> str:
        assistant = await self.ok("POST", "/assistants", {"model": "gpt-4o", **fields})
        return str(assistant["id"])

    async def new_thread(self, *contents: str, **fields: Any) -> str:
        messages = [{"role": "user", "content": content} for content in contents]
        thread = await self.ok("POST", "/threads", {"messages": messages, **fields})
        return str(thread["id"])

    async def new_run(self, question: str = "What is a heron?", *, tools: Any = (), **fields: Any) -> str:
        """Start a run on a new thread, and return the run's path."""
        assistant_id = await self.new_assistant(tools=list(tools))
        thread_id = await self.new_thread(question)
        run = await self.ok("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id, **fields})
        return f"/threads/{thread_id}/runs/{run['id']}"


def a_run(**fields: Any) -> Run:
    """Return a run that was queued at START."""
    defaults: dict[str, Any] = {
        "id": "run_1",
        "thread_id": "thread_1",
        "assistant_id": "asst_1",
        "created_at": START,
        "expires_at": START + 600,
        "model": "gpt-4o",
    }
    return Run(**{**defaults, **fields})


def a_progress(**fields: Any) -> Progress:
    return Progress(a_run(**fields), {}, {})


class CountingIds:
    """An id factory whose ids count: `step_1`, `step_2`."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count}"
