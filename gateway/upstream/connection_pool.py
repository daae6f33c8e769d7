"""The connections to one upstream: sessions, addresses, headers, and the slots of each caller."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway.background_tasks import BackgroundTasks
from gateway.media_types import JSON
from gateway.telemetry.metrics import GatewayMetrics
from gateway.telemetry.rare_warning import RareWarning
from gateway.telemetry.tracing import Tracing
from gateway.upstream.call_admission import CallAdmission
from gateway.upstream.caller_slots import SlotsByCaller
from gateway.upstream.clean_connections import CleanConnector
from gateway.upstream.dialects import Family
from gateway.upstream.fair_share import FairShare
from gateway.upstream.plain_gets import PlainGets
from gateway.upstream.rest_operations import LISTS
from gateway.upstream.rest_requests import UpstreamRequest
from gateway.upstream.retry import CallFailure
from gateway.upstream.transport_failures import MAX_LARGE_BODIES, failure_from_exception
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.errors import ErrorCode, GatewayError, OwnKeyRefusedError
from schema.contract.kinds import ASSISTANTS, AssistantPageKey
from schema.contract.paging import Window

ValueT = TypeVar("ValueT")

_logger = logging.getLogger(__name__)

USER_AGENT = "threads-gateway"
_DEFAULT_HEADERS = {"Accept": JSON, "User-Agent": USER_AGENT}
PING_TIMEOUT_SECONDS = 2.0
_PING = UpstreamRequest("ping", "/")
NO_CONVERSATION = "conv_" + "0" * 48
"""The id of a conversation that does not exist, in the form that servers check."""

_PINGS_WITH_KEY: Mapping[Family, UpstreamRequest] = {
    "assistants": LISTS[ASSISTANTS].request(AssistantPageKey(Window(1, "asc"))),
    # It need not exist.
    "responses": UpstreamRequest("getConversation", f"/conversations/{NO_CONVERSATION}"),
}
MAX_TRANSFERS = 64
"""Most uploads and downloads of files at once. Each holds a few hundred kilobytes."""

MAX_TRANSFERS_PER_CALLER = 16
MAX_WAITING_TRANSFERS = 256
MAX_UNPROVEN_TRANSFERS = MAX_TRANSFERS // 2
"""Most transfers under credentials that the upstream has not accepted yet, since anybody can make those up."""

MAX_WAITING_WRITES = 1500
"""Most writes that wait for a slot. They go on waiting when their callers leave, so nothing else bounds them."""


@dataclass(slots=True)
class SendState:
    """The progress of a write. Once the request has started to leave, the upstream may act on it."""

    has_started: bool = False


class UpstreamPool:
    """The connections to one upstream. Create and close it inside the running event loop (`async with`).

    `sleep`, `random_fraction` (0 to 1), `now_seconds` (Unix time) and `monotonic_seconds` are arguments so that tests
    can replace them. Without `metrics`, nothing is measured, and without `tracing`, traced.
    """

    def __init__(
        self,
        options: UpstreamOptions,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random_fraction: Callable[[], float] = random.random,
        now_seconds: Callable[[], float] = time.time,
        monotonic_seconds: Callable[[], float] = time.monotonic,
        metrics: GatewayMetrics | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.options = options
        self.capabilities = options.dialect.capabilities
        self.sleep = sleep
        self.metrics = metrics
        self.tracing = tracing
        self.random_fraction = random_fraction
        self.now_seconds = now_seconds
        self.admission = CallAdmission(monotonic_seconds)
        self.dialect = options.dialect
        base_url = URL(options.base_url)
        self._origin = str(base_url.origin())
        self._prefix = base_url.raw_path.rstrip("/")
        self._query = options.query
        max_per_caller = options.max_concurrency_per_principal
        self.call_slots = SlotsByCaller(FairShare(options.pool_size, max_per_caller))
        # A write that was sent is never cut, even if its caller leaves, because the upstream may do its work. So writes
        # are limited before they are sent: to half of the connections, and to half of what one caller may have.
        self.write_slots = SlotsByCaller(
            FairShare((options.pool_size + 1) // 2, (max_per_caller + 1) // 2, max_waiting=MAX_WAITING_WRITES)
        )
        # Only connecting is limited here; the caller of a batch sets the deadline of the batch.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout_seconds)
        connector = CleanConnector(limit=options.pool_size)
        self.plain_gets = PlainGets(connector, timeout, base_url.origin(), _DEFAULT_HEADERS)
        # The same connections. This session marks the start of each request.
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_started)
        self.write_session = _new_session(connector, timeout, **_write_session_options(trace))
        # Streams stay open for long, so they have connections of their own and make no other call wait. Each stream
        # gets a new connection: a write is never sent again, so it must not use an idle connection that may be lost
        # already.
        stream_connector = aiohttp.TCPConnector(limit=options.max_streams, force_close=True)
        self.stream_session = _new_session(stream_connector, timeout, **_write_session_options(trace))
        # Transfers of files have connections of their own too, and a new one each, for the same reasons.
        transfer_connector = aiohttp.TCPConnector(limit=MAX_TRANSFERS, force_close=True)
        self.transfer_session = _new_session(transfer_connector, timeout, skip_auto_headers=["Content-Type"])
        self.transfer_slots = SlotsByCaller(
            FairShare(MAX_TRANSFERS, MAX_TRANSFERS_PER_CALLER, max_waiting=MAX_WAITING_TRANSFERS)
        )
        self.unproven_transfer_slots = SlotsByCaller(
            FairShare(MAX_UNPROVEN_TRANSFERS, MAX_TRANSFERS_PER_CALLER, max_waiting=MAX_WAITING_TRANSFERS)
        )
        self.large_body_slots = asyncio.Semaphore(MAX_LARGE_BODIES)
        self.stream_slots = asyncio.Semaphore(options.max_streams)
        # The probe waits for no other call. It makes a new connection each time, since an idle one may be lost already.
        probe_connector = aiohttp.TCPConnector(limit=1, force_close=True)
        self._probe_session = _new_session(probe_connector, timeout)
        self._detached_tasks = BackgroundTasks()
        self._own_key_refusal = RareWarning(
            _logger, "the upstream refused the gateway's own key (%s)", level=logging.ERROR, now=monotonic_seconds
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection. Calls in flight fail, and streams are cut."""
        await self._detached_tasks.aclose()
        await self._probe_session.close()
        await self.transfer_session.close()
        await self.stream_session.close()
        await self.write_session.close()

    def target_for(self, request: UpstreamRequest) -> str:
        """Build the path of a call, with its query. It is percent-encoded."""
        target = f"{self._prefix}{request.path}"
        queries = (request.query, self.dialect.query_for(request.operation), self._query)
        query = "&".join(filter(None, queries))
        return f"{target}?{query}" if query else target

    def url_for(self, request: UpstreamRequest) -> URL:
        """Build the URL of a call."""
        return URL(f"{self._origin}{self.target_for(request)}", encoded=True)

    def headers_for(self, credential: str | None) -> CIMultiDict[str]:
        """Build the headers that every call of one principal carries."""
        options = self.options
        headers = CIMultiDict(self.dialect.headers_for(credential))
        if options.organization is not None:
            headers["OpenAI-Organization"] = options.organization
        if options.project is not None:
            headers["OpenAI-Project"] = options.project
        return headers

    async def finish_if_started(
        self, work: Coroutine[Any, Any, ValueT | CallFailure], send_state: SendState
    ) -> ValueT | CallFailure:
        """Await `work`, and let it finish without its caller if the caller is cancelled after the request has started.

        Work that goes on alone ends at its own deadline, or when the pool closes.
        """
        task = self._detached_tasks.start(work)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            if not send_state.has_started:
                task.cancel()
                await asyncio.wait([task])
            raise
        if task.cancelled():
            return CallFailure(GatewayError(ErrorCode.GATEWAY_STOPPING, "The gateway is stopping."))
        return task.result()

    def log_own_key_refusal(self, status: int | None, operation: str, upstream_request_id: str | None) -> None:
        """Log that the upstream refused the gateway's own key, without its words; without a status, in a stream."""
        request_id = f", request id {upstream_request_id}" if upstream_request_id else ""
        place = "the stream" if status is None else f"status {status}"
        self._own_key_refusal.give(f"{place} of {operation}{request_id}")

    async def ping(
        self, own_credential: str | None = None, *, timeout_seconds: float = PING_TIMEOUT_SECONDS
    ) -> GatewayError | None:
        """Check that the upstream can be reached, and that it takes the gateway's own key if there is one.

        With a key, a call that needs one is sent, since the path of the base URL needs none on many servers. Any
        response with a status below 500 is good, except a 401 to the key. (A 403 is about what the key may do, and a
        501 about what the server can do.) No body is read.

        Returns:
            The error, or None if the upstream can be reached.
        """
        request = _PING if own_credential is None else _PINGS_WITH_KEY[self.dialect.family]
        headers = None if own_credential is None else self.headers_for(own_credential)
        try:
            async with (
                asyncio.timeout(timeout_seconds),
                self._probe_session.get(self.url_for(request), headers=headers, allow_redirects=False) as response,
            ):
                status = response.status
        except TimeoutError:
            return timeout_error(timeout_seconds)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            return failure_from_exception(error, "ping").error
        if own_credential is not None and status == 401:
            self.log_own_key_refusal(status, request.operation, None)
            return OwnKeyRefusedError()
        if status >= 500 and status != 501:
            return GatewayError(ErrorCode.UPSTREAM_FAILED, f"The upstream answered with status {status}.")
        return None


def timeout_error(timeout_seconds: float) -> GatewayError:
    """Build the error for an upstream that sent no response in time."""
    return GatewayError(
        ErrorCode.UPSTREAM_TIMEOUT, f"Expected an answer of the upstream within {timeout_seconds:g} s, got none."
    )


async def _mark_started(_: aiohttp.ClientSession, context: Any, __: aiohttp.TraceRequestHeadersSentParams) -> None:
    context.trace_request_ctx.has_started = True


def _write_session_options(trace: aiohttp.TraceConfig) -> dict[str, Any]:
    # Some servers refuse a Content-Type without a body. A request with a body gets the type of its body. A GET gets
    # none.
    return {"trace_configs": [trace], "skip_auto_headers": ["Content-Type"]}


def _new_session(
    connector: aiohttp.TCPConnector, timeout: aiohttp.ClientTimeout, **options: Any
) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        headers=_DEFAULT_HEADERS,
        **options,
    )
    # After a lost connection, aiohttp sends a GET or a DELETE again by itself, and the caller does not see it. Here
    # `retry` decides, every request is counted, and a write is sent once. There is no public switch; a test checks that
    # this one works.
    session._retry_connection = False
    return session
