"""An upstream that sends exactly the bytes that a test chooses: responses, resets, silence, cut or invalid bodies."""

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Request:
    """One received request. Header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class ScriptedResponse:
    """Bytes to send, and the action on the connection after them."""

    data: bytes = b""
    then: str = "keep"  # or "close", "reset", "hang"
    pieces: tuple[bytes | asyncio.Event, ...] = ()
    """Bytes to send afterwards. An event delays the pieces after it until it is set."""


RESET = ScriptedResponse(then="reset")
CLOSED = ScriptedResponse(then="close")
SILENCE = ScriptedResponse(then="hang")

ResponseScript: TypeAlias = Callable[[Request], ScriptedResponse]


def response(status: int = 200, body: object = b"", **headers: str) -> ScriptedResponse:
    """Build a complete response. A body that is not bytes is sent as JSON. `Retry_After="1"` becomes a header."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(sent))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return ScriptedResponse(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + sent)


def truncated(whole: ScriptedResponse, missing_bytes: int = 1) -> ScriptedResponse:
    """Return the same response without its end."""
    return ScriptedResponse(whole.data[:-missing_bytes], then="close")


def chunk(data: bytes) -> bytes:
    """Encode a piece of a chunked body. An empty piece is the end of the body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked_response(
    *pieces: bytes | asyncio.Event, then: str = "keep", whole: bool = True, status: int = 200, **headers: str
) -> ScriptedResponse:
    """Build a chunked response that sends its pieces one by one, and waits for each event between them.

    If `whole` is false, the end of the body is not sent.
    """
    lines = {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    encoded_pieces = tuple(chunk(piece) if isinstance(piece, bytes) else piece for piece in pieces)
    sent = f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode()
    return ScriptedResponse(sent, then, (*encoded_pieces, chunk(b"")) if whole else encoded_pieces)


def echo(request: Request) -> ScriptedResponse:
    """Respond with an object without a kind, whose id is the end of the path, or with an empty list."""
    path, _, query = request.target.partition("?")
    if "limit=" in query:
        return response(body={"object": "list", "data": [], "has_more": False})
    return response(body={"id": path.rsplit("/", 1)[1], "created_at": 1})


@dataclass
class ScriptedUpstream:
    """Sends the queued responses one by one, then the default response. Records the requests."""

    queued_responses: deque[ScriptedResponse | ResponseScript] = field(default_factory=deque)
    default_response: ScriptedResponse | ResponseScript = field(default_factory=response)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    max_concurrent: int = 0
    url: str = ""
    _waiting: int = 0

    def queue_responses(self, *responses: ScriptedResponse | ResponseScript) -> None:
        self.queued_responses.extend(responses)

    @property
    def targets(self) -> list[str]:
        return [request.target for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        try:
            while await self._serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_connections -= 1
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(method, target, headers, body)
        self.requests.append(request)
        self._waiting += 1
        await asyncio.sleep(0)
        self.max_concurrent = max(self.max_concurrent, self._waiting)
        scripted = self.queued_responses.popleft() if self.queued_responses else self.default_response
        response = scripted(request) if callable(scripted) else scripted
        writer.write(response.data)
        await writer.drain()
        for piece in response.pieces:
            if isinstance(piece, bytes):
                writer.write(piece)
                await writer.drain()
            elif not await _set_before_end(piece, reader):
                return False
        if response.then == "hang":
            await reader.read()  # until the client leaves
        self._waiting -= 1
        if response.then == "reset":
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return response.then == "keep"


async def _set_before_end(event: asyncio.Event, reader: asyncio.StreamReader) -> bool:
    """Wait for the event. Returns False if the client left first."""
    client_gone, event_set = asyncio.ensure_future(reader.read()), asyncio.ensure_future(event.wait())
    await asyncio.wait([client_gone, event_set], return_when=asyncio.FIRST_COMPLETED)
    for waiting in (client_gone, event_set):
        waiting.cancel()
    await asyncio.gather(client_gone, event_set, return_exceptions=True)
    return event.is_set()


@asynccontextmanager
async def scripted_upstream() -> AsyncIterator[ScriptedUpstream]:
    """Run a scripted upstream. At the end, no connection to it is left open."""
    upstream = ScriptedUpstream()
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        await upstream.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield upstream
    finally:
        server.close()
        async with asyncio.timeout(5):
            await asyncio.gather(*connections)
        await server.wait_closed()
