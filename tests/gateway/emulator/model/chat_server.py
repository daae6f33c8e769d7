"""A server of the chat-completions API on a loopback socket, with the answers that a test sets."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from gateway.server.app import listening

Json = dict[str, Any]
Piece = Json | bytes | asyncio.Event
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Streamed:
    """An answer that is a stream of chunks or raw bytes.

    The server waits for an `asyncio.Event` among the pieces. The end `cut` breaks the connection, and `open` sends no
    last event.
    """

    pieces: tuple[Piece, ...]
    end: Literal["done", "open", "cut"] = "done"


@dataclass(frozen=True)
class Whole:
    """An answer that is no stream."""

    body: Json | bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that the server received."""

    path: str
    headers: Mapping[str, str]
    body: Any


class ChatServer:
    """A server that sends its answers in order. `client_left` is set once a client leaves before the end of one."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[ReceivedRequest] = []
        self.answers: deque[Streamed | Whole] = deque()
        self.client_left = asyncio.Event()
        self._arrivals: asyncio.Queue[ReceivedRequest] = asyncio.Queue()

    def will_stream(self, *pieces: Piece, end: Literal["done", "open", "cut"] = "done") -> None:
        self.answers.append(Streamed(pieces, end))

    def will_answer(self, body: Json | bytes, status: int = 200, **headers: str) -> None:
        self.answers.append(Whole(body, status, headers))

    async def next_request(self) -> ReceivedRequest:
        """Wait for the next request."""
        return await self._arrivals.get()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        received = ReceivedRequest(request.path_qs, dict(request.headers), await request.json())
        self.requests.append(received)
        self._arrivals.put_nowait(received)
        match self.answers.popleft():
            case Whole(body, status, headers):
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                return web.Response(
                    body=raw, status=status, headers={"Content-Type": "application/json; charset=utf-8", **headers}
                )
            case Streamed(pieces, end):
                return await self._stream(request, pieces, end)

    async def _stream(self, request: web.Request, pieces: tuple[Piece, ...], end: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for piece in pieces:
                if isinstance(piece, asyncio.Event):
                    await piece.wait()
                else:
                    await response.write(piece if isinstance(piece, bytes) else frame(piece))
            if end == "done":
                await response.write(DONE)
        except (asyncio.CancelledError, ConnectionError):
            self.client_left.set()
            raise
        if end == "cut" and request.transport is not None:
            request.transport.close()
        return response


@asynccontextmanager
async def running_chat_server() -> AsyncIterator[ChatServer]:
    server = ChatServer()
    app = web.Application()
    app.router.add_post("/{path:.*}", server.handle)
    async with listening(app, "127.0.0.1", 0) as url:
        server.url = f"{url}/v1"
        yield server


def frame(chunk: Json) -> bytes:
    """Return the frame of a chunk in a stream."""
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def chunk(finish_reason: str | None = None, **delta: Any) -> Json:
    return {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


def words(*pieces: str) -> list[Json]:
    """Return the chunks of a text."""
    return [chunk(content=piece) for piece in pieces]


def call(index: int | None = 0, arguments: str | None = None, **first_fields: Any) -> Json:
    """Return the chunk of a call's piece. The first piece of a call has an `id` and a `name`."""
    name = first_fields.pop("name", None)
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    numbered = {} if index is None else {"index": index}
    return chunk(tool_calls=[{**numbered, **first_fields, "type": "function", "function": function}])


def finish(reason: str = "stop") -> Json:
    return chunk(reason)


def usage(prompt_tokens: int, completion_tokens: int) -> Json:
    total = prompt_tokens + completion_tokens
    counted = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}
    return {"choices": [], "usage": counted}


def completion(message: Json, finish_reason: str = "stop", **fields: Any) -> Json:
    """Return the body of an answer that is no stream."""
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}],
        **fields,
    }
