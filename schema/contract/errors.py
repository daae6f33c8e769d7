"""`GatewayError`, the one error that may reach a caller unchanged. All other errors are masked.

It carries the facts that a program needs to act: a stable code, whether and when to retry, and the upstream's request
id for a support ticket. Adapters return it as a value, one for each key that failed. Resolvers raise it, and GraphQL
puts `extensions` beside the message and the path.
"""

from __future__ import annotations

import json
from enum import StrEnum

MAX_VALUE_LENGTH = 80


class ErrorCode(StrEnum):
    """Stable codes for `extensions.code`. A code is never renamed. New codes may be added."""

    BAD_USER_INPUT = "BAD_USER_INPUT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    ACTIVE_RUN = "ACTIVE_RUN"
    WRONG_STATE = "WRONG_STATE"
    RATE_LIMITED = "RATE_LIMITED"
    UNSUPPORTED = "UNSUPPORTED"
    UNSUPPORTED_BY_UPSTREAM = "UNSUPPORTED_BY_UPSTREAM"
    UPSTREAM_REFUSED = "UPSTREAM_REFUSED"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"
    UPSTREAM_UNREACHABLE = "UPSTREAM_UNREACHABLE"
    UPSTREAM_TIMEOUT = "UPSTREAM_TIMEOUT"
    UPSTREAM_INVALID_RESPONSE = "UPSTREAM_INVALID_RESPONSE"
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"
    SIGN_IN_UNAVAILABLE = "SIGN_IN_UNAVAILABLE"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
    PERSISTED_QUERY_HASH_MISMATCH = "PERSISTED_QUERY_HASH_MISMATCH"
    DOCUMENT_NOT_TRUSTED = "DOCUMENT_NOT_TRUSTED"
    TOO_EXPENSIVE = "TOO_EXPENSIVE"
    ANSWER_TOO_LARGE = "ANSWER_TOO_LARGE"
    QUERY_TIMEOUT = "QUERY_TIMEOUT"
    TOO_MANY_OPERATIONS = "TOO_MANY_OPERATIONS"
    GATEWAY_STOPPING = "GATEWAY_STOPPING"
    INTERNAL = "INTERNAL"


RETRYABLE_CODES = frozenset(
    {
        ErrorCode.RATE_LIMITED,
        ErrorCode.UPSTREAM_FAILED,
        ErrorCode.UPSTREAM_UNREACHABLE,
        ErrorCode.UPSTREAM_TIMEOUT,
        ErrorCode.LEDGER_UNAVAILABLE,
        ErrorCode.SIGN_IN_UNAVAILABLE,
        ErrorCode.QUERY_TIMEOUT,
        ErrorCode.TOO_MANY_OPERATIONS,
        ErrorCode.GATEWAY_STOPPING,
    }
)
"""Codes of failures that a retry of the same request may avoid."""


class GatewayError(Exception):
    """A failure that a caller may see: a safe message, a stable code, and whether a retry can help."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retryable: bool | None = None,
        retry_after_ms: int | None = None,
        upstream_request_id: str | None = None,
        argument: str | None = None,
    ) -> None:
        """Describe the failure. Without `retryable`, the code decides whether a retry can help."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = code in RETRYABLE_CODES if retryable is None else retryable
        self.retry_after_ms = retry_after_ms
        self.upstream_request_id = upstream_request_id
        self.argument = argument

    def with_argument(self, argument: str) -> GatewayError:
        """Return the same error, with the caller's own name for the refused argument."""
        return GatewayError(
            self.code,
            f"Argument '{argument}': {self.message}",
            retryable=self.retryable,
            retry_after_ms=self.retry_after_ms,
            upstream_request_id=self.upstream_request_id,
            argument=argument,
        )

    @property
    def extensions(self) -> dict[str, object]:
        """The machine-readable part, without the keys that have no value."""
        rendered: dict[str, object] = {"code": self.code.value, "retryable": self.retryable}
        if self.retry_after_ms is not None:
            rendered["retryAfterMs"] = self.retry_after_ms
        if self.upstream_request_id is not None:
            rendered["upstreamRequestId"] = self.upstream_request_id
        if self.argument is not None:
            rendered["argument"] = self.argument
        return rendered


class OwnKeyRefusedError(GatewayError):
    """The upstream refuses the gateway's own key. No caller can act on it, and none has to sign in again for it.

    The upstream's own words stay out, since they may hold a part of the key.
    """

    def __init__(self, *, upstream_request_id: str | None = None) -> None:
        super().__init__(
            ErrorCode.UPSTREAM_REFUSED,
            "The upstream refuses the gateway itself; its log says more.",
            upstream_request_id=upstream_request_id,
        )


class RecordsUnavailableError(GatewayError):
    """The database does not answer. All fields that need it are null for this one reason, so it is reported once."""


def format_value(value: object) -> str:
    """Format a value for an error message: as JSON if possible, printable, cut to `MAX_VALUE_LENGTH` characters."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    except (TypeError, ValueError):  # keys that JSON cannot represent, or a circular value
        text = repr(value)
    except RecursionError:
        text = "something too deeply nested"
    beginning = text[: MAX_VALUE_LENGTH + 1]
    printable = "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in beginning)
    return printable if len(printable) <= MAX_VALUE_LENGTH else printable[: MAX_VALUE_LENGTH - 3] + "..."


def bad_argument(argument: str, expected: str, got: object) -> GatewayError:
    """Make the error of a refused argument: its name, the expectation, and the value."""
    return GatewayError(
        ErrorCode.BAD_USER_INPUT,
        f"Argument '{argument}': expected {expected}, got {format_value(got)}.",
        argument=argument,
    )
