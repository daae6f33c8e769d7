"""The upstream client: one connection pool for all principals, and one bound port for each operation."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from gateway.telemetry.call_trace import CallTrace
from gateway.upstream.body_rendering import render_body
from gateway.upstream.bound_calls import BindablePool, BoundCalls, result_or_raise
from gateway.upstream.list_planning import load_through_lists
from gateway.upstream.rest_operations import (
    GETS,
    LIST_THREADS,
    LISTS,
    PAGES_OF_THREADS,
    WRITES,
    ThreadPageKey,
    WriteOperation,
)
from gateway.upstream.retry import CallFailure
from gateway.upstream.search_content import SearchContentStream
from gateway.upstream.streamed_writes import send_streamed
from schema.contract.bodies import Body
from schema.contract.cost import Cost
from schema.contract.errors import GatewayError
from schema.contract.keys import RunStepKey
from schema.contract.kinds import RUN_STEPS, Kind, NodeKeyT, ObjectT, PageKeyT
from schema.contract.paging import Window
from schema.contract.ports import Capabilities, OnResult, Results
from schema.contract.run_streams import RunStream, StreamConsumer
from schema.contract.wire import Page, RunObject, RunStepObject, ThreadObject
from schema.contract.writes import BodyT, ResultT, Write, WriteKeyT

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class UpstreamClient(BindablePool):
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

        `record_stream` receives the streams of the runs that are started. Without it, no streams are requested. For
        the others, see `bind_calls`.

        Raises:
            GatewayError: the credential cannot be a header.
        """
        calls = self.bind_calls(credential, on_status, caller=caller, is_own_key=is_own_key, trace=trace)
        return BoundThreadsApi(self, calls, record_stream, trace=trace)


class BoundThreadsApi:
    """The `ThreadsApi` port over HTTP, with one principal's credential. `cost` counts the calls that it sent."""

    def __init__(
        self,
        client: UpstreamClient,
        calls: BoundCalls,
        record_stream: StreamConsumer | None = None,
        *,
        trace: CallTrace | None = None,
    ) -> None:
        self._trace = trace
        self._client = client
        self._calls = calls
        self._record_stream = record_stream

    @property
    def cost(self) -> Cost:
        return self._calls.cost

    @cost.setter
    def cost(self, cost: Cost) -> None:
        self._calls.cost = cost

    @property
    def capabilities(self) -> Capabilities:
        return self._client.capabilities

    def with_recorder(self, record_stream: StreamConsumer) -> "BoundThreadsApi":
        """Return a port with another recorder. Both count in one cost, and wait for the slots of one operation."""
        port = BoundThreadsApi.__new__(BoundThreadsApi)
        port.__dict__.update(self.__dict__, _record_stream=record_stream)
        return port

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        get_each: Callable[[Sequence[Any]], Awaitable[Results[Any]]] = partial(self._calls.read_all, GETS[kind])
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
        return await self._calls.read_all(LISTS[kind], keys, on_result)

    async def write(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        row: WriteOperation[WriteKeyT, ResultT] = WRITES[operation]
        sending = self._start_run(row, key, body) if row.starts_run else self._write(row, key, body)
        result = await (sending if self._trace is None else self._trace.audit(operation, key, sending))
        if row.starts_run and self._client.tracing is not None and isinstance(result, RunObject):
            self._client.tracing.remember_run(result.id)
        return result

    async def list_threads(self, window: Window) -> Page[ThreadObject] | GatewayError:
        """List threads of the account, where the upstream can. Without the ownership of threads, for operators only."""
        (page,) = await self._calls.read_all(LIST_THREADS, [ThreadPageKey(window)])
        return page

    async def _write(self, operation: WriteOperation[KeyT, ValueT], key: KeyT, body: Body | None) -> ValueT:
        """Send a write once. Raises a `GatewayError` if it fails."""
        return await self._calls.send_write(operation, key, self._render(operation, body))

    async def _start_run(self, operation: WriteOperation[KeyT, Any], key: KeyT, body: Body | None) -> Any:
        """Send a write that starts a run, once. It asks for a stream if there is a recorder and a free stream slot.

        If the caller is cancelled after the request was sent, the run has started, so its stream is still recorded.
        """
        calls, sender, record_stream = self._calls, self._calls.sender, self._record_stream
        if record_stream is None or not self.capabilities.streaming:
            return await self._write(operation, key, body)
        call, send_state = calls.prepare_write(operation, key, self._render(operation, body, stream=True))
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

        sending = calls.send_before_deadline(call.request.operation, send)
        return result_or_raise(await self._client.finish_if_started(sending, send_state), send_state)

    async def _read_step(self, key: RunStepKey) -> RunStepObject | GatewayError:
        (result,) = await self.get(RUN_STEPS, [key])
        return result

    def _render(
        self, operation: WriteOperation[KeyT, ValueT], body: Body | None, *, stream: bool = False
    ) -> bytes | None:
        dialect = self._client.options.dialect
        return None if body is None else render_body(body, dialect, send_nulls=operation.send_nulls, stream=stream)
