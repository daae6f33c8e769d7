"""The calls of one principal for one operation: in slots, as the admission and the budget of retries allow, counted."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from gateway.telemetry.call_trace import CallTrace
from gateway.upstream.call_admission import CallerAdmission
from gateway.upstream.call_sender import CallSender, UpstreamCall
from gateway.upstream.caller_slots import OperationSlots
from gateway.upstream.connection_pool import SendState, UpstreamPool, timeout_error
from gateway.upstream.file_transfers import BoundFileTransfers
from gateway.upstream.rest_operations import ReadOperation, WriteOperation
from gateway.upstream.retry import CallFailure, delay_before_first_call, delay_before_retry, write_error
from gateway.upstream.upstream_options import is_header_value
from schema.contract.cost import Cost
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import OnResult, Results

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class BoundCalls:
    """Sends the calls of one operation, whichever port they are for. `cost` counts them.

    `caller` names the one whose share of connections, retries and failures are counted.
    """

    def __init__(self, pool: UpstreamPool, sender: CallSender, *, caller: str | None = None) -> None:
        self.cost = Cost()
        self.sender = sender
        self._pool = pool
        self._admission = CallerAdmission(pool.admission, caller or "", sender.credential)
        self._slots = OperationSlots(pool.call_slots.slots_for(caller), pool.options.max_concurrency_per_operation)
        self._write_slots = pool.write_slots.slots_for(caller)

    async def read_all(
        self,
        operation: ReadOperation[KeyT, ValueT],
        keys: Sequence[KeyT],
        on_result: OnResult[KeyT, ValueT] | None = None,
    ) -> Results[ValueT]:
        """Read all keys at the same time, each key once, until one deadline for all.

        `on_result` gets each result that arrives before the deadline.
        """
        options = self._pool.options
        deadline = asyncio.get_running_loop().time() + options.timeout_seconds
        tasks: dict[KeyT, asyncio.Task[ValueT | GatewayError]] = {}
        for key in dict.fromkeys(keys):
            read = partial(self._read, operation, key, deadline)
            tasks[key] = asyncio.create_task(read() if on_result is None else _report_result(read, key, on_result))
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
        pool, loop = self._pool, asyncio.get_running_loop()
        try:
            call = self.sender.prepare_call(operation, key)
        except GatewayError as refused:
            return refused
        if self._admission.pause_seconds:
            await self._wait_for_end_of_pause(deadline)
        send = partial(self.sender.send_call, call)
        retries_made = 0
        while True:
            outcome = await self._send_in_slot(call.request.operation, send)
            if not isinstance(outcome, CallFailure):
                return outcome
            delay = delay_before_retry(
                outcome,
                retries_made=retries_made,
                remaining_seconds=deadline - loop.time(),
                random_fraction=pool.random_fraction,
            )
            if delay is None or not self._admission.take_retry():
                return outcome.error
            retries_made += 1
            if pool.metrics is not None:
                pool.metrics.record_retry(call.request.operation)
            await pool.sleep(delay)

    async def send_write(self, operation: WriteOperation[KeyT, ValueT], key: KeyT, body: bytes | None) -> ValueT:
        """Send a write once. Raises a `GatewayError` if it fails."""
        call, send_state = self.prepare_write(operation, key, body)
        return result_or_raise(
            await self.send_before_deadline(call.request.operation, partial(self.sender.send_call, call)), send_state
        )

    def prepare_write(
        self, operation: WriteOperation[KeyT, ValueT], key: KeyT, body: bytes | None
    ) -> tuple[UpstreamCall[KeyT, ValueT], SendState]:
        """Build the call of a write, and the state that says whether it has begun to leave.

        Raises:
            GatewayError: The key cannot be sent, or the dialect does not have the operation.
        """
        call = self.sender.prepare_call(operation, key)
        call.body = body
        call.send_state = SendState()
        return call, call.send_state

    async def send_before_deadline(
        self, operation: str, send: Callable[[], Awaitable[ValueT | CallFailure]]
    ) -> ValueT | CallFailure:
        """Send a write in a slot, until the deadline. It is not sent if it gets no slot in half of that time.

        Otherwise, writes that wait behind hanging ones would be sent at their last moment, and no outcome be known.
        """
        seconds = self._pool.options.timeout_seconds
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
            random_fraction=self._pool.random_fraction,
        )
        if delay is not None:
            await self._pool.sleep(delay)

    async def _send_in_slot(
        self, operation: str, send: Callable[[], Awaitable[ValueT | CallFailure]]
    ) -> ValueT | CallFailure:
        """Send within the concurrency limits of the operation and of the caller, if the admission agrees."""
        metrics, slots = self._pool.metrics, self._slots
        started = 0.0 if metrics is None else metrics.clock()
        # No context manager: with many reads, its cost is measurable.
        if not slots.try_acquire():
            await slots.acquire()
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
            slots.release()

    async def _send_admitted(
        self, operation: str, send: Callable[[], Awaitable[ValueT | CallFailure]]
    ) -> ValueT | CallFailure:
        """Send, count the call, and record its outcome."""
        started_at = self.cost.start_call()
        try:
            outcome = await send()
        except asyncio.CancelledError:
            # The deadline may include a wait for a slot, and a caller may leave early. Neither is the upstream's fault.
            if self.cost.clock() - started_at >= self._pool.options.timeout_seconds / 2:
                self._admission.record_outage(operation)
            raise
        finally:
            self.cost.end_call(started_at)
        self._admission.record_outcome(operation, outcome if isinstance(outcome, CallFailure) else None)
        return outcome


async def _report_result(
    read: Callable[[], Awaitable[ValueT | GatewayError]], key: KeyT, on_result: OnResult[KeyT, ValueT]
) -> ValueT | GatewayError:
    result = await read()
    on_result(key, result)
    return result


def result_or_raise(outcome: ValueT | CallFailure, send_state: SendState) -> ValueT:
    """Return the result of a write. Raises a `GatewayError` if it failed."""
    if isinstance(outcome, CallFailure):
        try:
            raise write_error(outcome, sent=send_state.has_started)
        finally:
            del outcome  # the error's traceback has this frame, so the frame must not have the error
    return outcome


class BindablePool(UpstreamPool):
    """The connections to one upstream, which each principal uses through calls and transfers of their own."""

    def bind_calls(
        self,
        credential: str | None,
        on_status: Callable[[int], None] = lambda _: None,
        *,
        caller: str | None = None,
        is_own_key: bool = False,
        trace: CallTrace | None = None,
    ) -> BoundCalls:
        """Create the calls of one principal for one GraphQL operation.

        `credential` is the value of an Authorization header; the dialect decides how it is sent. `on_status` gets the
        status of each response. `caller` names the one whose share of connections, retries and failures are counted,
        since several callers may share a credential; without it, the credential does. With `is_own_key`, the
        credential is the gateway's own, and its refusal is `UPSTREAM_REFUSED` for the caller. With `trace`, each call
        carries the request id of its operation, also if it is made for others too.

        Raises:
            GatewayError: the credential cannot be a header.
        """
        if credential is not None and not is_header_value(credential):
            raise GatewayError(ErrorCode.UNAUTHENTICATED, "Expected a credential without control characters.")
        request_id = None if trace is None else trace.request_id
        sender = CallSender(self, credential, on_status, is_own_key=is_own_key, request_id=request_id)
        return BoundCalls(self, sender, caller=credential if caller is None else caller)

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
