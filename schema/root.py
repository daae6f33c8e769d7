"""Assembles the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import strawberry
from strawberry.extensions import MaxTokensLimiter
from strawberry.schema.config import StrawberryConfig

from schema.call_budget import CallBudget
from schema.document_cache import DocumentCache, KeptDocuments
from schema.document_limits import DocumentLimits, depth_limit, repetition_limit
from schema.extensions import PublicErrors
from schema.mutations import Mutation
from schema.nodes import Assistant, Message, MessageFile, Run, RunStep, Thread
from schema.queries import Query
from schema.scalars import SCALARS

if TYPE_CHECKING:
    from graphql import GraphQLError
    from strawberry.types import ExecutionContext

KEPT_CHARACTERS = 300_000
"""How long all documents together are that stay parsed and validated: about 200 usual ones, at most some 85 MB."""

MAX_REPETITIONS = 100
"""How often one name may be selected in one place; a large frontend's merged fragments repeat `id` some dozen times."""


class GatewaySchema(strawberry.Schema):
    """The schema, whose errors are logged once and only if nobody expected them (`extensions.PublicErrors`)."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Log nothing here: what is unexpected has been logged where it is masked, under its id."""


def build_schema(*, max_depth: int = 30, max_tokens: int = 4_000, max_upstream_calls: int = 1_000) -> GatewaySchema:
    """Build the schema.

    An operation may nest `max_depth` fields, its document hold `max_tokens` tokens, and it may be predicted to make
    `max_upstream_calls` upstream calls.
    """
    rules = [depth_limit(max_depth), repetition_limit(MAX_REPETITIONS)]
    kept = KeptDocuments(KEPT_CHARACTERS)
    return GatewaySchema(
        query=Query,
        mutation=Mutation,
        types=[Thread, Message, MessageFile, Run, RunStep, Assistant],
        config=StrawberryConfig(scalar_map=SCALARS),
        extensions=[
            PublicErrors,
            lambda: CallBudget(max_upstream_calls),
            lambda: MaxTokensLimiter(max_token_count=max_tokens),
            lambda: DocumentCache(kept),
            lambda: DocumentLimits(rules),
        ],
    )
