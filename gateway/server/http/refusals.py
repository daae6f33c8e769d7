"""Requests that get an error response instead of an execution."""

from __future__ import annotations

from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from gateway.identity.authenticator import audit_refused_credential
from gateway.identity.credentials import CredentialRefusedError
from gateway.media_types import EVENT_STREAM
from schema.contract.errors import ErrorCode, GatewayError, format_value
from schema.contract.rate_limits import RateLimitedError


class Refusal(Exception):  # noqa: N818 - a response, not a fault
    """An error response, raised: its HTTP status, its error and its additional headers."""

    def __init__(self, status: int, error: GatewayError, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = headers


def input_refusal(status: int, message: str, *headers: tuple[str, str]) -> Refusal:
    """Refuse a faulty request."""
    return Refusal(status, GatewayError(ErrorCode.BAD_USER_INPUT, message), headers)


def method_refusal(message: str, allow: str) -> Refusal:
    """Refuse a method. `allow` lists the allowed ones."""
    return input_refusal(405, message, ("Allow", allow))


def get_query_refusal() -> Refusal:
    """Refuse the text of a query by GET."""
    expected = "Expected a POST, or a GET with the id of a trusted document"
    return method_refusal(f"{expected}, got a query by GET. GATEWAY_GET_QUERIES allows it.", "POST")


def credential_refusal(refused: CredentialRefusedError) -> Refusal:
    """Refuse a caller whose credential is missing or refused, and write the audit line of it."""
    audit_refused_credential(refused)
    challenge = (("WWW-Authenticate", refused.challenge),) if refused.challenge is not None else ()
    return Refusal(refused.status, refused.error, challenge)


def stopping_error() -> GatewayError:
    """Make the error of an operation that was not started, because the gateway stops."""
    return GatewayError(ErrorCode.GATEWAY_STOPPING, "The gateway is stopping; ask again.")


def interrupted_error() -> GatewayError:
    """Make the error of an operation that was cancelled and may have written something."""
    message = "The gateway stopped before this was over; some of it may have been written."
    return GatewayError(ErrorCode.GATEWAY_STOPPING, message, retryable=False)


def stopping_refusal() -> Refusal:
    """Refuse a request while stopping. `Retry-After` lets a proxy try another gateway (see docker/nginx.conf)."""
    return Refusal(503, stopping_error(), (("Retry-After", "1"), ("Connection", "close")))


def interrupted_refusal() -> Refusal:
    """Report a cancelled operation. There is no `Retry-After`, so that no proxy sends it to another gateway."""
    return Refusal(503, interrupted_error(), (("Connection", "close"),))


def overload_refusal(message: str) -> Refusal:
    """Refuse one more long-lived connection, unfinished request, or document of a caller without a credential."""
    error = GatewayError(ErrorCode.RATE_LIMITED, message, retry_after_ms=1000)
    return Refusal(503, error, (("Retry-After", "1"), ("Connection", "close")))


def rate_limit_refusal(error: RateLimitedError) -> Refusal:
    """Refuse an operation of a caller that has used up a limit. `Retry-After` is in whole seconds, rounded up."""
    seconds = -(-(error.retry_after_ms or 0) // 1000)
    return Refusal(429, error, (("Retry-After", str(seconds)),))


def body_size_refusal(max_bytes: int) -> Refusal:
    """Refuse a body that is too large."""
    return input_refusal(413, f"Expected a body of at most {max_bytes} bytes, got more.", ("Connection", "close"))


def operation_type_refusal(method: str, error: InvalidOperationTypeError) -> Refusal:
    """Refuse an operation type that this method, or plain HTTP, does not allow."""
    if error.operation_type is OperationType.SUBSCRIPTION:
        return input_refusal(
            400,
            "Expected a query or a mutation over plain HTTP, got a subscription: send it over a WebSocket "
            f"(graphql-transport-ws), or with Accept: {EVENT_STREAM}.",
        )
    if method == "GET" and error.operation_type is OperationType.MUTATION:
        return method_refusal("Expected a query by GET, got a mutation: send it by POST.", "POST")
    return input_refusal(400, f"Expected a query or a mutation over plain HTTP, got a {error.operation_type.value}.")


def query_timeout_error(seconds: float) -> GatewayError:
    """Make the error of a query, or of an event of a subscription, that took too long as a whole."""
    message = f"Expected the operation to end within {seconds:g} s, but it did not; ask for less, or again later."
    return GatewayError(ErrorCode.QUERY_TIMEOUT, message)


def unknown_operation_error(name: str | None) -> GatewayError:
    """Make the error of a document without any operation, or without the one named."""
    if name is None:
        return GatewayError(
            ErrorCode.BAD_USER_INPUT, "Expected a document with an operation, got none.", argument="query"
        )
    expected = "Expected 'operationName' to name an operation of the document"
    return GatewayError(ErrorCode.BAD_USER_INPUT, f"{expected}, got {format_value(name)}.", argument="operationName")
