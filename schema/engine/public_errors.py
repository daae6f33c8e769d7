"""Errors that tell a caller what it can use, and nothing else."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Sequence

from graphql import GraphQLError, GraphQLSyntaxError

from schema.contract.errors import ErrorCode, GatewayError

_logger = logging.getLogger("schema.errors")


class OperationRefusedError(Exception):
    """An operation that is not begun; `errors` say why, not yet made public."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        """Hold at least one error."""
        super().__init__(errors[0].message)
        self.errors = list(errors)


class MaskedError(GatewayError):
    """An error that only carries the id under which the log has what happened."""

    def __init__(self, error_id: str) -> None:
        """Hold the id."""
        super().__init__(
            ErrorCode.INTERNAL, f"Something unexpected went wrong in the gateway; its log has it under {error_id}."
        )
        self.error_id = error_id

    @property
    def extensions(self) -> dict[str, object]:
        """Render the machine-readable part with the id."""
        return {**super().extensions, "errorId": self.error_id}


def mask_error(error: Exception, doing: str) -> MaskedError:
    """Log an exception that nobody expected, under an id, and make the error that may be shown."""
    error_id = secrets.token_hex(8)
    _logger.error("unexpected error %s, %s", error_id, doing, exc_info=error)
    return MaskedError(error_id)


def to_graphql_errors(error: Exception) -> list[GraphQLError]:
    """Write down whatever ended an operation as GraphQL's errors, not yet made public."""
    if isinstance(error, OperationRefusedError):
        return error.errors
    return [error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)]


def to_public_errors(errors: Iterable[GraphQLError]) -> list[GraphQLError]:
    """Make errors that a caller may see of any, each with a code.

    Let through is what was meant for the caller: `GatewayError`s, and GraphQL's own refusals of a document or its
    variables. The rest is masked, and logged under an id that both sides can quote.
    """
    return [_hidden(error) if is_unexpected(error) else _with_code(error) for error in errors]


def _hidden(error: GraphQLError) -> GraphQLError:
    """Mask an error, but for its place."""
    shown = mask_error(error.original_error or error, f"at {error.path}")
    return GraphQLError(
        shown.message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=shown.extensions,
    )


def _with_code(error: GraphQLError) -> GraphQLError:
    if error.extensions is not None and "code" not in error.extensions:
        error.extensions["code"] = code_of_refusal(error)
        error.extensions["retryable"] = False
    return error


def is_unexpected(error: GraphQLError) -> bool:
    """Tell whether an error was not meant for the caller."""
    return error.original_error is not None and not isinstance(error.original_error, (GatewayError, GraphQLError))


def code_of_refusal(error: GraphQLError) -> str:
    """Name GraphQL's own refusals as other servers do."""
    if isinstance(error, GraphQLSyntaxError):
        return "GRAPHQL_PARSE_FAILED"
    if not error.path:
        return "GRAPHQL_VALIDATION_FAILED"
    refusal = error.original_error
    # A refused argument is named by its place in the document; a refused result (a count beyond 32 bits) has none.
    from_result = isinstance(refusal, GraphQLError) and not refusal.nodes
    return (ErrorCode.UPSTREAM_INVALID_RESPONSE if from_result else ErrorCode.BAD_USER_INPUT).value
