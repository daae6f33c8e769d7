"""The upstream client: one connection pool for all principals, and one bound port for each operation."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from gateway.telemetry.call_trace import CallTrace
from gateway.upstream.body_rendering import render_body
from gateway.upstream.call_admission import CallerAdmission
from gateway.upstream.call_sender import CallSender, UpstreamCall
from gateway.upstream.connection_pool import SendState, UpstreamPool, timeout_error
from gateway.upstream.file_transfers import BoundFileTransfers
from gateway.upstream.list_planning import load_through_lists
from gateway.upstream.rest_operations import (
    GETS,
    LIST_THREADS,
    LISTS,
    PAGES_OF_THREADS,
    WRITES,
    ReadOperation,
    ThreadPageKey,
    WriteOperation,
)
from gateway.upstream.retry import CallFailure, delay_before_first_call, delay_before_retry, write_error
from gateway.upstream.search_content import SearchContentStream
from gateway.upstream.streamed_writes import send_streamed
from gateway.upstream.upstream_options import is_header_value
from schema.contract.bodies import Body
from schema.contract.cost import Cost
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunStepKey
from schema.contract.kinds import RUN_STEPS, Kind, NodeKeyT, ObjectT, PageKeyT
from schema.contract.paging import Window
from schema.contract.ports import Capabilities, OnResult, Results
from schema.contract.run_streams import RunStream, StreamConsumer
from schema.contract.wire import Page, RunObject, RunStepObject, ThreadObject
from schema.contract.writes import BodyT, ResultT, Write, WriteKeyT

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
        is_own_key: bool = False,
        trace: CallTrace | None = None,
    ) -> "BoundThreadsApi":
        """Create the port of one principal for one GraphQL operation.

        `credential` is the value of an Authorization header; the dialect decides how it is sent. `record_stream`
        receives the streams of the runs that are started. Without it, no streams are requested. `on_status` gets the
        status of each response. `caller` names the one whose share of connections, retries and failures are counted,
        since several callers may share a credential; without it, the credential does. With `is_own_key`, the
        credential is the gateway's own, and its refusal is `UPSTREAM_REFUSED` for the caller. With
        `trace`, each call carries the request id of its operation, also if it is made for others too, and each write is
        audited.

        Raises:
            GatewayError: the credential cannot be a header.
        """
        if credential is not None and not is_header_value(credential):
            raise GatewayError(ErrorCode.UNAUTHENTICATED, "Expected a credential without control characters.")
        request_id = None if trace is None else trace.request_id
        sender = CallSender(self, credential, on_status, is_own_key=is_own_key, request_id=request_id)
        caller = credential if caller is None else caller
        return BoundThreadsApi(self, sender, record_stream, caller=caller, trace=trace)

    def bind_transfers(
        self,
        credential: str | None,
        *,
        on_status: Callable[[int], None] = lambda _: None,
        caller: str,
        is_own_key: bool = False,
        is_accepted: bool = True,
        request_id: str | None = None,
    ) -> BoundFileTransfers:
        """Create the port of the contents of files, for one transfer of one principal.

        `is_accepted` says whether the upstream has accepted the credential lately.
        """
        sender = CallSender(self, credential, on_status, is_own_key=is_own_key, request_id=request_id)
        return BoundFileTransfers(sender, caller=caller, is_accepted=is_accepted)


class BoundThreadsApi:
    """The `ThreadsApi` port over HTTP, with one principal's credential. `cost` counts the calls that it sent."""

    def __init__(
        self,
        client: UpstreamClient,
        sender: CallSender,
        record_stream: StreamConsumer | None = None,
        *,
        caller: str | None = None,
        trace: CallTrace | None = None,
    ) -> None:
        self.cost = Cost()
        self._trace = trace
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

    def with_recorder(self, record_stream: StreamConsumer) -> "BoundThreadsApi":
        """Return a port with another recorder. Both count in one cost, and wait for the slots of one operation."""
        port = copy.copy(self)
        port._record_stream = record_stream
        return port

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        get_each: Callable[[Sequence[Any]], Awaitable[Results[Any]]] = partial(self._read_all, GETS[kind])
        if (page_of_thread := PAGES_OF_THREADS.get(kind)) is None:
            return await get_each(keys)
        keys_in_threads: Sequence[Any] = keys
        return await load_through_lists(keys_in_threads, page_of_thread, partial(self.list, kind), get_each)

    async def list(
        self,
        kind: Kind[Any, ObjectT, PageKeyT],
        keys: Sequence[PageKeyT],
        *,
        on_result: OnResult[PageKeyT, Page[ObjectT]] | None = None,
    ) -> Results[Page[ObjectT]]:
        return await self._read_all(LISTS[kind], keys, on_result)

    async def write(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        row: WriteOperation[WriteKeyT, ResultT] = WRITES[operation]
        sending = self._start_run(row, key, body) if row.starts_run else self._write(row, key, body)
        result = await (sending if self._trace is None else self._trace.audit(operation, key, sending))
        if row.starts_run and self._client.tracing is not None and isinstance(result, RunObject):
            self._client.tracing.remember_run(result.id)
        return result

    async def list_threads(self, window: Window) -> Page[ThreadObject] | GatewayError:
        """List threads of the account, where the upstream can. Without the ownership of threads, for operators only."""
        (page,) = await self._read_all(LIST_THREADS, [ThreadPageKey(window)])
        return page

    async def _read_all(
        self,
        operation: ReadOperation[KeyT, ValueT],
        keys: Sequence[KeyT],
        on_result: OnResult[KeyT, ValueT] | None = None,
    ) -> Results[ValueT]:
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
            if client.metrics is not None:
                client.metrics.record_retry(call.request.operation)
            await client.sleep(delay)

    async def _write(self, operation: WriteOperation[KeyT, ValueT], key: KeyT, body: Body | None) -> ValueT:
        """Send a write once. Raises a `GatewayError` if it fails."""
        call, send_state = self._prepare_write(operation, key, body)
        return _result_or_raise(
            await self._send_before_deadline(call.request.operation, lambda: self._sender.send_call(call)), send_state
        )

    async def _start_run(self, operation: WriteOperation[KeyT, Any], key: KeyT, body: Body | None) -> Any:
        """Send a write that starts a run, once. It asks for a stream if there is a recorder and a free stream slot.

        If the caller is cancelled after the request was sent, the run has started, so its stream is still recorded.
        """
        sender, record_stream = self._sender, self._record_stream
        if record_stream is None or not self.capabilities.streaming:
            return await self._write(operation, key, body)
        call, send_state = self._prepare_write(operation, key, body, stream=True)
        thread_id, run_id = getattr(key, "thread_id", None), getattr(key, "run_id", None)
        dialect = self._client.options.dialect

        async def record(stream: RunStream) -> RunObject:
            if dialect.includes_search_content and not dialect.query_for(call.request.operation):
                stream = SearchContentStream(stream, run_id, self._read_step)
            return await record_stream(stream)

        async def send() -> RunObject | CallFailure:
            if self._client.stream_slots.locked():
                call.body = self._render(operation, body)
                return await sender.send_call(call)
            return await send_streamed(sender, call, record, thread_id=thread_id, run_id=run_id)

        return _result_or_raise(
            await self._client.finish_if_started(self._send_before_deadline(call.request.operation, send), send_state),
            send_state,
        )

    async def _read_step(self, key: RunStepKey) -> RunStepObject | GatewayError:
        (result,) = await self.get(RUN_STEPS, [key])
        return result

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
        metrics = self._client.metrics
        started = 0.0 if metrics is None else metrics.clock()
        # Nested blocks and not context managers: with many reads, the cost of context managers is measurable.
        await self._operation_slots.acquire()
        try:
            await self._call_slots.acquire()
            try:
                if metrics is not None:
                    metrics.record_slot_wait(started)
                refusal = self._admission.refusal(operation)
                if refusal is None:
                    return await self._send_admitted(operation, send)
                if metrics is not None:
                    metrics.record_refused_call(operation, refusal.error.code.value)
                return refusal
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
        call.body = self._render(operation, body, stream=stream)
        call.send_state = SendState()
        return call, call.send_state

    def _render(
        self, operation: WriteOperation[KeyT, ValueT], body: Body | None, *, stream: bool = False
    ) -> bytes | None:
        dialect = self._client.options.dialect
        return None if body is None else render_body(body, dialect, send_nulls=operation.send_nulls, stream=stream)


async def _report_result(
    pending_read: Awaitable[ValueT | GatewayError], key: KeyT, on_result: OnResult[KeyT, ValueT]
) -> ValueT | GatewayError:
    result = await pending_read
    on_result(key, result)
    return result


def _result_or_raise(outcome: ValueT | CallFailure, send_state: SendState) -> ValueT:
    if isinstance(outcome, CallFailure):
        try:
            raise write_error(outcome, sent=send_state.has_started)
        finally:
            del outcome  # the error's traceback has this frame, so the frame must not have the error
    return outcome
