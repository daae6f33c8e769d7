"""The connections to one upstream: sessions, addresses, headers, and each principal's share of them."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakValueDictionary

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway.upstream.rest_requests import UpstreamRequest
from gateway.upstream.retry import CallFailure
from gateway.upstream.transport_failures import transport_failure
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.errors import ErrorCode, GatewayError

ValueT = TypeVar("ValueT")

USER_AGENT = "threads-gateway"
PING_TIMEOUT_SECONDS = 2.0


@dataclass(slots=True)
class Departure:
    """Whether a request has begun to leave: from then on the upstream may act on it."""

    begun: bool = False


class UpstreamPool:
    """Owns the connections to one upstream and shares them out; made and closed inside the running loop (`async with`).

    `sleep`, `random_fraction` (0 to 1) and `now_seconds` (Unix time) are arguments for the sake of tests.
    """

    def __init__(
        self,
        options: UpstreamOptions,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random_fraction: Callable[[], float] = random.random,
        now_seconds: Callable[[], float] = time.time,
    ) -> None:
        self.options = options
        self.capabilities = options.dialect.capabilities
        self.sleep = sleep
        self.random_fraction = random_fraction
        self.now_seconds = now_seconds
        self.dialect = options.dialect
        base = URL(options.base_url)
        self._scheme = base.scheme
        self._authority = base.raw_authority
        self._prefix = base.raw_path.rstrip("/")
        self._query = options.query
        self._places: WeakValueDictionary[str | None, asyncio.Semaphore] = WeakValueDictionary()
        # The deadline of a batch is its owner's; here only connecting is limited.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout_seconds)
        connector = aiohttp.TCPConnector(limit=options.pool_size)
        self.session = _session(connector, timeout)  # for GETs alone
        # The same connections, but it notes when a request begins to leave, which reads need not pay for.
        noting = aiohttp.TraceConfig()
        noting.on_request_headers_sent.append(_note_departure)
        self.write_session = _session(connector, timeout, connector_owner=False, **_writing(noting))
        # Streams last, so they have connections of their own and keep nobody waiting. Each is new: a write is not sent
        # again, so it is not risked on a kept connection that may be lost by now.
        stream_connector = aiohttp.TCPConnector(limit=options.max_streams, force_close=True)
        self.stream_session = _session(stream_connector, timeout, **_writing(noting))
        self.stream_places = asyncio.Semaphore(options.max_streams)
        self._going_on: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; calls in flight fail, and streams are cut."""
        for task in self._going_on:
            task.cancel()
        await asyncio.gather(*self._going_on, return_exceptions=True)
        await self.stream_session.close()
        await self.write_session.close()
        await self.session.close()

    def url_of(self, request: UpstreamRequest) -> URL:
        """The address of a call, which is encoded already."""
        queries = (request.query, self.dialect.query_of(request.operation), self._query)
        # Put together from its parts, which takes less than half the time of taking a text apart.
        return URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=f"{self._prefix}{request.path}",
            query_string="&".join(filter(None, queries)),
            encoded=True,
        )

    def headers_for(self, credential: str | None) -> CIMultiDict[str]:
        """The headers of every call on behalf of one principal."""
        options = self.options
        headers = CIMultiDict(self.dialect.headers_for(credential))
        if options.organization is not None:
            headers["OpenAI-Organization"] = options.organization
        if options.project is not None:
            headers["OpenAI-Project"] = options.project
        return headers

    def places_of(self, credential: str | None) -> asyncio.Semaphore:
        """The places of one principal, shared by all its operations, so that no caller takes every connection."""
        places = self._places.get(credential)
        if places is None:
            places = asyncio.Semaphore(self.options.max_concurrency_per_principal)
            self._places[credential] = places
        return places

    async def see_through(
        self, work: Coroutine[Any, Any, ValueT | CallFailure], departure: Departure
    ) -> ValueT | CallFailure:
        """Await work that goes on without its caller, where he leaves after its request has begun to leave.

        It then ends with its own deadline, or with the pool.
        """
        task = asyncio.create_task(work)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            if not departure.begun:
                task.cancel()
                await asyncio.wait([task])
            raise
        if task.cancelled():
            return CallFailure(GatewayError(ErrorCode.GATEWAY_STOPPING, "The gateway is stopping."))
        return task.result()

    async def ping(self, *, timeout_seconds: float = PING_TIMEOUT_SECONDS) -> GatewayError | None:
        """Why the upstream cannot be reached, or None: any answer to the base URL below 500 is good enough.

        No credential is sent and no body is read.
        """
        url = self.url_of(UpstreamRequest("ping", "/"))
        try:
            async with asyncio.timeout(timeout_seconds), self.session.get(url, allow_redirects=False) as response:
                status = response.status
        except TimeoutError:
            return late(timeout_seconds)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            return transport_failure(error, "ping").error
        if status >= 500:
            return GatewayError(ErrorCode.UPSTREAM_FAILED, f"The upstream answered with status {status}.")
        return None


def late(timeout_seconds: float) -> GatewayError:
    """The failure of an upstream that gave no answer in time."""
    return GatewayError(
        ErrorCode.UPSTREAM_TIMEOUT, f"Expected an answer of the upstream within {timeout_seconds:g} s, got none."
    )


async def _note_departure(_: aiohttp.ClientSession, context: Any, __: aiohttp.TraceRequestHeadersSentParams) -> None:
    context.trace_request_ctx.begun = True


def _writing(noting: aiohttp.TraceConfig) -> dict[str, Any]:
    # A type without a body makes some servers refuse the call; one with a body gets its own. A GET is given none.
    return {"trace_configs": [noting], "skip_auto_headers": ["Content-Type"]}


def _session(connector: aiohttp.TCPConnector, timeout: aiohttp.ClientTimeout, **options: Any) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        headers={"Accept": "application/json", "User-Agent": USER_AGENT},
        **options,
    )
    # aiohttp sends a GET or a DELETE again by itself, unseen, after a lost connection. Here `retry` decides, every
    # request is counted, and a write is sent once. There is no public switch; a test watches that this one works.
    session._retry_connection = False
    return session
