import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from graphql import GraphQLObjectType

from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.telemetry.call_trace import CallTrace, describe_object, mutation_field
from gateway.telemetry.operation_record import OperationRecord, Transport, current_operation
from schema.contract import writes
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageKey, NodeKey, RunKey, ThreadKey
from schema.contract.writes import WRITES, AnyWrite
from schema.root import build_schema
from tests.support.log_lines import collected_lines
from tests.support.wire_samples import assistant, message, run, thread

CALLER = Principal.from_credential("Bearer private", UpstreamIdentity("http://upstream.example"))


async def coming(result: object) -> Any:
    if isinstance(result, BaseException):
        raise result
    return result


def test_each_write_is_named_as_the_mutation_that_sends_it() -> None:
    mutation = build_schema()._schema.mutation_type
    assert isinstance(mutation, GraphQLObjectType)
    assert sorted(map(mutation_field, WRITES)) == sorted(mutation.fields)


@pytest.mark.parametrize(
    ("operation", "key", "result", "expected"),
    [
        (writes.CREATE_THREAD, None, thread(id="t"), ("Thread", ("t",))),
        (writes.CREATE_THREAD, None, None, ("Thread", ())),
        (writes.DELETE_THREAD, ThreadKey("t"), None, ("Thread", ("t",))),
        (writes.UPDATE_THREAD, ThreadKey("t"), thread(id="t"), ("Thread", ("t",))),
        (writes.CREATE_MESSAGE, ThreadKey("t"), message(id="m"), ("Message", ("t", "m"))),
        (writes.CREATE_MESSAGE, ThreadKey("t"), None, ("Message", ("t",))),
        (writes.DELETE_MESSAGE, MessageKey("t", "m"), None, ("Message", ("t", "m"))),
        (writes.CREATE_THREAD_AND_RUN, None, run(id="r", thread_id="t"), ("Run", ("t", "r"))),
        (writes.CANCEL_RUN, RunKey("t", "r"), run(id="r", thread_id=None), ("Run", ("t", "r"))),
        (writes.CREATE_ASSISTANT, None, assistant(id="a"), ("Assistant", ("a",))),
        (writes.DELETE_ASSISTANT, AssistantKey("a"), None, ("Assistant", ("a",))),
    ],
)
def test_what_a_write_changes_is_named(
    operation: AnyWrite, key: NodeKey | None, result: Any, expected: tuple[str, tuple[str, ...]]
) -> None:
    assert describe_object(operation, key, result) == expected


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (GatewayError(ErrorCode.UPSTREAM_TIMEOUT, "private"), "UPSTREAM_TIMEOUT"),
        (asyncio.CancelledError(), "cancelled"),
        (ValueError("private"), "INTERNAL"),
    ],
)
async def test_a_write_that_fails_is_audited_and_fails(failure: BaseException, outcome: str) -> None:
    record = OperationRecord("req-1", Transport.HTTP, operation_name="Write")
    with collected_lines() as lines, current_operation(record):
        trace = CallTrace.from_current(CALLER)
        sending: Awaitable[Any] = coming(failure)
        with pytest.raises(type(failure)):
            await trace.audit(writes.DELETE_THREAD, ThreadKey("t"), sending)
    (line,) = lines.audit
    assert line["outcome"] == outcome
    assert (line["request_id"], line["operation"], line["mutation"]) == ("req-1", "Write", "deleteThread")
    assert "private" not in "".join(lines.texts)


async def test_calls_of_no_single_operation_have_an_id_of_their_own() -> None:
    record = OperationRecord("req-1", Transport.WEBSOCKET)
    with current_operation(record):
        assert CallTrace.from_current(CALLER).request_id == "req-1"
        record.is_shared = True
        ids = {CallTrace.from_current(CALLER).request_id for _ in range(3)}
    assert len(ids) == 3
    assert "req-1" not in ids
