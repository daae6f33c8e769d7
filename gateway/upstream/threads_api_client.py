"""The upstream client: one pool of connections for all, one bound port for each principal's operation."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.upstream import rest_operations
from gateway.upstream.body_rendering import render_body
from gateway.upstream.call_sender import CallSender, UpstreamCall
from gateway.upstream.connection_pool import Departure, UpstreamPool, late
from gateway.upstream.list_planning import load_through_lists
from gateway.upstream.rest_operations import ReadOperation, WriteOperation
from gateway.upstream.retry import CallFailure, delay_before_retry, error_of_write
from gateway.upstream.streamed_writes import send_streamed
from gateway.upstream.upstream_options import is_header_value
from schema.contract.bodies import (
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
from schema.contract.cost import Cost
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.ports import (
    AssistantPageKey,
    Capabilities,
    MessageFilePageKey,
    MessagePageKey,
    OnResult,
    Results,
    RunPageKey,
    RunStepPageKey,
)
from schema.contract.run_streams import StreamConsumer
from schema.contract.wire import (
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


class UpstreamClient(UpstreamPool):
    """The upstream for any principal: connections, and a bound port for each operation."""

    def bind(self, credential: str | None, take_stream: StreamConsumer | None = None) -> "BoundThreadsApi":
        """The port on behalf of one principal, for one GraphQL operation.

        `credential` is an Authorization header's value; the dialect says how it is sent. `take_stream` is given the
        streams of runs that are set going; without it, none is asked for. Raises a `GatewayError` for a credential
        that cannot be a header.
        """
        if credential is not None and not is_header_value(credential):
            raise GatewayError(ErrorCode.UNAUTHENTICATED, "Expected a credential without control characters.")
        return BoundThreadsApi(self, credential, take_stream)


class BoundThreadsApi:
    """The `ThreadsApi` port over HTTP, with one principal's credential; `cost` counts what it has sent."""

    def __init__(
        self, client: UpstreamClient, credential: str | None, take_stream: StreamConsumer | None = None
    ) -> None:
        self.cost = Cost()
        self._client = client
        self._sender = CallSender(client, credential)
        self._take_stream = take_stream
        self._free_places = asyncio.Semaphore(client.options.max_concurrency_per_operation)
        self._places_of_principal = client.places_of(credential)

    @property
    def capabilities(self) -> Capabilities:
        return self._client.capabilities

    async def get_threads(self, keys: Sequence[ThreadKey]) -> Results[ThreadObject]:
        return await self._read_all(rest_operations.GET_THREAD, keys)

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
        return await self._read_all(rest_operations.GET_RUN_STEP, keys)

    async def get_assistants(self, keys: Sequence[AssistantKey]) -> Results[AssistantObject]:
        return await self._read_all(rest_operations.GET_ASSISTANT, keys)

    async def get_message_files(self, keys: Sequence[MessageFileKey]) -> Results[MessageFileObject]:
        return await self._read_all(rest_operations.GET_MESSAGE_FILE, keys)

    async def list_messages(
        self, keys: Sequence[MessagePageKey], *, on_result: OnResult[MessagePageKey, Page[MessageObject]] | None = None
    ) -> Results[Page[MessageObject]]:
        return await self._read_all(rest_operations.LIST_MESSAGES, keys, on_result)

    async def list_runs(
        self, keys: Sequence[RunPageKey], *, on_result: OnResult[RunPageKey, Page[RunObject]] | None = None
    ) -> Results[Page[RunObject]]:
        return await self._read_all(rest_operations.LIST_RUNS, keys, on_result)

    async def list_run_steps(
        self, keys: Sequence[RunStepPageKey], *, on_result: OnResult[RunStepPageKey, Page[RunStepObject]] | None = None
    ) -> Results[Page[RunStepObject]]:
        return await self._read_all(rest_operations.LIST_RUN_STEPS, keys, on_result)

    async def list_assistants(
        self,
        keys: Sequence[AssistantPageKey],
        *,
        on_result: OnResult[AssistantPageKey, Page[AssistantObject]] | None = None,
    ) -> Results[Page[AssistantObject]]:
        return await self._read_all(rest_operations.LIST_ASSISTANTS, keys, on_result)

    async def list_message_files(
        self,
        keys: Sequence[MessageFilePageKey],
        *,
        on_result: OnResult[MessageFilePageKey, Page[MessageFileObject]] | None = None,
    ) -> Results[Page[MessageFileObject]]:
        return await self._read_all(rest_operations.LIST_MESSAGE_FILES, keys, on_result)

    async def create_thread(self, body: ThreadBody) -> ThreadObject:
        return await self._write(rest_operations.CREATE_THREAD, None, body)

    async def update_thread(self, key: ThreadKey, body: ThreadUpdateBody) -> ThreadObject:
        return await self._write(rest_operations.UPDATE_THREAD, key, body)

    async def delete_thread(self, key: ThreadKey) -> None:
        await self._write(rest_operations.DELETE_THREAD, key)

    async def create_message(self, thread: ThreadKey, body: MessageBody) -> MessageObject:
        return await self._write(rest_operations.CREATE_MESSAGE, thread, body)

    async def update_message(self, key: MessageKey, body: MetadataUpdateBody) -> MessageObject:
        return await self._write(rest_operations.UPDATE_MESSAGE, key, body)

    async def delete_message(self, key: MessageKey) -> None:
        await self._write(rest_operations.DELETE_MESSAGE, key)

    async def create_run(self, thread: ThreadKey, body: RunBody) -> RunObject:
        return await self._start(rest_operations.CREATE_RUN, thread, body, thread_id=thread.thread_id)

    async def create_thread_and_run(self, body: ThreadAndRunBody) -> RunObject:
        return await self._start(rest_operations.CREATE_THREAD_AND_RUN, None, body, thread_id=None)

    async def update_run(self, key: RunKey, body: MetadataUpdateBody) -> RunObject:
        return await self._write(rest_operations.UPDATE_RUN, key, body)

    async def cancel_run(self, key: RunKey) -> RunObject:
        return await self._write(rest_operations.CANCEL_RUN, key)

    async def submit_tool_outputs(self, key: RunKey, body: ToolOutputsBody) -> RunObject:
        write = rest_operations.SUBMIT_TOOL_OUTPUTS
        return await self._start(write, key, body, thread_id=key.thread_id, run_id=key.run_id)

    async def create_assistant(self, body: AssistantBody) -> AssistantObject:
        return await self._write(rest_operations.CREATE_ASSISTANT, None, body)

    async def update_assistant(self, key: AssistantKey, body: AssistantUpdateBody) -> AssistantObject:
        return await self._write(rest_operations.UPDATE_ASSISTANT, key, body)

    async def delete_assistant(self, key: AssistantKey) -> None:
        await self._write(rest_operations.DELETE_ASSISTANT, key)

    async def _get_messages(self, keys: Sequence[MessageKey]) -> Results[MessageObject]:
        return await self._read_all(rest_operations.GET_MESSAGE, keys)

    async def _get_runs(self, keys: Sequence[RunKey]) -> Results[RunObject]:
        return await self._read_all(rest_operations.GET_RUN, keys)

    async def _read_all(
        self, read: ReadOperation[KeyT, ValueT], keys: Sequence[KeyT], on_result: OnResult[KeyT, ValueT] | None = None
    ) -> list[ValueT | GatewayError]:
        """Read every key once, all at the same time, until one deadline for all; what is not late lands."""
        options = self._client.options
        deadline = asyncio.get_running_loop().time() + options.timeout_seconds
        tasks: dict[KeyT, asyncio.Task[ValueT | GatewayError]] = {}
        for key in dict.fromkeys(keys):
            reading = self._read(read, key, deadline)
            tasks[key] = asyncio.create_task(reading if on_result is None else _landing(reading, key, on_result))
        try:
            if tasks:
                await asyncio.wait(tasks.values(), timeout=options.timeout_seconds)
        finally:
            if unfinished := [task for task in tasks.values() if not task.done()]:
                for task in unfinished:
                    task.cancel()
                await asyncio.gather(*unfinished, return_exceptions=True)
        return [late(options.timeout_seconds) if (task := tasks[key]).cancelled() else task.result() for key in keys]

    async def _read(self, read: ReadOperation[KeyT, ValueT], key: KeyT, deadline: float) -> ValueT | GatewayError:
        """Read one key, as often as `retry` says; every failure is a value."""
        client = self._client
        try:
            call = self._sender.prepare(read, key)
        except GatewayError as refused:
            return refused
        further_tries = 0
        while True:
            outcome = await self._in_a_place(lambda: self._sender.send(call))
            if not isinstance(outcome, CallFailure):
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

    async def _write(self, write: WriteOperation[KeyT, ValueT], key: KeyT, body: Body | None = None) -> ValueT:
        """Send a write once; raises the `GatewayError` that kept it from succeeding."""
        call, departure = self._prepare(write, key, body)
        return _written(await self._in_time(lambda: self._sender.send(call)), departure)

    async def _start(
        self,
        write: WriteOperation[KeyT, RunObject],
        key: KeyT,
        body: Body,
        *,
        thread_id: str | None,
        run_id: str | None = None,
    ) -> RunObject:
        """Send a write that sets a run going, once; as a stream where there is a taker and a place for it.

        Its caller may leave as soon as it is sent: the run is under way, so its stream is still taken over.
        """
        sender, take_stream = self._sender, self._take_stream
        if take_stream is None or not self.capabilities.streaming:
            return await self._write(write, key, body)
        call, departure = self._prepare(write, key, body, stream=True)

        async def send() -> RunObject | CallFailure:
            if self._client.stream_places.locked():
                call.content = self._render(write, body)
                return await sender.send(call)
            return await send_streamed(sender, call, take_stream, thread_id=thread_id, run_id=run_id)

        return _written(await self._client.see_through(self._in_time(send), departure), departure)

    async def _in_time(self, send: Callable[[], Awaitable[ValueT | CallFailure]]) -> ValueT | CallFailure:
        """Send in a place, until the deadline."""
        seconds = self._client.options.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._in_a_place(send)
        except TimeoutError:
            return CallFailure(late(seconds))

    async def _in_a_place(self, send: Callable[[], Awaitable[ValueT | CallFailure]]) -> ValueT | CallFailure:
        """Send in a place of the operation and one of the principal, and count it."""
        # Nested blocks, not context managers: with many reads, what those cost beside the call itself is seen.
        await self._free_places.acquire()
        try:
            await self._places_of_principal.acquire()
            try:
                began = self.cost.start_call()
                try:
                    return await send()
                finally:
                    self.cost.end_call(began)
            finally:
                self._places_of_principal.release()
        finally:
            self._free_places.release()

    def _prepare(
        self, write: WriteOperation[KeyT, ValueT], key: KeyT, body: Body | None, *, stream: bool = False
    ) -> tuple[UpstreamCall[KeyT, ValueT], Departure]:
        call = self._sender.prepare(write, key)
        if body is not None:
            call.content = self._render(write, body, stream=stream)
        call.departure = Departure()
        return call, call.departure

    def _render(self, write: WriteOperation[KeyT, ValueT], body: Body, *, stream: bool = False) -> bytes:
        return render_body(body, self._client.options.dialect, keep_nulls=write.clears, stream=stream)


async def _landing(
    reading: Awaitable[ValueT | GatewayError], key: KeyT, on_result: OnResult[KeyT, ValueT]
) -> ValueT | GatewayError:
    answer = await reading
    on_result(key, answer)
    return answer


def _written(outcome: ValueT | CallFailure, departure: Departure) -> ValueT:
    if isinstance(outcome, CallFailure):
        raise error_of_write(outcome, sent=departure.begun)
    return outcome
