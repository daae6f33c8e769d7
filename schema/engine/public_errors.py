"""Public errors: the errors that a caller may see. All others are masked and logged under an id."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Sequence

from graphql import GraphQLError, GraphQLSyntaxError

from schema.contract.errors import ErrorCode, GatewayError, RecordsUnavailableError

MAX_MESSAGE_LENGTH = 200
"""The longest message of GraphQL itself. Its messages quote names and values of the request whole."""

MAX_LOCATIONS = 10

_logger = logging.getLogger("schema.errors")


class OperationRefusedError(Exception):
    """An operation that does not start. `errors` hold the reasons, and are not public yet."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        """Refuse with at least one error."""
        super().__init__(errors[0].message)
        self.errors = list(errors)


class MaskedError(GatewayError):
    """The public replacement of an unexpected error. It carries only the id of the log entry."""

    def __init__(self, error_id: str) -> None:
        """Refer to the log entry `error_id`."""
        super().__init__(
            ErrorCode.INTERNAL, f"Something unexpected went wrong in the gateway; its log has it under {error_id}."
        )
        self.error_id = error_id

    @property
    def extensions(self) -> dict[str, object]:
        """The machine-readable part, with the id."""
        return {**super().extensions, "errorId": self.error_id}


def mask_error(error: Exception, activity: str) -> MaskedError:
    """Log an unexpected exception under a new id, and return the public error with that id."""
    error_id = secrets.token_hex(8)
    _logger.error("unexpected error %s, %s", error_id, activity, exc_info=error)
    return MaskedError(error_id)


def to_graphql_errors(error: Exception) -> list[GraphQLError]:
    """Convert the exception that ended an operation to GraphQL errors, which are not public yet."""
    if isinstance(error, OperationRefusedError):
        return error.errors
    return [error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)]


def to_public_errors(errors: Iterable[GraphQLError]) -> list[GraphQLError]:
    """Convert errors to public errors, each with a code.

    Errors that are meant for the caller pass: `GatewayError`, and GraphQL's own refusals of a document or its
    variables, cut to `MAX_MESSAGE_LENGTH`. All others are masked, and logged under an id that the caller and the
    operator can quote. None of them keeps the frames that it was raised through. That the database does not answer is
    said once, however many fields are null for it.
    """
    all_errors = list(errors)
    unavailable = [error for error in all_errors if isinstance(error.original_error, RecordsUnavailableError)]
    repeated = {id(error) for error in unavailable} - {id(min(unavailable, key=_by_path, default=None))}
    public = []
    for error in all_errors:
        if id(error) not in repeated:
            public.append(_mask(error) if is_unexpected(error) else _add_code(_cut(error)))
        _release_frames(error)
    return public


def _by_path(error: GraphQLError) -> tuple[int, str]:
    """Return a key by which errors are sorted whenever they were raised: the topmost first."""
    path = error.path or []
    return len(path), repr(path)


def _release_frames(error: BaseException | None) -> None:
    """Drop the tracebacks of an error and of those that led to it.

    A frame in them often refers to the error, through a document or a result, so that only the garbage collector could
    free it, and with it the whole request.
    """
    seen: set[int] = set()
    pending = [error]
    while pending:
        one = pending.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            pending += [one.__cause__, one.__context__, getattr(one, "original_error", None)]


def _mask(error: GraphQLError) -> GraphQLError:
    """Mask all of an error but its position and path."""
    masked = mask_error(error.original_error or error, f"at {error.path}")
    return GraphQLError(
        masked.message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=masked.extensions,
    )


def _cut(error: GraphQLError) -> GraphQLError:
    """Cut a message that may quote the request. The messages of `GatewayError` are short already."""
    if not isinstance(error.original_error, GatewayError) and len(error.message) > MAX_MESSAGE_LENGTH:
        error.message = error.message[: MAX_MESSAGE_LENGTH - 3] + "..."
    if error.locations is not None:
        error.locations = error.locations[:MAX_LOCATIONS]
    return error


def _add_code(error: GraphQLError) -> GraphQLError:
    if error.extensions is not None and "code" not in error.extensions:
        error.extensions["code"] = refusal_code(error)
        error.extensions["retryable"] = False
    return error


def is_unexpected(error: GraphQLError) -> bool:
    """Return whether an error is not meant for the caller."""
    return error.original_error is not None and not isinstance(error.original_error, (GatewayError, GraphQLError))


def refusal_code(error: GraphQLError) -> str:
    """Return the code of a refusal by GraphQL itself, as other servers name it."""
    if isinstance(error, GraphQLSyntaxError):
        return "GRAPHQL_PARSE_FAILED"
    if not error.path:
        return "GRAPHQL_VALIDATION_FAILED"
    refusal = error.original_error
    # A refused argument has a position in the document. A refused result (a count beyond 32 bits) has none.
    from_result = isinstance(refusal, GraphQLError) and not refusal.nodes
    return (ErrorCode.UPSTREAM_INVALID_RESPONSE if from_result else ErrorCode.BAD_USER_INPUT).value
