"""Requests that are answered with an error in place of an execution."""

from __future__ import annotations

from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from gateway.server.http.media_types import EVENT_STREAM
from schema.contract.errors import ErrorCode, GatewayError, format_value


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of ours
    """The HTTP status, the error and the further headers of an answer."""

    def __init__(self, status: int, error: GatewayError, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = headers


def input_refusal(status: int, message: str, *headers: tuple[str, str]) -> Refusal:
    """Refuse what the caller should not have sent."""
    return Refusal(status, GatewayError(ErrorCode.BAD_USER_INPUT, message), headers)


def method_refusal(message: str, allow: str) -> Refusal:
    """Refuse a method; `allow` lists those that are taken."""
    return input_refusal(405, message, ("Allow", allow))


def stopping_error() -> GatewayError:
    """The error of an operation that was not begun."""
    return GatewayError(ErrorCode.GATEWAY_STOPPING, "The gateway is stopping; ask again.")


def interrupted_error() -> GatewayError:
    """The error of an operation that may have written something before it was ended."""
    message = "The gateway stopped before this was over; some of it may have been written."
    return GatewayError(ErrorCode.GATEWAY_STOPPING, message, retryable=False)


def stopping_refusal() -> Refusal:
    """Refuse anything new; a proxy knows by Retry-After that it may ask another gateway (docker/nginx.conf)."""
    return Refusal(503, stopping_error(), (("Retry-After", "1"), ("Connection", "close")))


def interrupted_refusal() -> Refusal:
    """Say that an operation was ended, without Retry-After: it must not be sent to another gateway."""
    return Refusal(503, interrupted_error(), (("Connection", "close"),))


def overload_refusal(message: str) -> Refusal:
    """Refuse one more that would stay."""
    error = GatewayError(ErrorCode.RATE_LIMITED, message, retry_after_ms=1000)
    return Refusal(503, error, (("Retry-After", "1"), ("Connection", "close")))


def body_size_refusal(most: int) -> Refusal:
    """Refuse a body."""
    return input_refusal(413, f"Expected a body of at most {most} bytes, got more.", ("Connection", "close"))


def operation_type_refusal(method: str, error: InvalidOperationTypeError) -> Refusal:
    """Refuse a kind of operation that does not go by this method, or not by a plain request at all."""
    if error.operation_type is OperationType.SUBSCRIPTION:
        return input_refusal(
            400,
            "Expected a query or a mutation over plain HTTP, got a subscription: send it over a WebSocket "
            f"(graphql-transport-ws), or with Accept: {EVENT_STREAM}.",
        )
    if method == "GET" and error.operation_type is OperationType.MUTATION:
        return method_refusal("Expected a query by GET, got a mutation: send it by POST.", "POST")
    return input_refusal(400, f"Expected a query or a mutation over plain HTTP, got a {error.operation_type.value}.")


def unknown_operation_error(name: str | None) -> GatewayError:
    """The error of a document without an operation, or without the one that was named."""
    if name is None:
        return GatewayError(
            ErrorCode.BAD_USER_INPUT, "Expected a document with an operation, got none.", argument="query"
        )
    expected = "Expected 'operationName' to name an operation of the document"
    return GatewayError(ErrorCode.BAD_USER_INPUT, f"{expected}, got {format_value(name)}.", argument="operationName")
