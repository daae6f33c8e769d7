"""Assembles the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import strawberry
from strawberry.extensions import AddValidationRules, MaxTokensLimiter, ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig

from schema.document_limits import depth_limit
from schema.extensions import PublicErrors
from schema.mutations import Mutation
from schema.nodes import Assistant, Message, MessageFile, Run, RunStep, Thread
from schema.queries import Query
from schema.scalars import SCALARS

if TYPE_CHECKING:
    from graphql import GraphQLError
    from strawberry.types import ExecutionContext

DOCUMENTS_KEPT = 256
"""How many parsed and validated documents are kept; each spares its operation some 5 to 13 ms."""


class GatewaySchema(strawberry.Schema):
    """The schema, whose errors are logged once and only if nobody expected them (`extensions.PublicErrors`)."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Log nothing here: what is unexpected has been logged where it is masked, under its id."""


def build_schema(*, max_depth: int = 30, max_tokens: int = 4_000) -> GatewaySchema:
    """Build the schema; an operation may nest `max_depth` fields and its document hold `max_tokens` tokens."""
    rule = depth_limit(max_depth)
    return GatewaySchema(
        query=Query,
        mutation=Mutation,
        types=[Thread, Message, MessageFile, Run, RunStep, Assistant],
        config=StrawberryConfig(scalar_map=SCALARS),
        extensions=[
            PublicErrors,
            lambda: MaxTokensLimiter(max_token_count=max_tokens),
            lambda: AddValidationRules([rule]),
            lambda: ParserCache(maxsize=DOCUMENTS_KEPT),
            lambda: ValidationCache(maxsize=DOCUMENTS_KEPT),
        ],
    )
