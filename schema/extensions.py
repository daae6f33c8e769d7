"""What guards every operation: errors that tell a caller what it can use, and nothing else."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator

from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.extensions import MaskErrors

from schema.errors import ErrorCode, GatewayError

_log = logging.getLogger("schema.errors")


class PublicErrors(MaskErrors):
    """Lets through what was meant for the caller, and masks and logs the rest under an id that both sides can quote.

    Meant for the caller are `GatewayError`s and GraphQL's own refusals of a document or its variables; the latter
    get a code too: `GRAPHQL_PARSE_FAILED` or `GRAPHQL_VALIDATION_FAILED`.
    """

    def __init__(self) -> None:
        super().__init__(should_mask_error=is_unexpected)

    def on_operation(self) -> Iterator[None]:
        """Mask what execution found, and name what kept it from starting."""
        try:
            yield from super().on_operation()
        except GraphQLError as error:  # a document that cannot be parsed
            _name_refusals([error])
            raise

    def _process_errors(self, errors: list[GraphQLError]) -> list[GraphQLError]:
        return public_errors(errors)


def public_errors(errors: Iterable[GraphQLError]) -> list[GraphQLError]:
    """Make errors that a caller may see of any: masked and logged, or passed on, and each with a code."""
    shown = [_masked(error) if is_unexpected(error) else error for error in errors]
    _name_refusals(shown)
    return shown


def _masked(error: GraphQLError) -> GraphQLError:
    """Log an unexpected error and give one that only carries its log id."""
    error_id = secrets.token_hex(8)
    _log.error("unexpected error %s at %s", error_id, error.path, exc_info=error.original_error or error)
    return GraphQLError(
        f"Something unexpected went wrong in the gateway; its log has it under {error_id}.",
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={"code": ErrorCode.INTERNAL.value, "retryable": False, "errorId": error_id},
    )


def _name_refusals(errors: Iterable[GraphQLError]) -> None:
    for error in errors:
        if error.extensions is not None and "code" not in error.extensions:
            error.extensions["code"] = code_of_refusal(error)
            error.extensions["retryable"] = False


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
