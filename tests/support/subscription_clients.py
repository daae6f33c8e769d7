"""Subscription clients as browsers have them: a WebSocket that speaks graphql-transport-ws, and event streams."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import aiohttp

from tests.support.emulator import KEY
from tests.support.graphql import GraphQLClient
from tests.support.subscription_gateway import DEADLINE_SECONDS, SUBPROTOCOL, Socket, read_frame

Event: TypeAlias = dict[str, Any]


class SubscriptionReader:
    """The events that one subscription has received so far, and its end."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        """The value of the only field of each response."""
        self.errors: list[Any] | None = None
        """The errors that refused or ended the subscription, or that belong to one of its events."""
        self.has_completed = False
        self.is_over = False
        self.last_event_id: str | None = None
        self.retry_ms: int | None = None
        self.id = ""
        self._changed = asyncio.Event()

    @property
    def cursor(self) -> str:
        """The cursor of the last event."""
        cursor: str = self.events[-1]["cursor"]
        return cursor

    @property
    def error_codes(self) -> list[str]:
        """The codes of `errors`."""
        return [error["extensions"]["code"] for error in self.errors or ()]

    def of_type(self, *names: str) -> list[Event]:
        return [event for event in self.events if event["type"] in names]

    async def wait_until(self, condition: Callable[["SubscriptionReader"], object]) -> "SubscriptionReader":
        """Wait for a condition on the events. Fails at once if the subscription has ended before."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not condition(self):
                    assert not self.is_over, f"it ended before: {self}"
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"waited in vain: {self}") from None
        return self

    async def wait_for_event(self, type_name: str, count: int = 1, **fields: object) -> "SubscriptionReader":
        """Wait for this number of events of a type with these values."""
        wanted = fields.items()
        return await self.wait_until(
            lambda self: sum(wanted <= _scalar_items(one) for one in self.of_type(type_name)) >= count
        )

    async def wait_for_completion(self) -> list[Event]:
        """Wait for the end of the subscription without errors, and return all events."""
        await self.wait_until(lambda self: self.is_over)
        assert self.errors is None, self
        assert self.has_completed, self
        return self.events

    async def wait_for_end(self) -> "SubscriptionReader":
        """Wait for any end of the subscription."""
        return await self.wait_until(lambda self: self.is_over)

    def add_payload(self, payload: dict[str, Any]) -> None:
        if payload.get("errors"):
            self.errors = [*(self.errors or ()), *payload["errors"]]
        if payload.get("data"):
            (event,) = payload["data"].values()
            self.events.append(event)
        self._changed.set()

    def mark_ended(self, *, completed: bool = False, errors: list[Any] | None = None) -> None:
        """Record the end. There may be only one."""
        assert not self.is_over or not completed, f"completed after its end: {self}"
        self.has_completed = self.has_completed or completed
        self.errors = errors or self.errors
        self.is_over = True
        self._changed.set()

    def __repr__(self) -> str:
        return f"<{'over' if self.is_over else 'open'} {self.errors=} {[*map(_summary, self.events)]}>"


class LiveSocket:
    """An initialised WebSocket that passes each message to its reader."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._readers: dict[str, SubscriptionReader] = {}
        self._ids = itertools.count(1)
        self._pongs: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._closed: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    @property
    def is_closed(self) -> bool:
        return self._closed.done()

    async def subscribe(self, query: str, **variables: Any) -> SubscriptionReader:
        reader = SubscriptionReader()
        reader.id = str(next(self._ids))
        self._readers[reader.id] = reader
        await self._socket.subscribe(reader.id, query, variables=variables)
        return reader

    async def unsubscribe(self, reader: SubscriptionReader) -> None:
        await self._socket.send(id=reader.id, type="complete")
        self._readers.pop(reader.id).mark_ended()

    async def send_ping(self, payload: dict[str, Any]) -> None:
        await self._socket.send(type="ping", payload=payload)

    async def wait_for_pong(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._pongs.get()

    async def wait_for_close(self) -> int | None:
        """Wait until the gateway closes the socket. Returns the code, or None if the connection was just lost."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await asyncio.shield(self._closed)

    async def dispatch_messages(self) -> None:
        """Pass messages to their readers until the socket is closed."""
        async for frame in self._socket.ws:
            message = json.loads(frame.data)
            if message["type"] == "pong":
                self._pongs.put_nowait(message)
                continue
            reader = self._readers.get(message["id"])
            if reader is None:
                continue  # of a subscription that the client has ended
            if message["type"] == "next":
                assert not reader.is_over, f"{message} after the end of {reader}"
                reader.add_payload(message["payload"])
            else:
                reader.mark_ended(completed=message["type"] == "complete", errors=message.get("payload"))
        for reader in self._readers.values():
            reader.mark_ended()
        code = self._socket.ws.close_code
        self._closed.set_result(None if code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE else code)


@asynccontextmanager
async def open_socket(
    gateway: GraphQLClient, *, key: str | None = KEY, request_id: str | None = None
) -> AsyncIterator[LiveSocket]:
    """Open a WebSocket for the principal with this key, or without a key of its own."""
    headers = {} if request_id is None else {"X-Request-ID": request_id}
    url = f"{gateway.url}/graphql"
    async with gateway.session.ws_connect(url, protocols=(SUBPROTOCOL,), headers=headers) as ws:
        raw = Socket(ws)
        await raw.initialise({} if key is None else {"Authorization": f"Bearer {key}"})
        socket = LiveSocket(raw)
        read_task = asyncio.create_task(socket.dispatch_messages())
        try:
            yield socket
        finally:
            await ws.close()
            await read_task


@asynccontextmanager
async def open_stream(
    gateway: GraphQLClient,
    query: str,
    /,
    *,
    key: str = KEY,
    last_event_id: str | None = None,
    request_id: str | None = None,
    host: str | None = None,
    **variables: Any,
) -> AsyncIterator[SubscriptionReader]:
    """Open an event stream of one subscription. `host` is the name by which the gateway is called."""
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {key}"}
    if host is not None:
        headers["Host"] = host
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    if request_id is not None:
        headers["X-Request-ID"] = request_id
    body = {"query": query, "variables": variables}
    async with gateway.session.post(f"{gateway.url}/graphql", json=body, headers=headers) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream"), await response.text()
        reader = SubscriptionReader()
        read_task = asyncio.create_task(_read_stream(response, reader))
        try:
            yield reader
        finally:
            read_task.cancel()
            await asyncio.wait([read_task])
    if not read_task.cancelled():
        read_task.result()


async def _read_stream(response: aiohttp.ClientResponse, reader: SubscriptionReader) -> None:
    try:
        while fields := await read_frame(response):
            if "retry" in fields:
                reader.retry_ms = int(fields["retry"])
            reader.last_event_id = fields.get("id", reader.last_event_id)
            if fields.get("event") == "complete":
                reader.mark_ended(completed=True)
            elif fields.get("event") == "next":
                assert not reader.is_over, f"{fields} after the end of {reader}"
                reader.add_payload(json.loads(fields["data"]))
    except aiohttp.ClientPayloadError:
        pass  # the gateway has stopped
    reader.mark_ended()


def _scalar_items(event: Event) -> Any:
    """Return the scalar values of an event, as items to compare."""
    return {name: value for name, value in event.items() if not isinstance(value, dict | list)}.items()


def _summary(event: Event) -> str:
    words = (event.get(name) for name in ("type", "status", "value", "code", "provenance"))
    return " ".join(filter(None, words))
