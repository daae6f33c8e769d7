"""Clients of subscriptions as browsers have them: a WebSocket that speaks graphql-transport-ws, and event streams."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import aiohttp

from tests.support.emulator import KEY
from tests.support.graphql import GraphQLClient

DEADLINE_SECONDS = 20.0

Event: TypeAlias = dict[str, Any]


class Reader:
    """What one subscription was sent so far, and how it ended."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        """The value of the only field of each answer."""
        self.extensions: list[Any] = []
        self.errors: list[Any] | None = None
        """What it was refused or ended with, or what went wrong with one of its events."""
        self.has_completed = False
        self.is_over = False
        self.last_event_id: str | None = None
        self.retry_ms: int | None = None
        self.id = ""
        self._news = asyncio.Event()

    @property
    def cursor(self) -> str:
        """That of the last event."""
        cursor: str = self.events[-1]["cursor"]
        return cursor

    def of_type(self, *names: str) -> list[Event]:
        return [event for event in self.events if event["type"] in names]

    async def until(self, condition: Callable[["Reader"], object]) -> "Reader":
        """Wait for a condition on what has come; fails at once where nothing more can."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not condition(self):
                    assert not self.is_over, f"it ended before: {self}"
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"waited in vain: {self}") from None
        return self

    async def has(self, type_name: str, count: int = 1, **fields: object) -> "Reader":
        """Wait for this many events of a type with these values."""
        wanted = fields.items()
        return await self.until(lambda self: sum(wanted <= _flat(one) for one in self.of_type(type_name)) >= count)

    async def finished(self) -> list[Event]:
        """Wait for an end in good order and give all events."""
        await self.until(lambda self: self.is_over)
        assert self.errors is None, self
        assert self.has_completed, self
        return self.events

    async def ended(self) -> "Reader":
        """Wait for an end of whatever kind."""
        return await self.until(lambda self: self.is_over)

    def take(self, payload: dict[str, Any]) -> None:
        if payload.get("errors"):
            self.errors = [*(self.errors or ()), *payload["errors"]]
        if payload.get("data"):
            (event,) = payload["data"].values()
            self.events.append(event)
            self.extensions.append(payload.get("extensions"))
        self._news.set()

    def end(self, *, completed: bool = False, errors: list[Any] | None = None) -> None:
        """Note the end, of which there may be one only."""
        assert not self.is_over or not completed, f"completed after its end: {self}"
        self.has_completed = self.has_completed or completed
        self.errors = errors or self.errors
        self.is_over = True
        self._news.set()

    def __repr__(self) -> str:
        return f"<{'over' if self.is_over else 'open'} {self.errors=} {[*map(_brief, self.events)]}>"


class Socket:
    """An initialised WebSocket; `close_code` is set once the gateway has closed it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.close_code: int | None = None
        self._socket = socket
        self._readers: dict[str, Reader] = {}
        self._ids = itertools.count(1)
        self._closed = asyncio.Event()

    async def subscribe(self, query: str, **variables: Any) -> Reader:
        reader = Reader()
        reader.id = str(next(self._ids))
        self._readers[reader.id] = reader
        payload = {"query": query, "variables": variables}
        await self._socket.send_json({"id": reader.id, "type": "subscribe", "payload": payload})
        return reader

    async def unsubscribe(self, reader: Reader) -> None:
        await self._socket.send_json({"id": reader.id, "type": "complete"})
        self._readers.pop(reader.id).end()

    async def closed(self) -> int | None:
        """Wait for the gateway to close it; gives the code."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self._closed.wait()
        return self.close_code

    async def read(self) -> None:
        """Hand out what comes until the socket is closed."""
        async for frame in self._socket:
            message = json.loads(frame.data)
            reader = self._readers.get(message.get("id", ""))
            if reader is None:
                assert message["type"] in {"next", "complete"}, message  # of a subscription that was left
            elif message["type"] == "next":
                assert not reader.is_over, f"{message} after the end of {reader}"
                reader.take(message["payload"])
            else:
                reader.end(completed=message["type"] == "complete", errors=message.get("payload"))
        self.close_code = self._socket.close_code
        for reader in self._readers.values():
            reader.end()
        self._closed.set()


@asynccontextmanager
async def open_socket(gateway: GraphQLClient, *, key: str = KEY) -> AsyncIterator[Socket]:
    """A WebSocket of the principal of `key`."""
    url = f"{gateway.url}/graphql"
    async with gateway.session.ws_connect(url, protocols=("graphql-transport-ws",)) as raw:
        await raw.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {key}"}})
        assert await raw.receive_json(timeout=DEADLINE_SECONDS) == {"type": "connection_ack"}
        socket = Socket(raw)
        reading = asyncio.create_task(socket.read())
        try:
            yield socket
        finally:
            await raw.close()
            await reading


@asynccontextmanager
async def open_stream(
    gateway: GraphQLClient, query: str, /, *, key: str = KEY, last_event_id: str | None = None, **variables: Any
) -> AsyncIterator[Reader]:
    """An event stream of one subscription."""
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {key}"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    body = {"query": query, "variables": variables}
    async with gateway.session.post(f"{gateway.url}/graphql", json=body, headers=headers) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream"), await response.text()
        reader = Reader()
        reading = asyncio.create_task(_read_stream(response, reader))
        try:
            yield reader
        finally:
            reading.cancel()
            await asyncio.wait([reading])
    if not reading.cancelled():
        reading.result()


async def _read_stream(response: aiohttp.ClientResponse, reader: Reader) -> None:
    """Read events as a browser does: fields on lines, a blank line behind each event."""
    fields: dict[str, str] = {}
    buffer = b""
    try:
        async for piece in response.content.iter_any():
            *lines, buffer = (buffer + piece).split(b"\n")
            for line in lines:
                name, _, value = line.decode().partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                elif not line and fields:
                    _take_stream_event(fields, reader)
                    fields = {}
    except aiohttp.ClientPayloadError:
        pass  # the gateway is gone
    reader.end()


def _take_stream_event(fields: dict[str, str], reader: Reader) -> None:
    if "retry" in fields:
        reader.retry_ms = int(fields["retry"])
    if "id" in fields:
        reader.last_event_id = fields["id"]
    if fields.get("event") == "complete":
        reader.end(completed=True)
    elif fields.get("event") == "next":
        assert not reader.is_over, f"{fields} after the end of {reader}"
        reader.take(json.loads(fields["data"]))


async def until(condition: Callable[[], object], *, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition that nobody tells of."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.005)


def _flat(event: Event) -> Any:
    """The values of an event that can be compared one by one."""
    return {name: value for name, value in event.items() if not isinstance(value, dict | list)}.items()


def _brief(event: Event) -> str:
    words = (event.get(name) for name in ("type", "status", "value", "code", "provenance"))
    return " ".join(filter(None, words))
