"""The upstream client: one connection pool for all principals, and one bound port for each operation."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.upstream import rest_operations
from gateway.upstream.body_rendering import render_body
from gateway.upstream.call_admission import CallerAdmission
from gateway.upstream.call_sender import CallSender, UpstreamCall
from gateway.upstream.connection_pool import SendState, UpstreamPool, timeout_error
from gateway.upstream.list_planning import load_through_lists
from gateway.upstream.rest_operations import ReadOperation, WriteOperation
from gateway.upstream.retry import CallFailure, delay_before_first_call, delay_before_retry, write_error
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
    """The upstream for all principals: the connections, and a bound port for each operation."""

    def bind(
        self,
        credential: str | None,
        record_stream: StreamConsumer | None = None,
        on_status: Callable[[int], None] = lambda _: None,
        *,
        caller: str | None = None,
    ) -> "BoundThreadsApi":
        """Create the port of one principal for one GraphQL operation.

        `credential` is the value of an Authorization header; the dialect decides how it is sent. `record_stream`
        receives the streams of the runs that are started. Without it, no streams are requested. `on_status` gets the
        status of each response. `caller` names the one whose share of connections, retries and failures are counted,
        since several callers may share a credential; without it, the credential does.

        Raises:
            GatewayError: the credential cannot be a header.
        """
        if credential is not None and not is_header_value(credential):
            raise GatewayError(ErrorCode.UNAUTHENTICATED, "Expected a credential without control characters.")
        sender = CallSender(self, credential, on_status)
        return BoundThreadsApi(self, sender, record_stream, caller=credential if caller is None else caller)


class BoundThreadsApi:
    """The `ThreadsApi` port over HTTP, with one principal's credential. `cost` counts the calls that it sent."""

    def __init__(
        self,
        client: UpstreamClient,
        sender: CallSender,
        record_stream: StreamConsumer | None = None,
        *,
        caller: str | None = None,
    ) -> None:
        self.cost = Cost()
        self._client = client
        self._sender = sender
        self._admission = CallerAdmission(client.admission, caller or "", sender.credential)
        self._record_stream = record_stream
        self._operation_slots = asyncio.Semaphore(client.options.max_concurrency_per_operation)
        self._call_slots = client.call_slots.slots_for(caller)
        self._write_slots = client.write_slots.slots_for(caller)

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
        return await self._start_run(rest_operations.CREATE_RUN, thread, body, thread_id=thread.thread_id)

    async def create_thread_and_run(self, body: ThreadAndRunBody) -> RunObject:
        return await self._start_run(rest_operations.CREATE_THREAD_AND_RUN, None, body, thread_id=None)

    async def update_run(self, key: RunKey, body: MetadataUpdateBody) -> RunObject:
        return await self._write(rest_operations.UPDATE_RUN, key, body)

    async def cancel_run(self, key: RunKey) -> RunObject:
        return await self._write(rest_operations.CANCEL_RUN, key)

    async def submit_tool_outputs(self, key: RunKey, body: ToolOutputsBody) -> RunObject:
        operation = rest_operations.SUBMIT_TOOL_OUTPUTS
        return await self._start_run(operation, key, body, thread_id=key.thread_id, run_id=key.run_id)

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
        self,
        operation: ReadOperation[KeyT, ValueT],
        keys: Sequence[KeyT],
        on_result: OnResult[KeyT, ValueT] | None = None,
    ) -> list[ValueT | GatewayError]:
        """Read all keys at the same time, each key once, until one deadline for all.

        `on_result` gets each result that arrives before the deadline.
        """
        options = self._client.options
        deadline = asyncio.get_running_loop().time() + options.timeout_seconds
        tasks: dict[KeyT, asyncio.Task[ValueT | GatewayError]] = {}
        for key in dict.fromkeys(keys):
            pending_read = self._read(operation, key, deadline)
            tasks[key] = asyncio.create_task(
                pending_read if on_result is None else _report_result(pending_read, key, on_result)
            )
        try:
            if tasks:
                await asyncio.wait(tasks.values(), timeout=options.timeout_seconds)
        finally:
            if unfinished := [task for task in tasks.values() if not task.done()]:
                for task in unfinished:
                    task.cancel()
                await asyncio.gather(*unfinished, return_exceptions=True)
        return [
            timeout_error(options.timeout_seconds) if (task := tasks[key]).cancelled() else task.result()
            for key in keys
        ]

    async def _read(self, operation: ReadOperation[KeyT, ValueT], key: KeyT, deadline: float) -> ValueT | GatewayError:
        """Read one key, and retry as `retry` and the budget decide. A failure is returned as a value."""
        client, loop = self._client, asyncio.get_running_loop()
        try:
            call = self._sender.prepare_call(operation, key)
        except GatewayError as refused:
            return refused
        await self._wait_for_end_of_pause(deadline)
        retries_made = 0
        while True:
            outcome = await self._send_in_slot(call.request.operation, lambda: self._sender.send_call(call))
            if not isinstance(outcome, CallFailure):
                return outcome
            delay = delay_before_retry(
                outcome,
                retries_made=retries_made,
                remaining_seconds=deadline - loop.time(),
                random_fraction=client.random_fraction,
            )
            if delay is None or not self._admission.take_retry():
                return outcome.error
            retries_made += 1
            await client.sleep(delay)

    async def _write(self, operation: WriteOperation[KeyT, ValueT], key: KeyT, body: Body | None = None) -> ValueT:
        """Send a write once. Raises a `GatewayError` if it fails."""
        call, send_state = self._prepare_write(operation, key, body)
        return _result_or_raise(
            await self._send_before_deadline(call.request.operation, lambda: self._sender.send_call(call)), send_state
        )

    async def _start_run(
        self,
        operation: WriteOperation[KeyT, RunObject],
        key: KeyT,
        body: Body,
        *,
        thread_id: str | None,
        run_id: str | None = None,
    ) -> RunObject:
        """Send a write that starts a run, once. It asks for a stream if there is a recorder and a free stream slot.

        If the caller is cancelled after the request was sent, the run has started, so its stream is still recorded.
        """
        sender, record_stream = self._sender, self._record_stream
        if record_stream is None or not self.capabilities.streaming:
            return await self._write(operation, key, body)
        call, send_state = self._prepare_write(operation, key, body, stream=True)

        async def send() -> RunObject | CallFailure:
            if self._client.stream_slots.locked():
                call.body = self._render(operation, body)
                return await sender.send_call(call)
            return await send_streamed(sender, call, record_stream, thread_id=thread_id, run_id=run_id)

        return _result_or_raise(
            await self._client.finish_if_started(self._send_before_deadline(call.request.operation, send), send_state),
            send_state,
        )

    async def _send_before_deadline(
        self, operation: str, send: Callable[[], Awaitable[ValueT | CallFailure]]
    ) -> ValueT | CallFailure:
        """Send a write in a slot, until the deadline. It is not sent if it gets no slot in half of that time.

        Otherwise, writes that wait behind hanging ones would be sent at their last moment, and no outcome be known.
        """
        seconds = self._client.options.timeout_seconds
        deadline = asyncio.get_running_loop().time() + seconds
        timeout = asyncio.timeout_at(deadline - seconds / 2)

        async def send_in_time() -> ValueT | CallFailure:
            timeout.reschedule(deadline)
            return await send()

        try:
            async with timeout, self._write_slots:
                await self._wait_for_end_of_pause(deadline)
                return await self._send_in_slot(operation, send_in_time)
        except TimeoutError:
            return CallFailure(timeout_error(seconds if timeout.when() == deadline else seconds / 2))

    async def _wait_for_end_of_pause(self, deadline: float) -> None:
        """Wait if the upstream asked for a pause that ends soon."""
        pause_seconds = self._admission.pause_seconds
        if not pause_seconds:
            return
        delay = delay_before_first_call(
            pause_seconds,
            remaining_seconds=deadline - asyncio.get_running_loop().time(),
            random_fraction=self._client.random_fraction,
        )
        if delay is not None:
            await self._client.sleep(delay)

    async def _send_in_slot(
        self, operation: str, send: Callable[[], Awaitable[ValueT | CallFailure]]
    ) -> ValueT | CallFailure:
        """Send within the concurrency limits of the operation and of the caller, if the admission agrees."""
        # Nested blocks and not context managers: with many reads, the cost of context managers is measurable.
        await self._operation_slots.acquire()
        try:
            await self._call_slots.acquire()
            try:
                refusal = self._admission.refusal(operation)
                return await self._send_admitted(operation, send) if refusal is None else refusal
            finally:
                self._call_slots.release()
        finally:
            self._operation_slots.release()

    async def _send_admitted(
        self, operation: str, send: Callable[[], Awaitable[ValueT | CallFailure]]
    ) -> ValueT | CallFailure:
        """Send, count the call, and record its outcome."""
        started_at = self.cost.start_call()
        try:
            outcome = await send()
        except asyncio.CancelledError:
            # The deadline may include a wait for a slot, and a caller may leave early. Neither is the upstream's fault.
            if self.cost.clock() - started_at >= self._client.options.timeout_seconds / 2:
                self._admission.record_outage(operation)
            raise
        finally:
            self.cost.end_call(started_at)
        self._admission.record_outcome(operation, outcome if isinstance(outcome, CallFailure) else None)
        return outcome

    def _prepare_write(
        self, operation: WriteOperation[KeyT, ValueT], key: KeyT, body: Body | None, *, stream: bool = False
    ) -> tuple[UpstreamCall[KeyT, ValueT], SendState]:
        call = self._sender.prepare_call(operation, key)
        if body is not None:
            call.body = self._render(operation, body, stream=stream)
        call.send_state = SendState()
        return call, call.send_state

    def _render(self, operation: WriteOperation[KeyT, ValueT], body: Body, *, stream: bool = False) -> bytes:
        return render_body(body, self._client.options.dialect, send_nulls=operation.send_nulls, stream=stream)


async def _report_result(
    pending_read: Awaitable[ValueT | GatewayError], key: KeyT, on_result: OnResult[KeyT, ValueT]
) -> ValueT | GatewayError:
    result = await pending_read
    on_result(key, result)
    return result


def _result_or_raise(outcome: ValueT | CallFailure, send_state: SendState) -> ValueT:
    if isinstance(outcome, CallFailure):
        raise write_error(outcome, sent=send_state.has_started)
    return outcome
