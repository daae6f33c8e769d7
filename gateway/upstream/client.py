"""The upstream client: one pool of connections for all, one bound port for each principal's operation."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway.upstream.operations import (
    GET_ASSISTANT,
    GET_MESSAGE,
    GET_MESSAGE_FILE,
    GET_RUN,
    GET_RUN_STEP,
    GET_THREAD,
    LIST_ASSISTANTS,
    LIST_MESSAGE_FILES,
    LIST_MESSAGES,
    LIST_RUN_STEPS,
    LIST_RUNS,
    Read,
)
from gateway.upstream.options import UpstreamOptions, is_header_value
from gateway.upstream.requests import UpstreamRequest
from gateway.upstream.responses import Reply, read_reply
from gateway.upstream.retry import Failure, delay_before_retry
from gateway.upstream.transport import TooLargeError, read_body, transport_failure
from schema.errors import ErrorCode, GatewayError
from schema.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
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
        self.capabilities = options.capabilities
        self.sleep = sleep
        self.random_fraction = random_fraction
        self.now_seconds = now_seconds
        base = URL(options.base_url)
        self._prefix = str(base.with_query(None)).rstrip("/")
        self._query = base.raw_query_string
        # The deadline of a batch is its owner's; here only connecting is limited.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout_seconds)
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=options.pool_size),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout,
            headers={"Accept": "application/json", "User-Agent": USER_AGENT},
        )
        # aiohttp sends a GET or a DELETE again by itself, unseen, after a lost connection. Here `retry` decides, every
        # request is counted, and a write is sent once. There is no public switch; a test watches that this one works.
        self.session._retry_connection = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; calls in flight fail."""
        await self.session.close()

    def bind(self, credential: str | None) -> "BoundThreadsApi":
        """The port on behalf of one principal, for one GraphQL operation.

        `credential` is sent as the Authorization header exactly as it is; raises a `GatewayError` for one that
        cannot be a header.
        """
        if credential is not None and not is_header_value(credential):
            raise GatewayError(ErrorCode.UNAUTHENTICATED, "Expected a credential without control characters.")
        return BoundThreadsApi(self, credential)

    def url_of(self, request: UpstreamRequest) -> URL:
        """The address of a call, which is encoded already."""
        target = self._prefix + request.target
        if self._query:
            target = f"{target}{'&' if request.query else '?'}{self._query}"
        return URL(target, encoded=True)

    def headers_for(self, credential: str | None) -> CIMultiDict[str]:
        """The headers of every call on behalf of one principal."""
        options = self.options
        headers = CIMultiDict({"OpenAI-Beta": f"assistants={options.version}"})
        if credential is not None:
            headers["Authorization"] = credential
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
        self._free_places = asyncio.Semaphore(client.options.max_concurrency_per_operation)

    @property
    def capabilities(self) -> Capabilities:
        return self._client.capabilities

    async def get_threads(self, keys: Sequence[ThreadKey]) -> Results[ThreadObject]:
        return await self._read_all(GET_THREAD, keys)

    async def get_messages(self, keys: Sequence[MessageKey]) -> Results[MessageObject]:
        return await self._read_all(GET_MESSAGE, keys)

    async def get_runs(self, keys: Sequence[RunKey]) -> Results[RunObject]:
        return await self._read_all(GET_RUN, keys)

    async def get_run_steps(self, keys: Sequence[RunStepKey]) -> Results[RunStepObject]:
        return await self._read_all(GET_RUN_STEP, keys)

    async def get_assistants(self, keys: Sequence[AssistantKey]) -> Results[AssistantObject]:
        return await self._read_all(GET_ASSISTANT, keys)

    async def get_message_files(self, keys: Sequence[MessageFileKey]) -> Results[MessageFileObject]:
        return await self._read_all(GET_MESSAGE_FILE, keys)

    async def list_messages(self, keys: Sequence[MessagePageKey]) -> Results[Page[MessageObject]]:
        return await self._read_all(LIST_MESSAGES, keys)

    async def list_runs(self, keys: Sequence[RunPageKey]) -> Results[Page[RunObject]]:
        return await self._read_all(LIST_RUNS, keys)

    async def list_run_steps(self, keys: Sequence[RunStepPageKey]) -> Results[Page[RunStepObject]]:
        return await self._read_all(LIST_RUN_STEPS, keys)

    async def list_assistants(self, keys: Sequence[AssistantPageKey]) -> Results[Page[AssistantObject]]:
        return await self._read_all(LIST_ASSISTANTS, keys)

    async def list_message_files(self, keys: Sequence[MessageFilePageKey]) -> Results[Page[MessageFileObject]]:
        return await self._read_all(LIST_MESSAGE_FILES, keys)

    async def _read_all(self, read: Read[KeyT, ValueT], keys: Sequence[KeyT]) -> list[ValueT | GatewayError]:
        """Read every key once, all at the same time, until one deadline for all."""
        options = self._client.options
        if options.version not in read.versions:
            return [_unsupported(options.version) for _ in keys]
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
            request = read.request(key)
        except GatewayError as refused:
            return refused
        url = client.url_of(request)
        further_tries = 0
        while True:
            async with self._free_places:
                outcome = await self._send(read, key, request.operation, url)
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

    async def _send(self, read: Read[KeyT, ValueT], key: KeyT, operation: str, url: URL) -> ValueT | Failure:
        client = self._client
        self.calls += 1
        try:
            async with client.session.get(url, headers=self._headers, allow_redirects=False) as response:
                body = await read_body(response, client.options.max_response_bytes)
            reply = Reply(response.status, response.headers, body)
            return read_reply(
                read.reader,
                key,
                reply,
                operation=operation,
                credential=self._credential,
                now_seconds=client.now_seconds(),
            )
        except (aiohttp.ClientError, OSError, TooLargeError) as error:
            return transport_failure(error, operation)
        except Exception as error:
            # The port promises errors as values; what nobody thought of must not take the whole batch along.
            _log.exception("upstream operation %s failed unexpectedly", operation)
            return transport_failure(error, operation)


def _late(timeout_seconds: float) -> GatewayError:
    return GatewayError(
        ErrorCode.UPSTREAM_TIMEOUT, f"Expected an answer of the upstream within {timeout_seconds:g} s, got none."
    )


def _unsupported(version: str) -> GatewayError:
    return GatewayError(
        ErrorCode.UNSUPPORTED_BY_UPSTREAM, f"Version {version} of the upstream API has no files of messages."
    )
