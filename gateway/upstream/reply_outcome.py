"""Turns the status, headers and body of a response into a result or a failure. Pure."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from gateway.upstream.dialects import unsupported_operation_error
from gateway.upstream.error_replies import failure_from_error_reply, request_id_from_headers
from gateway.upstream.reply_readers import ReplyReader, UnexpectedReplyError
from gateway.upstream.retry import CallFailure
from gateway.upstream.safe_text import safe_text
from schema.contract.errors import ErrorCode, GatewayError

KeyT_contra = TypeVar("KeyT_contra", contravariant=True)
ValueT = TypeVar("ValueT")


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
    now_seconds: float,
) -> ValueT | CallFailure:
    """Read any response and return its result or its failure. Never raises."""
    status, headers, body = reply
    if not 200 <= status < 300:
        failure = failure_from_error_reply(status, headers, body, credential=credential, now_seconds=now_seconds)
        error = failure.error
        if error.code is not ErrorCode.UNSUPPORTED_BY_UPSTREAM:
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
