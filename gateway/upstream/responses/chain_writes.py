"""Writes of runs: a response that starts a chain or continues it, and the end of a chain that is cancelled or expires.

What a run still asks its client is answered before its end is recorded: the upstream refuses every further response of
a conversation with an open call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from gateway.upstream.bound_calls import result_or_raise
from gateway.upstream.connection_pool import SendState
from gateway.upstream.responses.assistant_shelf import AssistantShelf
from gateway.upstream.responses.bound_upstream import BoundUpstream
from gateway.upstream.responses.chain_locks import ChainLocks
from gateway.upstream.responses.chain_reads import ChainReads
from gateway.upstream.responses.conversation_operations import (
    CANCEL_RESPONSE,
    CREATE_RESPONSE,
    OneResponseKey,
)
from gateway.upstream.responses.item_parts import id_of_call
from gateway.upstream.responses.kept_records import ChainRecord
from gateway.upstream.responses.loaded_chain import LoadedChain
from gateway.upstream.responses.open_calls import answer_asked_in_vain, answer_listed_calls, answer_open_calls
from gateway.upstream.responses.response_requests import (
    answers_from_body,
    continued_response,
    items_from_outputs,
    response_from_run,
)
from gateway.upstream.responses.streamed_responses import ResponseStart, ResponseStreams, send_streamed_response
from gateway.upstream.responses.thread_writes import ThreadWrites
from gateway.upstream.retry import CallFailure
from schema.contract.bodies import RunBody, ThreadAndRunBody, ThreadBody, ToolApprovalsBody, ToolOutputsBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.run_streams import StreamConsumer
from schema.contract.statuses import is_terminal
from schema.contract.wire import RunObject


class ChainWrites:
    """Sends the writes of runs. Streams go to `record_stream`; without it, none is asked for."""

    def __init__(
        self,
        upstream: BoundUpstream,
        reads: ChainReads,
        locks: ChainLocks,
        threads: ThreadWrites,
        *,
        assistants: AssistantShelf,
        streams: ResponseStreams,
    ) -> None:
        self._upstream = upstream
        self._reads = reads
        self._locks = locks
        self._threads = threads
        self._assistants = assistants
        self._streams = streams

    async def create_run(self, key: ThreadKey, body: RunBody, record: StreamConsumer | None) -> RunObject:
        """Start a run on a thread that has no active one."""
        assistant = await self._assistants.find(body.assistant_id)
        request = response_from_run(body, assistant, key.thread_id, background=self._takes_background)
        return await self._start(key.thread_id, request, assistant.id, record)

    async def create_thread_and_run(self, body: ThreadAndRunBody, record: StreamConsumer | None) -> RunObject:
        """Create a thread and start a run on it. If that fails, the thread is deleted again.

        Both calls are made, or undone, also if the caller leaves meanwhile.
        """
        assistant = await self._assistants.find(body.assistant_id)
        request = response_from_run(body, assistant, "", background=self._takes_background)

        async def create_and_start() -> RunObject:
            thread = await self._threads.create_thread(body.thread or ThreadBody(), "thread.")
            try:
                return await self._start(thread.id, {**request, "conversation": thread.id}, assistant.id, record)
            except GatewayError as error:
                raise await self._threads.undo_create(thread.id, error) from None

        pool, started = self._upstream.calls.sender.pool, SendState(has_started=True)
        return result_or_raise(await pool.finish_if_started(create_and_start(), started), started)

    async def submit(
        self, key: RunKey, body: ToolOutputsBody | ToolApprovalsBody, record: StreamConsumer | None
    ) -> RunObject:
        """Submit the answers to all that a run waits for, which continue its chain."""
        chain = await self._reads.load_to_answer(key)
        if isinstance(chain, GatewayError):
            raise chain
        if chain.run.status != "requires_action":
            raise _not_waiting_error(chain.run.status)
        answers = answers_from_body(body)
        expected = [id_of_call(item) for item in chain.open_items]
        if sorted(answers) != sorted(filter(None, expected)):
            message = f"Expected tool outputs for call_ids {expected}, got {list(answers)}"
            raise GatewayError(ErrorCode.BAD_USER_INPUT, message, argument="tool_outputs")
        if chain.record is None:
            message = "Expected a run that was started through the gateway, which alone knows how it goes on."
            raise GatewayError(ErrorCode.UNSUPPORTED_BY_UPSTREAM, message)
        started: Mapping[str, Any] = msgspec.json.decode(chain.record.request)
        holder = await self._claim(key, chain.record)
        start = ResponseStart(
            key.thread_id,
            continued_response(started, items_from_outputs(body, chain.open_items)),
            chain.record.assistant_id,
            holder,
            chain.record,
            tuple(chain.responses),
            answers,
        )
        return await self._send(start, record, lambda: self._locks.unclaim(key, holder))

    async def _claim(self, key: RunKey, record: ChainRecord) -> str:
        """Take the lease of a run that waits. Returns its holder.

        Raises:
            GatewayError: `WRONG_STATE` if it waits no more, or `ACTIVE_RUN` if somebody else is answering it.
        """
        holder = await self._locks.claim(key)
        now = (await self._upstream.kept.chains.find_chains([record.run_id])).get(record.run_id)
        if now is not None and now.response_ids == record.response_ids and not is_terminal(now.status):
            return holder
        if now is None or is_terminal(now.status):
            await self._locks.release(key.thread_id, holder)
        else:
            await self._locks.unclaim(key, holder)
        raise _not_waiting_error("expired" if now is None else now.status)

    async def cancel(self, key: RunKey) -> RunObject:
        """Cancel a run that has not ended. One in the foreground ends when its reader notices."""
        chain = await self._load(key)
        if is_terminal(chain.run.status):
            raise GatewayError(ErrorCode.WRONG_STATE, f"Cannot cancel run with status '{chain.run.status}'.")
        if chain.run.status == "requires_action":
            return await self._end_waiting(key, chain, "cancelled")
        if not _is_background(chain):
            is_read_here = await self._streams.cancel_foreground(key.run_id)
            try:
                # Also if it is read here: it may have come to wait just now.
                await self._upstream.kept.chains.record_status(key.run_id, "cancelling")
            except GatewayError:
                if not is_read_here:
                    raise
            return msgspec.structs.replace(chain.run, status="cancelling")
        cancelled = await self._upstream.calls.send_write(CANCEL_RESPONSE, OneResponseKey(chain.responses[-1].id), None)
        chain = replace(chain, responses=[*chain.responses[:-1], cancelled])
        if is_terminal(chain.run.status):
            await answer_asked_in_vain(self._upstream, chain)
            await self._reads.settle(chain)
        return chain.run

    async def close_chain(self, run_id: str, status: str) -> None:
        """End a run that waits, in whatever status: its open calls are answered.

        Raises:
            GatewayError: The run cannot be read, or the upstream or the ledger does not answer.
        """
        record = (await self._upstream.kept.chains.find_chains([run_id])).get(run_id)
        if record is None or is_terminal(record.status):
            return
        key = RunKey(record.thread_id, run_id)
        chain = await self._load(key)
        if chain.run.status == "requires_action":
            await self._end(chain, status)

    @property
    def _takes_background(self) -> bool:
        return self._upstream.dialect.has_background and self._streams.takes_background

    async def _load(self, key: RunKey) -> LoadedChain:
        chain = (await self._reads.load([key]))[key]
        if isinstance(chain, GatewayError):
            raise chain
        return chain

    async def _start(
        self, thread_id: str, request: Mapping[str, Any], assistant_id: str, record: StreamConsumer | None
    ) -> RunObject:
        """Start a run. If the upstream refuses it for an open call of the run before, that is answered first."""
        try:
            return await self._start_once(thread_id, request, assistant_id, record)
        except GatewayError as error:
            if error.code is not ErrorCode.WRONG_STATE or not await self._close_newest(thread_id):
                raise
        return await self._start_once(thread_id, request, assistant_id, record)

    async def _start_once(
        self, thread_id: str, request: Mapping[str, Any], assistant_id: str, record: StreamConsumer | None
    ) -> RunObject:
        holder = await self._locks.begin(thread_id)
        start = ResponseStart(thread_id, request, assistant_id, holder)
        return await self._send(start, record, lambda: self._locks.release(thread_id, holder))

    async def _close_newest(self, thread_id: str) -> bool:
        """Answer what the newest run of a thread has left open, if it has ended. Returns whether there was any.

        It was cut off while it asked, or cancelled past the gateway; or it ended while it waited and the server has
        forgotten its response. What was asked by runs that the gateway does not know is their own client's to answer.
        """
        chain = await self._reads.load_newest(thread_id)
        if chain is None or not is_terminal(chain.run.status):
            return False
        if chain.open_items:
            await answer_open_calls(self._upstream, chain)
            return True
        # Its response, if it were there, would tell what it asked.
        return chain.is_forgotten and await answer_listed_calls(self._upstream, thread_id)

    async def _send(
        self, start: ResponseStart, record: StreamConsumer | None, give_back: Callable[[], Awaitable[None]]
    ) -> RunObject:
        """Send a response once. Its lease is given back if the upstream has certainly not begun it.

        If the caller is cancelled after the request was sent, the run has started, so its stream is still recorded.
        """
        calls, streams = self._upstream.calls, self._streams
        try:
            call, send_state = calls.prepare_write(CREATE_RESPONSE, ThreadKey(start.thread_id), None)
        except GatewayError:
            await give_back()
            raise

        async def send() -> RunObject | CallFailure:
            outcome = await send_streamed_response(streams, calls.sender, call, record, start)
            if isinstance(outcome, CallFailure):
                await give_back()
            return outcome

        sending = calls.send_before_deadline(call.request.operation, send)
        try:
            outcome = await calls.sender.pool.finish_if_started(sending, send_state)
        except BaseException:
            if not send_state.has_started:
                await give_back()
            raise
        if isinstance(outcome, CallFailure) and not send_state.has_started:
            await give_back()
        run = result_or_raise(outcome, send_state)
        self._upstream.prove(start.thread_id)
        return run

    async def _end_waiting(self, key: RunKey, chain: LoadedChain, status: str) -> RunObject:
        holder = await (self._locks.claim(key) if chain.record is None else self._claim(key, chain.record))
        try:
            run = await self._end(chain, status)
        except BaseException:
            await self._locks.unclaim(key, holder)
            raise
        await self._locks.release(key.thread_id, holder)
        return run

    async def _end(self, chain: LoadedChain, status: str) -> RunObject:
        """Answer what a run has asked, then record its end."""
        await answer_open_calls(self._upstream, chain)
        if chain.record is None:
            return msgspec.structs.replace(chain.run, status=status)
        ended = replace(chain, record=replace(chain.record, status=status))
        await self._reads.record_end(ended)
        return ended.run


def _not_waiting_error(status: str) -> GatewayError:
    return GatewayError(ErrorCode.WRONG_STATE, f'Runs in status "{status}" do not accept tool outputs.')


def _is_background(chain: LoadedChain) -> bool:
    if chain.record is None:
        return True
    started: Mapping[str, Any] = msgspec.json.decode(chain.record.request)
    return started.get("background") is True
