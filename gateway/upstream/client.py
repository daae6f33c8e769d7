"""The upstream client: one pool of connections for all, one bound port for each principal's operation."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway.upstream import operations
from gateway.upstream.operations import Operation, Read, Write
from gateway.upstream.options import is_header_value
from gateway.upstream.planning import load_through_lists
from gateway.upstream.pool import Departure, UpstreamPool, late
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
from schema.cost import Cost
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

_log = logging.getLogger(__name__)


class UpstreamClient(UpstreamPool):
    """The upstream for any principal: connections, and a bound port for each operation."""

    def bind(self, credential: str | None) -> "BoundThreadsApi":
        """The port on behalf of one principal, for one GraphQL operation.

        `credential` is an Authorization header's value; the dialect says how it is sent. Raises a
        `GatewayError` for one that cannot be a header.
        """
        if credential is not None and not is_header_value(credential):
            raise GatewayError(ErrorCode.UNAUTHENTICATED, "Expected a credential without control characters.")
        return BoundThreadsApi(self, credential)


class BoundThreadsApi:
    """The `ThreadsApi` port over HTTP, with one principal's credential; `cost` counts what it has sent."""

    def __init__(self, client: UpstreamClient, credential: str | None) -> None:
        self.cost = Cost()
        self._client = client
        self._credential = credential
        self._headers = client.headers_for(credential)
        self._headers_with_content = CIMultiDict({**self._headers, "Content-Type": "application/json"})
        self._free_places = asyncio.Semaphore(client.options.max_concurrency_per_operation)
        self._places_of_principal = client.places_of(credential)

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
        return [late(options.timeout_seconds) if (task := tasks[key]).cancelled() else task.result() for key in keys]

    async def _read(self, read: Read[KeyT, ValueT], key: KeyT, deadline: float) -> ValueT | GatewayError:
        """Read one key, as often as `retry` says; every failure is a value."""
        client = self._client
        try:
            call = self._call(read, key)
        except GatewayError as refused:
            return refused
        further_tries = 0
        while True:
            async with self._free_places, self.cost.call():
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
        call.departure = Departure()
        outcome: ValueT | Failure
        try:
            async with asyncio.timeout(options.timeout_seconds), self._free_places, self.cost.call():
                outcome = await self._send(call)
        except TimeoutError:
            outcome = Failure(late(options.timeout_seconds))
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
class _Call(Generic[KeyT, ValueT]):
    """One call ready to be sent."""

    reader: Reader[KeyT, ValueT]
    key: KeyT
    request: UpstreamRequest
    url: URL
    content: bytes | None = None
    departure: Departure | None = None


def _whole_thread(thread_id: str, window: Window) -> MessagePageKey:
    return MessagePageKey(thread_id, None, window)
