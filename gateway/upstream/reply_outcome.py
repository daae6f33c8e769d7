"""From an upstream answer's status, headers and body to the value asked for, or to what kept it away. Pure."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from gateway.upstream.dialects import lacking
from gateway.upstream.error_replies import read_refusal, request_id
from gateway.upstream.reply_readers import ReplyReader, UnexpectedReplyError
from gateway.upstream.retry import CallFailure
from gateway.upstream.safe_text import safe_text
from schema.contract.errors import ErrorCode, GatewayError

KeyT_contra = TypeVar("KeyT_contra", contravariant=True)
ValueT = TypeVar("ValueT")


class UpstreamReply(NamedTuple):
    """An answer as it came; `headers` are looked up whatever their case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def read_reply(
    reader: ReplyReader[KeyT_contra, ValueT],
    key: KeyT_contra,
    reply: UpstreamReply,
    *,
    operation: str,
    dialect: str,
    credential: str | None,
    now_seconds: float,
) -> ValueT | CallFailure:
    """Read any answer: the value asked for, or the failure that it is. Never raises."""
    status, headers, body = reply
    if not 200 <= status < 300:
        failure = read_refusal(status, headers, body, credential=credential, now_seconds=now_seconds)
        error = failure.error
        if error.code is not ErrorCode.UNSUPPORTED_BY_UPSTREAM:
            return failure
        unsupported = lacking(dialect, operation, error.message, upstream_request_id=error.upstream_request_id)
        return CallFailure(unsupported, declined=True)
    try:
        return reader.read(key, body)
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
    """The failure of an answer that cannot be read; one that was cut short may well come whole the next time."""
    error = GatewayError(
        ErrorCode.UPSTREAM_INVALID_RESPONSE,
        safe_text(message, credential),
        retryable=cut_short,
        upstream_request_id=request_id(headers, credential),
    )
    return CallFailure(error, transient=cut_short)
