"""The trace that upstream calls leave of the operation that makes them: its request id, and the audit of writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.telemetry.audit import audit_write
from gateway.telemetry.operation_record import AuditedPrincipal, OperationRecord, Outcome, current_record
from gateway.telemetry.request_ids import new_request_id
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import TYPE_NAMES, NodeKey, ThreadKey
from schema.contract.writes import UPDATE_THREAD, AnyWrite

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class CallTrace:
    """The operation that makes upstream calls, and its caller."""

    request_id: str
    principal: AuditedPrincipal
    record: OperationRecord | None = None

    @classmethod
    def from_current(cls, principal: AuditedPrincipal) -> CallTrace:
        """Make the trace of the current operation.

        What no single operation causes, such as the calls for an event that many subscriptions show, gets an id of its
        own.
        """
        record = current_record()
        return cls(new_request_id() if record is None else record.request_id, principal, record)

    async def audit(self, operation: AnyWrite, key: NodeKey | None, sending: Awaitable[ResultT]) -> ResultT:
        """Await a write, and log it whatever comes of it."""
        try:
            result = await sending
        except BaseException as error:
            self._log(operation, key, None, _outcome_from_exception(error))
            raise
        self._log(operation, key, result, Outcome.OK.value)
        return result

    async def audit_update(self, key: ThreadKey, updating: Awaitable[ResultT]) -> ResultT:
        """Await an update of a thread that the gateway keeps and the upstream never sees, and log it."""
        outcome = Outcome.OK.value
        try:
            return await updating
        except BaseException as error:
            outcome = _outcome_from_exception(error)
            raise
        finally:
            self._log(UPDATE_THREAD, key, None, outcome)

    def _log(self, operation: AnyWrite, key: NodeKey | None, result: Any, outcome: str) -> None:
        kind, ids = describe_object(operation, key, result)
        mutation = mutation_field(operation)
        audit_write(self.principal, mutation, outcome, record=self.record, kind=kind, ids=ids)


def _outcome_from_exception(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return Outcome.CANCELLED.value
    return (error.code if isinstance(error, GatewayError) else ErrorCode.INTERNAL).value


def mutation_field(operation: AnyWrite) -> str:
    """Return the name of the mutation that sends a write: the write's own, in GraphQL's spelling."""
    first, *others = operation.name.split("_")
    return first + "".join(word.capitalize() for word in others)


def describe_object(operation: AnyWrite, key: NodeKey | None, result: Any) -> tuple[str, tuple[str, ...]]:
    """Return the GraphQL type of what a write changes or creates, and its upstream ids as far as they are known."""
    if key is None or operation.name.startswith("create_"):
        kind = operation.name.rpartition("_")[2].capitalize()
    else:
        kind = TYPE_NAMES[type(key)]
    if result is None:  # a deletion or a failure: only the key is known
        return kind, key or ()
    thread_id = getattr(result, "thread_id", None) or getattr(key, "thread_id", None)
    return kind, (result.id,) if thread_id in {None, result.id} else (thread_id, result.id)
