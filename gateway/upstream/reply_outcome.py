"""Turns the status, headers and body of a response into a result or a failure. Pure."""

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from gateway.upstream.dialects import unsupported_operation_error
from gateway.upstream.error_replies import failure_from_error_reply, request_id_from_headers
from gateway.upstream.reply_readers import ReplyReader, UnexpectedReplyError
from gateway.upstream.retry import CallFailure
from gateway.upstream.safe_text import safe_text
from schema.contract.errors import ErrorCode, GatewayError, OwnKeyRefusedError

KeyT_contra = TypeVar("KeyT_contra", contravariant=True)
ValueT = TypeVar("ValueT")

OWN_KEY_REFUSALS = frozenset({401, 403})
"""Statuses by which the upstream refuses the gateway's own key, or what the gateway does with it."""

# Examples: "No thread found with id 'runs'.", "Thread runs not found", "Invalid 'thread_id': 'runs'.".
_MISSING_THREAD = re.compile(
    r"\bno thread found\b|\bthread\b.{0,100}\b(?:not found|does not exist)\b|\bthread_id\b|\bthread ['\"]?runs\b",
    re.IGNORECASE,
)


class UpstreamReply(NamedTuple):
    """A complete response of the upstream. The keys of `headers` are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def outcome_from_reply(
    reader: ReplyReader[KeyT_contra, ValueT],
    key: KeyT_contra,
    reply: UpstreamReply,
    *,
    operation: str,
    dialect: str,
    credential: str | None,
    is_own_key: bool = False,
    now_seconds: float,
) -> ValueT | CallFailure:
    """Read any response and return its result or its failure. Never raises.

    With `is_own_key`, the credential is the gateway's own, so its refusal is not the caller's affair.
    """
    status, headers, body = reply
    if is_own_key and status in OWN_KEY_REFUSALS:
        refusal = OwnKeyRefusedError(upstream_request_id=request_id_from_headers(headers, credential))
        return CallFailure(refusal, refused=True, status=status)
    if not 200 <= status < 300:
        failure = failure_from_error_reply(status, headers, body, credential=credential, now_seconds=now_seconds)
        error = failure.error
        if error.code is not ErrorCode.UNSUPPORTED_BY_UPSTREAM and not _took_path_for_thread(operation, failure):
            return failure
        unsupported = unsupported_operation_error(
            dialect, operation, error.message, upstream_request_id=error.upstream_request_id
        )
        return CallFailure(unsupported, refused=True)
    try:
        return reader.read_result(key, body)
    except UnexpectedReplyError as unexpected:
        return invalid_response(
            f"Upstream operation {operation}: {unexpected}.",
            headers,
            credential=credential,
            cut_short=unexpected.cut_short,
        )


def _took_path_for_thread(operation: str, failure: CallFailure) -> bool:
    """Tell whether a server without the path `/threads/runs` took `runs` for the id of a thread.

    The request of createThreadAndRun names no thread, so no other refusal can be about one.
    """
    return (
        operation == "createThreadAndRun"
        and failure.status in {400, 404, 422}
        and (failure.error.argument == "thread_id" or _MISSING_THREAD.search(failure.error.message) is not None)
    )


def invalid_response(
    message: str, headers: Mapping[str, str], *, credential: str | None, cut_short: bool = False
) -> CallFailure:
    """Build the failure of a response that cannot be read.

    A response that was cut short may be complete the next time.
    """
    error = GatewayError(
        ErrorCode.UPSTREAM_INVALID_RESPONSE,
        safe_text(message, credential),
        retryable=cut_short,
        upstream_request_id=request_id_from_headers(headers, credential),
    )
    return CallFailure(error, transient=cut_short)
