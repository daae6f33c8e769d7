"""A gateway on a socket with run events that a test pushes, and small clients for its WebSockets and event streams."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from gateway.identity.authenticator import Authenticator, CredentialAuthenticator
from gateway.identity.credentials import CredentialPolicy
from gateway.identity.principal import UpstreamIdentity
from gateway.server.app import OPERATION_TASKS, create_app, listening
from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.endpoint import GraphQLEndpoint
from gateway.server.health import ReadinessProbe
from gateway.server.http.operation_contexts import OperationContexts
from gateway.server.http.operation_runner import OperationRunner
from gateway.server.http.request_limits import RequestLimits, SubscriptionLimits
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey, to_global_id
from schema.contract.run_events import StatusChange
from schema.root import build_schema
from tests.support.fake_run_events import FakeRunEvents
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.graphql import GraphQLClient
from tests.support.wire_samples import run

RUN = to_global_id(RunKey("thread_1", "run_1"))
STATUS = f'subscription {{ runStatus(runId: "{RUN}") {{ status }} }}'
SUBPROTOCOL = "graphql-transport-ws"
CREDENTIAL = {"Authorization": "Bearer x"}
DEADLINE_SECONDS = 20.0


def passing_on(policy: CredentialPolicy, own_credential: str | None = None) -> CredentialAuthenticator:
    """Return an authenticator that passes credentials on."""
    return CredentialAuthenticator(policy, UpstreamIdentity("http://upstream.test"), lambda: own_credential)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition. Fails the test if that takes too long."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.001)


def status(text: str) -> StatusChange:
    """Return the change of a run to this status."""
    return StatusChange(run(status=text))


@dataclass
class Socket:
    """One WebSocket that speaks graphql-transport-ws."""

    ws: aiohttp.ClientWebSocketResponse

    async def send(self, **message: Any) -> None:
        await self.ws.send_str(json.dumps(message))

    async def receive(self) -> Any:
        """Return the next message. A close is `(code, reason)`."""
        message = await self.ws.receive(timeout=DEADLINE_SECONDS)
        if message.type is aiohttp.WSMsgType.TEXT:
            return json.loads(message.data)
        assert message.type is aiohttp.WSMsgType.CLOSE, message
        return message.data, message.extra

    async def initialise(self, payload: Any = CREDENTIAL) -> None:
        await self.send(type="connection_init", payload=payload)
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, id: str = "1", query: str = STATUS, **payload: Any) -> None:
        await self.send(type="subscribe", id=id, payload={"query": query, **payload})

    async def wait_for_close(self) -> tuple[int, str]:
        """Return the code and the reason of the close, which must come next."""
        received: tuple[int, str] = await self.receive()
        assert isinstance(received, tuple), received
        return received


@dataclass
class SubscriptionGateway(GraphQLClient):
    """A running gateway and the events that its subscriptions follow."""

    endpoint: GraphQLEndpoint = field(repr=False)
    app: web.Application = field(repr=False)
    events: FakeRunEvents = field(repr=False)

    @asynccontextmanager
    async def socket(self, *, protocols: tuple[str, ...] = (SUBPROTOCOL,), **options: Any) -> AsyncIterator[Socket]:
        url = self.url.replace("http", "ws", 1) + "/graphql"
        async with self.session.ws_connect(url, protocols=protocols, **options) as ws:
            yield Socket(ws)

    @asynccontextmanager
    async def initialised(self, payload: Any = CREDENTIAL) -> AsyncIterator[Socket]:
        async with self.socket() as socket:
            await socket.initialise(payload)
            yield socket

    @asynccontextmanager
    async def stream(self, query: str = STATUS, **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open an event stream of one operation."""
        headers = {**CREDENTIAL, "Accept": "text/event-stream", **headers}
        async with self.session.post(f"{self.url}/graphql", json={"query": query}, headers=headers) as response:
            yield response

    async def wait_for_feeds(self, number: int = 1) -> None:
        """Wait until this number of feeds is open."""
        await until(lambda: len(self.events.open_feeds) == number)

    async def wait_until_idle(self) -> None:
        """Wait until the gateway holds nothing for any client."""
        connections = self.endpoint.connections
        await until(lambda: not len(connections) and not len(connections.tasks))
        await until(lambda: not len(connections.fan_out) and not connections.fan_out.groups)
        await until(lambda: not self.events.open_feeds)

    async def stop(self) -> None:
        """Do the first step of stopping a gateway."""
        await self.app[OPERATION_TASKS].stop(0)


async def read_frame(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the fields of the next frame of an event stream by name. Skips comments. Empty at the end."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            text = (await response.content.readuntil(b"\n\n")).decode()
            lines = [line for line in text.splitlines() if line and not line.startswith(":")]
            if lines or not text:
                return {name: value for name, _, value in (line.partition(": ") for line in lines)}


@asynccontextmanager
async def running_subscription_gateway(
    *,
    limits: SubscriptionLimits | None = None,
    authenticator: Authenticator | None = None,
    documents: DocumentPolicy | None = None,
    events: FakeRunEvents | None = None,
    api: Any = None,
    port: int = 0,
) -> AsyncIterator[SubscriptionGateway]:
    """Run a gateway over a fake port. Its subscriptions follow the events that the test pushes."""
    run_events = events or FakeRunEvents()
    bound = api or FakeThreadsApi()
    runner = OperationRunner(
        build_schema(),
        OperationContexts(
            lambda _: bound,
            lambda _: run_events,
            limits=RequestLimits(max_body_bytes=20_000, subscriptions=limits or SubscriptionLimits()),
        ),
    )
    endpoint = GraphQLEndpoint(
        runner,
        authenticator=authenticator or passing_on(CredentialPolicy()),
        documents=documents,
    )

    async def unexpected_check() -> GatewayError | None:
        raise AssertionError

    app = create_app(endpoint, ReadinessProbe(unexpected_check))
    async with listening(app, "127.0.0.1", port) as url, aiohttp.ClientSession() as session:
        yield SubscriptionGateway(url, session, endpoint, app, run_events)
