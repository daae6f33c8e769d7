"""The frame of every upload and download: its line in the log, its errors, and its end when the gateway stops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeAlias, TypeVar

from aiohttp import web

from gateway.server.endpoint import handle_recorded
from gateway.server.http.graphql_response import error_response
from gateway.server.http.operation_runner import OperationStoppedError
from gateway.server.http.refusals import Refusal, interrupted_refusal, rate_limit_refusal, stopping_refusal
from gateway.server.http.request_reader import request_id_from
from gateway.telemetry.operation_log import log_end
from gateway.telemetry.operation_observer import OperationObserver
from gateway.telemetry.operation_record import OperationRecord, Outcome, Transport
from schema.contract.errors import ErrorCode, GatewayError, OwnKeyRefusedError
from schema.contract.rate_limits import RateLimitedError

ErrorT = TypeVar("ErrorT", bound=Exception)
Respond: TypeAlias = Callable[[web.Request, OperationRecord], Awaitable[web.StreamResponse]]

STATUSES: Mapping[ErrorCode, int] = {
    ErrorCode.BAD_USER_INPUT: 400,
    ErrorCode.UPSTREAM_REFUSED: 400,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.TOO_MANY_OPERATIONS: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.UNSUPPORTED_BY_UPSTREAM: 501,
    ErrorCode.LEDGER_UNAVAILABLE: 503,
    ErrorCode.GATEWAY_STOPPING: 503,
    ErrorCode.UPSTREAM_TIMEOUT: 504,
}
"""The status of each error. Any other one is the upstream's failure: 502."""


async def handle_transfer(
    request: web.Request, kind: str, respond: Respond, observer: OperationObserver
) -> web.StreamResponse:
    """Respond to a request, and log how it ended. `kind` is its kind in logs, metrics and traces."""
    record = OperationRecord(request_id_from(request), Transport.HTTP, kind=kind)
    return await handle_recorded(request, record, partial(_respond_or_refuse, respond), observer)


async def _respond_or_refuse(respond: Respond, request: web.Request, record: OperationRecord) -> web.StreamResponse:
    try:
        response = await respond(request, record)
    except (OperationStoppedError, RateLimitedError, Refusal) as error:
        return _refuse(_forget_frames(error), record)
    except GatewayError as error:
        log_end(record, Outcome.ERRORS, [error.code])
        # The refusal of the gateway's own key is no fault of the request.
        status = 502 if isinstance(error, OwnKeyRefusedError) else STATUSES.get(error.code, 502)
        return _error_response(status, _forget_frames(error), record)
    log_end(record, Outcome.OK)
    return response


def _refuse(error: OperationStoppedError | RateLimitedError | Refusal, record: OperationRecord) -> web.Response:
    match error:
        case OperationStoppedError(started=started):
            refused = interrupted_refusal() if started else stopping_refusal()
        case RateLimitedError():
            refused = rate_limit_refusal(error)
        case Refusal():
            refused = error
    log_end(record, Outcome.REFUSED, [refused.error.code])
    return _error_response(refused.status, refused.error, record, dict(refused.headers))


def _forget_frames(error: ErrorT) -> ErrorT:
    """Return an expected error without its traceback, whose frames hold what holds the error: tasks and forms."""
    return error.with_traceback(None)


def _error_response(
    status: int, error: GatewayError, record: OperationRecord, headers: Mapping[str, str] | None = None
) -> web.Response:
    if error.retry_after_ms is not None:
        headers = {"Retry-After": str(-(-error.retry_after_ms // 1000)), **(headers or {})}
    return error_response(status, error, headers=headers, request_id=record.request_id)
