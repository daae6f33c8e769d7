"""The part of an operation's record that its document and its result tell. Pure, except that it fills in the record."""

from __future__ import annotations

from collections.abc import Sequence

from strawberry.types.execution import ExecutionResult

from gateway.server.http.graphql_request import ParsedRequest
from gateway.server.http.graphql_response import error_codes, result_body
from gateway.telemetry.operation_record import OperationRecord, Outcome
from schema.contract.errors import ErrorCode
from schema.engine.context import Context

MAX_LOGGED_NAME = 100
"""The longest name of an operation that is logged, in characters."""

_EXECUTION_CODES = {ErrorCode.INTERNAL.value, ErrorCode.QUERY_TIMEOUT.value, ErrorCode.ANSWER_TOO_LARGE.value}
"""Codes of errors without data that end an operation in its course. Others refuse it before it starts."""


def describe_operation(record: OperationRecord | None, parsed: ParsedRequest) -> None:
    """Record the name and the kind of the operation, as its document has them."""
    operation = None if record is None else parsed.document.find_operation(parsed.request.operation_name)
    if record is not None and operation is not None:
        record.operation_name = None if operation.name is None else operation.name.value[:MAX_LOGGED_NAME]
        record.kind = operation.operation.value


def record_cost(record: OperationRecord, context: Context) -> None:
    """Record the calls of an operation, and what it was admitted with."""
    record.upstream_calls = context.api.cost.upstream_calls
    record.admitted_calls, record.admitted_objects = context.admitted_calls, context.predicted_objects


def outcome_from_result(result: ExecutionResult) -> tuple[Outcome, Sequence[str]]:
    """Tell how an operation with this result ended, and the codes of its errors."""
    if not result.errors:
        return Outcome.OK, ()
    body, is_request_error = result_body(result)
    codes = error_codes(body["errors"])
    is_refused = is_request_error and not _EXECUTION_CODES.intersection(codes)
    return (Outcome.REFUSED if is_refused else Outcome.ERRORS), codes
