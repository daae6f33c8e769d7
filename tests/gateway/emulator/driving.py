"""Drives an emulator over its socket, and makes objects for the tests of its pure parts."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp.test_utils import TestClient

from gateway.emulator.clock import ManualClock
from gateway.emulator.objects import Run
from gateway.emulator.progress import Progress

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


@dataclass(frozen=True)
class Api:
    """A client with a key and a version; ``ok`` insists on 200."""

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

    async def new_assistant(self, **fields: Any) -> str:
        made = await self.ok("POST", "/assistants", {"model": "gpt-4o", **fields})
        return str(made["id"])

    async def new_thread(self, *contents: str, **fields: Any) -> str:
        messages = [{"role": "user", "content": content} for content in contents]
        made = await self.ok("POST", "/threads", {"messages": messages, **fields})
        return str(made["id"])

    async def new_run(self, question: str = "What is a heron?", *, tools: Any = (), **fields: Any) -> str:
        """Start a run on a new thread and return its path."""
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


class CountingMint:
    """Gives out ids that count: ``step_1``, ``step_2``."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count}"
