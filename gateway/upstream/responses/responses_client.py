"""The client of an upstream with responses and conversations, and its port: threads and runs as before.

A thread is a conversation, a message one of its items, a run a chain of responses. Assistants, the chains, and which
run wrote a message are kept by the gateway itself.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from gateway.telemetry.call_trace import CallTrace
from gateway.upstream.bound_calls import BindablePool
from gateway.upstream.list_planning import load_through_lists
from gateway.upstream.responses.assistant_shelf import AssistantShelf
from gateway.upstream.responses.bound_upstream import BoundUpstream
from gateway.upstream.responses.chain_locks import ChainLocks
from gateway.upstream.responses.chain_reads import ChainReads
from gateway.upstream.responses.chain_writes import ChainWrites
from gateway.upstream.responses.conversation_operations import (
    GET_CONVERSATION,
    LIST_CONVERSATIONS,
    ConversationPageKey,
)
from gateway.upstream.responses.kept_records import KeptRecords
from gateway.upstream.responses.lost_chains import LostChains
from gateway.upstream.responses.message_reads import MessageReads
from gateway.upstream.responses.streamed_responses import ResponseStreamOptions, ResponseStreams, open_replay
from gateway.upstream.responses.thread_proofs import ThreadProofs
from gateway.upstream.responses.thread_writes import ThreadWrites
from gateway.upstream.rest_operations import GETS, PAGES_OF_THREADS, WRITES
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract import writes
from schema.contract.cost import Cost
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import (
    ASSISTANTS,
    FILES,
    MESSAGE_FILES,
    MESSAGES,
    RUN_STEPS,
    RUNS,
    THREADS,
    AnyKind,
    Kind,
    NodeKeyT,
    ObjectT,
    PageKeyT,
)
from schema.contract.paging import Window
from schema.contract.ports import Capabilities, OnResult, Results
from schema.contract.run_streams import RunStream, StreamConsumer
from schema.contract.wire import Page, RunObject, ThreadObject
from schema.contract.writes import AnyWrite, BodyT, ResultT, Write, WriteKeyT

_CALL_MARGIN_SECONDS = 10.0
"""How much longer than its call the lease of a run that starts lasts."""

_MISSING_WRITES: Mapping[AnyWrite, str] = {writes.UPDATE_MESSAGE: "modifyMessage", writes.UPDATE_RUN: "modifyRun"}
_STARTING: frozenset[AnyWrite] = frozenset(
    {
        writes.CREATE_RUN,
        writes.CREATE_THREAD_AND_RUN,
        writes.SUBMIT_TOOL_OUTPUTS,
        writes.SUBMIT_TOOL_APPROVALS,
    }
)


async def _accept() -> None:
    """Accept any caller."""


class ResponsesClient(BindablePool):
    """The upstream for all principals. `kept` is what the gateway keeps of it."""

    def __init__(
        self,
        options: UpstreamOptions,
        kept: KeptRecords,
        stream_options: ResponseStreamOptions | None = None,
        **pool_options: Any,
    ) -> None:
        """Make the connections. `pool_options` are those of `UpstreamPool`."""
        super().__init__(options, **pool_options)
        self.kept = kept
        self.streams = ResponseStreams(self, kept, stream_options)
        self.proofs = ThreadProofs()
        self.lost_chains = LostChains(kept, self.streams.options.lock_seconds)

    async def close(self) -> None:
        await self.streams.aclose()
        await super().close()

    def bind(
        self,
        credential: str | None,
        record_stream: StreamConsumer | None = None,
        on_status: Callable[[int], None] = lambda _: None,
        *,
        caller: str | None = None,
        is_own_key: bool = False,
        trace: CallTrace | None = None,
        shelf: str | None = None,
        confirm_accepted: Callable[[], Awaitable[None]] = _accept,
    ) -> BoundResponsesApi:
        """Create the port of one principal for one GraphQL operation.

        `record_stream` receives the streams of the runs that are started. Without it, no streams are requested.
        `shelf` names whose assistants these are; without it, the caller's. `confirm_accepted` raises a `GatewayError`
        if the upstream does not accept the caller. For the others, see `bind_calls`.

        Raises:
            GatewayError: The credential cannot be a header.
        """
        calls = self.bind_calls(credential, on_status, caller=caller, is_own_key=is_own_key, trace=trace)
        caller = (credential if caller is None else caller) or ""
        upstream = BoundUpstream(
            calls, self.kept, self.dialect, self.proofs, self.lost_chains, caller, is_trusted=is_own_key
        )
        assistants = AssistantShelf(
            self.kept.assistants, caller if shelf is None else shelf, self.dialect, confirm_accepted
        )
        return BoundResponsesApi(self, upstream, assistants, record_stream, trace=trace)


class BoundResponsesApi:
    """The `ThreadsApi` port over responses and conversations. `cost` counts the calls that it sent."""

    def __init__(
        self,
        client: ResponsesClient,
        upstream: BoundUpstream,
        assistants: AssistantShelf,
        record_stream: StreamConsumer | None = None,
        *,
        trace: CallTrace | None = None,
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._assistants = assistants
        self._record_stream = record_stream
        self._trace = trace
        options = client.streams.options
        wait_seconds = options.expiry_seconds + options.lock_seconds
        call_seconds = client.options.timeout_seconds + _CALL_MARGIN_SECONDS
        self._chains = ChainReads(upstream, wait_seconds=wait_seconds)
        self._messages = MessageReads(upstream, self._chains)
        locks = ChainLocks(upstream, self._chains, call_seconds=call_seconds, wait_seconds=wait_seconds)
        self._thread_writes = ThreadWrites(upstream, locks)
        self._chain_writes = ChainWrites(
            upstream, self._chains, locks, self._thread_writes, assistants=assistants, streams=client.streams
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._client.capabilities

    @property
    def cost(self) -> Cost:
        return self._upstream.calls.cost

    @cost.setter
    def cost(self, cost: Cost) -> None:
        self._upstream.calls.cost = cost

    def with_recorder(self, record_stream: StreamConsumer) -> BoundResponsesApi:
        """Return a port with another recorder. Both count in one cost, and wait for the slots of one operation."""
        port = copy.copy(self)
        port._record_stream = record_stream
        return port

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        get_each: Any = _GETS[kind](self)
        if kind is not MESSAGES:
            results: Results[ObjectT] = await get_each(keys)
            return results
        in_threads: Sequence[Any] = keys
        return await load_through_lists(in_threads, PAGES_OF_THREADS[kind], partial(self.list, kind), get_each)

    async def list(
        self,
        kind: Kind[Any, ObjectT, PageKeyT],
        keys: Sequence[PageKeyT],
        *,
        on_result: OnResult[PageKeyT, Page[ObjectT]] | None = None,
    ) -> Results[Page[ObjectT]]:
        list_pages: Any = _LISTS[kind](self)
        results: Results[Page[ObjectT]] = await list_pages(keys, on_result)
        return results

    async def write(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        sending: Awaitable[ResultT] = self._send(operation, key, body)
        result = await (sending if self._trace is None else self._trace.audit(operation, key, sending))
        if operation in _STARTING and self._client.tracing is not None and isinstance(result, RunObject):
            self._client.tracing.remember_run(result.id)
        return result

    async def list_threads(self, window: Window) -> Page[ThreadObject] | GatewayError:
        """List threads of the account, where the upstream can. Without the ownership of threads, for operators only."""
        (page,) = await self._upstream.calls.read_all(LIST_CONVERSATIONS, [ConversationPageKey(window)])
        return page

    async def open_stream(self, key: RunKey, after: str | None) -> RunStream | None:
        """Open the stream of a run that is under way, behind a place in it. None if it cannot be read again."""
        return await open_replay(self._client.streams, self._upstream.calls.sender, key, after)

    async def close_chain(self, run_id: str, status: str) -> None:
        """End a run that waits for its client in vain. Its open calls are answered, so that its thread can go on.

        Raises:
            GatewayError: The upstream or the ledger does not answer.
        """
        await self._chain_writes.close_chain(run_id, status)

    async def _get_threads(self, keys: Sequence[ThreadKey]) -> Results[ThreadObject]:
        results = await self._upstream.calls.read_all(GET_CONVERSATION, keys)
        for key, result in zip(keys, results, strict=True):
            if not isinstance(result, GatewayError):
                self._upstream.prove(key.thread_id)
        return results

    async def _refuse_reads(self, operation: str, keys: Sequence[Any], _: object = None) -> Results[Any]:
        return [self._unsupported(operation)] * len(keys)

    def _unsupported(self, operation: str) -> GatewayError:
        error = self._client.dialect.unsupported_error(operation)
        if error is None:
            raise RuntimeError(f"expected a dialect without {operation}, got {self._client.dialect.name}")
        return error

    async def _send(self, operation: AnyWrite, key: Any, body: Any) -> Any:
        """Send a write. Raises a `GatewayError` if it fails."""
        if operation in _MISSING_WRITES:
            raise self._unsupported(_MISSING_WRITES[operation])
        return await _SENDERS[operation](self, key, body)


_Api: TypeAlias = BoundResponsesApi
_GETS: Mapping[AnyKind, Callable[[_Api], Callable[[Any], Awaitable[Results[Any]]]]] = {
    THREADS: lambda api: api._get_threads,
    MESSAGES: lambda api: api._messages.get_messages,
    RUNS: lambda api: api._chains.get_runs,
    RUN_STEPS: lambda api: api._chains.get_steps,
    ASSISTANTS: lambda api: api._assistants.get,
    MESSAGE_FILES: lambda api: partial(api._refuse_reads, "getMessageFile"),
    FILES: lambda api: partial(api._upstream.calls.read_all, GETS[FILES]),
}
_LISTS: Mapping[AnyKind, Callable[[_Api], Callable[[Any, Any], Awaitable[Results[Any]]]]] = {
    MESSAGES: lambda api: api._messages.list_messages,
    RUNS: lambda api: api._chains.list_runs,
    RUN_STEPS: lambda api: api._chains.list_steps,
    ASSISTANTS: lambda api: api._assistants.list,
    MESSAGE_FILES: lambda api: partial(api._refuse_reads, "listMessageFiles"),
}
_SENDERS: Mapping[AnyWrite, Callable[[_Api, Any, Any], Awaitable[Any]]] = {
    writes.CREATE_THREAD: lambda api, _, body: api._thread_writes.create_thread(body),
    writes.UPDATE_THREAD: lambda api, key, body: api._thread_writes.update_thread(key, body),
    writes.DELETE_THREAD: lambda api, key, _: api._thread_writes.delete_thread(key),
    writes.CREATE_MESSAGE: lambda api, key, body: api._thread_writes.create_message(key, body),
    writes.DELETE_MESSAGE: lambda api, key, _: api._thread_writes.delete_message(key),
    writes.CREATE_RUN: lambda api, key, body: api._chain_writes.create_run(key, body, api._record_stream),
    writes.CREATE_THREAD_AND_RUN: lambda api, _, body: api._chain_writes.create_thread_and_run(
        body, api._record_stream
    ),
    writes.CANCEL_RUN: lambda api, key, _: api._chain_writes.cancel(key),
    writes.SUBMIT_TOOL_OUTPUTS: lambda api, key, body: api._chain_writes.submit(key, body, api._record_stream),
    writes.SUBMIT_TOOL_APPROVALS: lambda api, key, body: api._chain_writes.submit(key, body, api._record_stream),
    writes.CREATE_ASSISTANT: lambda api, _, body: api._assistants.create(body),
    writes.UPDATE_ASSISTANT: lambda api, key, body: api._assistants.update(key, body),
    writes.DELETE_ASSISTANT: lambda api, key, _: api._assistants.delete(key),
    writes.DELETE_FILE: lambda api, key, _: api._upstream.calls.send_write(WRITES[writes.DELETE_FILE], key, None),
}
