"""The upstream client: one pool of connections for all, one bound port for each principal's operation."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway.upstream import operations
from gateway.upstream.operations import Operation, Read, Write
from gateway.upstream.options import UpstreamOptions, is_header_value
from gateway.upstream.planning import load_through_lists
from gateway.upstream.readers import Reader
from gateway.upstream.rendering import render_body
from gateway.upstream.requests import UpstreamRequest
from gateway.upstream.responses import Reply, read_reply
from gateway.upstream.retry import Failure, delay_before_retry, error_of_write
from gateway.upstream.transport import TooLargeError, read_body, transport_failure
from schema.bodies import (
    AssistantBody,
    AssistantUpdateBody,
    Body,
    MessageBody,
    MetadataUpdateBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
    ThreadUpdateBody,
    ToolOutputsBody,
)
from schema.errors import ErrorCode, GatewayError
from schema.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.paging import Window
from schema.ports import (
    AssistantPageKey,
    Capabilities,
    MessageFilePageKey,
    MessagePageKey,
    Results,
    RunPageKey,
    RunStepPageKey,
)
from schema.wire import (
    AssistantObject,
    MessageFileObject,
    MessageObject,
    Page,
    RunObject,
    RunStepObject,
    ThreadObject,
)

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

USER_AGENT = "threads-gateway"
PING_TIMEOUT_SECONDS = 2.0

_log = logging.getLogger(__name__)


class UpstreamClient:
    """Owns the connections to one upstream; made and closed inside the running loop (`async with`).

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
        self._prefix = str(URL(options.base_url).with_query(None)).rstrip("/")
        self._query = options.query
        # The deadline of a batch is its owner's; here only connecting is limited.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout_seconds)
        connector = aiohttp.TCPConnector(limit=options.pool_size)
        self.session = _session(connector, timeout)
        # The same connections, but it notes when a request begins to leave, which reads need not pay for.
        noting = aiohttp.TraceConfig()
        noting.on_request_headers_sent.append(_note_departure)
        self.write_session = _session(connector, timeout, trace_configs=[noting], connector_owner=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; calls in flight fail."""
        await self.write_session.close()
        await self.session.close()

    def bind(self, credential: str | None) -> "BoundThreadsApi":
        """The port on behalf of one principal, for one GraphQL operation.

        `credential` is an Authorization header's value; the dialect says how it is sent. Raises a
        `GatewayError` for one that cannot be a header.
        """
        if credential is not None and not is_header_value(credential):
            raise GatewayError(ErrorCode.UNAUTHENTICATED, "Expected a credential without control characters.")
        return BoundThreadsApi(self, credential)

    def url_of(self, request: UpstreamRequest) -> URL:
        """The address of a call, which is encoded already."""
        queries = (request.query, self.options.dialect.query_of(request.operation), self._query)
        query = "&".join(filter(None, queries))
        return URL(f"{self._prefix}{request.path}{'?' if query else ''}{query}", encoded=True)

    def headers_for(self, credential: str | None) -> CIMultiDict[str]:
        """The headers of every call on behalf of one principal."""
        options = self.options
        headers = CIMultiDict(options.dialect.headers_for(credential))
        if options.organization is not None:
            headers["OpenAI-Organization"] = options.organization
        if options.project is not None:
            headers["OpenAI-Project"] = options.project
        return headers

    async def ping(self, *, timeout_seconds: float = PING_TIMEOUT_SECONDS) -> GatewayError | None:
        """Why the upstream cannot be reached, or None: any answer to the base URL below 500 is good enough.

        No credential is sent and no body is read.
        """
        url = self.url_of(UpstreamRequest("ping", "/"))
        try:
            async with asyncio.timeout(timeout_seconds), self.session.get(url, allow_redirects=False) as response:
                status = response.status
        except TimeoutError:
            return _late(timeout_seconds)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            return transport_failure(error, "ping").error
        if status >= 500:
            return GatewayError(ErrorCode.UPSTREAM_FAILED, f"The upstream answered with status {status}.")
        return None


class BoundThreadsApi:
    """The `ThreadsApi` port over HTTP, with one principal's credential; `calls` counts the requests it has sent."""

    def __init__(self, client: UpstreamClient, credential: str | None) -> None:
        self.calls = 0
        self._client = client
        self._credential = credential
        self._headers = client.headers_for(credential)
        self._headers_with_content = self._headers.copy()
        self._headers_with_content["Content-Type"] = "application/json"
        self._free_places = asyncio.Semaphore(client.options.max_concurrency_per_operation)

    @property
    def capabilities(self) -> Capabilities:
        return self._client.capabilities

    async def get_threads(self, keys: Sequence[ThreadKey]) -> Results[ThreadObject]:
        return await self._read_all(operations.GET_THREAD, keys)

    async def get_messages(self, keys: Sequence[MessageKey]) -> Results[MessageObject]:
        return await load_through_lists(
            keys,
            lambda thread_id, window: MessagePageKey(thread_id, None, window),
            self.list_messages,
            self._get_messages,
        )

    async def get_runs(self, keys: Sequence[RunKey]) -> Results[RunObject]:
        return await load_through_lists(keys, RunPageKey, self.list_runs, self._get_runs)

    async def get_run_steps(self, keys: Sequence[RunStepKey]) -> Results[RunStepObject]:
        return await self._read_all(operations.GET_RUN_STEP, keys)

    async def get_assistants(self, keys: Sequence[AssistantKey]) -> Results[AssistantObject]:
        return await self._read_all(operations.GET_ASSISTANT, keys)

    async def get_message_files(self, keys: Sequence[MessageFileKey]) -> Results[MessageFileObject]:
        return await self._read_all(operations.GET_MESSAGE_FILE, keys)

    async def list_messages(self, keys: Sequence[MessagePageKey]) -> Results[Page[MessageObject]]:
        return await self._read_all(operations.LIST_MESSAGES, keys)

    async def list_runs(self, keys: Sequence[RunPageKey]) -> Results[Page[RunObject]]:
        return await self._read_all(operations.LIST_RUNS, keys)

    async def list_run_steps(self, keys: Sequence[RunStepPageKey]) -> Results[Page[RunStepObject]]:
        return await self._read_all(operations.LIST_RUN_STEPS, keys)

    async def list_assistants(self, keys: Sequence[AssistantPageKey]) -> Results[Page[AssistantObject]]:
        return await self._read_all(operations.LIST_ASSISTANTS, keys)

    async def list_message_files(self, keys: Sequence[MessageFilePageKey]) -> Results[Page[MessageFileObject]]:
        return await self._read_all(operations.LIST_MESSAGE_FILES, keys)

    async def create_thread(self, body: ThreadBody) -> ThreadObject:
        return await self._write(operations.CREATE_THREAD, None, body)

    async def update_thread(self, key: ThreadKey, body: ThreadUpdateBody) -> ThreadObject:
        return await self._write(operations.UPDATE_THREAD, key, body)

    async def delete_thread(self, key: ThreadKey) -> None:
        await self._write(operations.DELETE_THREAD, key)

    async def create_message(self, thread: ThreadKey, body: MessageBody) -> MessageObject:
        return await self._write(operations.CREATE_MESSAGE, thread, body)

    async def update_message(self, key: MessageKey, body: MetadataUpdateBody) -> MessageObject:
        return await self._write(operations.UPDATE_MESSAGE, key, body)

    async def delete_message(self, key: MessageKey) -> None:
        await self._write(operations.DELETE_MESSAGE, key)

    async def create_run(self, thread: ThreadKey, body: RunBody) -> RunObject:
        return await self._write(operations.CREATE_RUN, thread, body)

    async def create_thread_and_run(self, body: ThreadAndRunBody) -> RunObject:
        return await self._write(operations.CREATE_THREAD_AND_RUN, None, body)

    async def update_run(self, key: RunKey, body: MetadataUpdateBody) -> RunObject:
        return await self._write(operations.UPDATE_RUN, key, body)

    async def cancel_run(self, key: RunKey) -> RunObject:
        return await self._write(operations.CANCEL_RUN, key)

    async def submit_tool_outputs(self, key: RunKey, body: ToolOutputsBody) -> RunObject:
        return await self._write(operations.SUBMIT_TOOL_OUTPUTS, key, body)

    async def create_assistant(self, body: AssistantBody) -> AssistantObject:
        return await self._write(operations.CREATE_ASSISTANT, None, body)

    async def update_assistant(self, key: AssistantKey, body: AssistantUpdateBody) -> AssistantObject:
        return await self._write(operations.UPDATE_ASSISTANT, key, body)

    async def delete_assistant(self, key: AssistantKey) -> None:
        await self._write(operations.DELETE_ASSISTANT, key)

    async def _get_messages(self, keys: Sequence[MessageKey]) -> Results[MessageObject]:
        return await self._read_all(operations.GET_MESSAGE, keys)

    async def _get_runs(self, keys: Sequence[RunKey]) -> Results[RunObject]:
        return await self._read_all(operations.GET_RUN, keys)

    async def _read_all(self, read: Read[KeyT, ValueT], keys: Sequence[KeyT]) -> list[ValueT | GatewayError]:
        """Read every key once, all at the same time, until one deadline for all."""
        options = self._client.options
        deadline = asyncio.get_running_loop().time() + options.timeout_seconds
        tasks: dict[KeyT, asyncio.Task[ValueT | GatewayError]] = {}
        for key in dict.fromkeys(keys):
            reading = self._read(read, key, deadline)
            tasks[key] = asyncio.create_task(reading)
        try:
            if tasks:
                await asyncio.wait(tasks.values(), timeout=options.timeout_seconds)
        finally:
            if unfinished := [task for task in tasks.values() if not task.done()]:
                for task in unfinished:
                    task.cancel()
                await asyncio.gather(*unfinished, return_exceptions=True)
        return [_late(options.timeout_seconds) if (task := tasks[key]).cancelled() else task.result() for key in keys]

    async def _read(self, read: Read[KeyT, ValueT], key: KeyT, deadline: float) -> ValueT | GatewayError:
        """Read one key, as often as `retry` says; every failure is a value."""
        client = self._client
        try:
            call = self._call(read, key)
        except GatewayError as refused:
            return refused
        further_tries = 0
        while True:
            async with self._free_places:
                outcome = await self._send(call)
            if not isinstance(outcome, Failure):
                return outcome
            delay = delay_before_retry(
                outcome,
                further_tries=further_tries,
                remaining_seconds=deadline - asyncio.get_running_loop().time(),
                random=client.random_fraction,
            )
            if delay is None:
                return outcome.error
            further_tries += 1
            await client.sleep(delay)

    async def _write(self, write: Write[KeyT, ValueT], key: KeyT, body: Body | None = None) -> ValueT:
        """Send a write once; raises the `GatewayError` that kept it from succeeding."""
        options = self._client.options
        call = self._call(write, key)
        if body is not None:
            call.content = render_body(body, options.dialect, keep_nulls=write.clears)
        call.departure = _Departure()
        outcome: ValueT | Failure
        try:
            async with asyncio.timeout(options.timeout_seconds), self._free_places:
                outcome = await self._send(call)
        except TimeoutError:
            outcome = Failure(_late(options.timeout_seconds))
        if isinstance(outcome, Failure):
            raise error_of_write(outcome, sent=call.departure.begun)
        return outcome

    def _call(self, operation: Operation[KeyT, ValueT], key: KeyT) -> "_Call[KeyT, ValueT]":
        request = operation.request(key)
        if (obstacle := self._client.options.dialect.obstacle_to(request.operation)) is not None:
            raise obstacle
        return _Call(operation.reader, key, request, self._client.url_of(request))

    async def _send(self, call: "_Call[KeyT, ValueT]") -> ValueT | Failure:
        client, operation = self._client, call.request.operation
        session = client.session if call.departure is None else client.write_session
        headers = self._headers if call.content is None else self._headers_with_content
        self.calls += 1
        try:
            async with session.request(
                call.request.method,
                call.url,
                headers=headers,
                data=call.content,
                allow_redirects=False,
                trace_request_ctx=call.departure,
            ) as response:
                body = await read_body(response, client.options.max_response_bytes)
            return read_reply(
                call.reader,
                call.key,
                Reply(response.status, response.headers, body),
                operation=operation,
                dialect=client.options.dialect.name,
                credential=self._credential,
                now_seconds=client.now_seconds(),
            )
        except (aiohttp.ClientError, OSError, TooLargeError) as error:
            return transport_failure(error, operation)
        except Exception as error:
            # A port function answers with its own errors alone; what nobody thought of must not pass through it.
            _log.exception("upstream operation %s failed unexpectedly", operation)
            return transport_failure(error, operation)


@dataclass(slots=True)
class _Departure:
    """Whether a request has begun to leave: from then on the upstream may act on it."""

    begun: bool = False


@dataclass(slots=True)
class _Call(Generic[KeyT, ValueT]):
    """One call ready to be sent."""

    reader: Reader[KeyT, ValueT]
    key: KeyT
    request: UpstreamRequest
    url: URL
    content: bytes | None = None
    departure: _Departure | None = None


async def _note_departure(_: aiohttp.ClientSession, context: Any, __: aiohttp.TraceRequestHeadersSentParams) -> None:
    context.trace_request_ctx.begun = True


def _session(connector: aiohttp.TCPConnector, timeout: aiohttp.ClientTimeout, **options: Any) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        headers={"Accept": "application/json", "User-Agent": USER_AGENT},
        # A type without a body makes some servers refuse the call; one with a body gets its own.
        skip_auto_headers=["Content-Type"],
        **options,
    )
    # aiohttp sends a GET or a DELETE again by itself, unseen, after a lost connection. Here `retry` decides, every
    # request is counted, and a write is sent once. There is no public switch; a test watches that this one works.
    session._retry_connection = False
    return session


def _late(timeout_seconds: float) -> GatewayError:
    return GatewayError(
        ErrorCode.UPSTREAM_TIMEOUT, f"Expected an answer of the upstream within {timeout_seconds:g} s, got none."
    )


def _whole_thread(thread_id: str, window: Window) -> MessagePageKey:
    return MessagePageKey(thread_id, None, window)
