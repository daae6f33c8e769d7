"""Assembles the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import strawberry
from strawberry.extensions import MaxTokensLimiter
from strawberry.schema.config import StrawberryConfig

from schema.call_budget import CallBudget
from schema.document_cache import DocumentCache, KeptDocuments
from schema.document_limits import DocumentLimits, depth_limit, repetition_limit
from schema.event_rendering import Selections
from schema.execution import PlainFieldsExecutor, make_plain
from schema.extensions import PublicErrors
from schema.mutations import Mutation
from schema.nodes import Assistant, Message, MessageFile, Run, RunStep, Thread
from schema.queries import Query
from schema.scalars import SCALARS
from schema.subscriptions import Subscription

if TYPE_CHECKING:
    from graphql import GraphQLError, ValidationRule
    from strawberry.types import ExecutionContext

KEPT_CHARACTERS = 300_000
"""How long all documents together are that stay parsed and validated: about 200 usual ones, at most some 85 MB."""

MAX_REPETITIONS = 100
"""How often one name may be selected in one place; a large frontend's merged fragments repeat `id` some dozen times."""


@dataclass(frozen=True, slots=True)
class OperationLimits:
    """What every operation is held to, however it comes: its document, and the upstream calls predicted of it."""

    max_tokens: int
    max_upstream_calls: int
    rules: tuple[type[ValidationRule], ...]
    """Held before GraphQL's own."""


class GatewaySchema(strawberry.Schema):
    """The schema, whose errors are logged once and only if nobody expected them (`extensions.public_errors`)."""

    def __init__(self, limits: OperationLimits) -> None:
        """Assemble it; each schema keeps its own documents, since it is by its limits that they were found valid."""
        self.limits = limits
        self.documents = KeptDocuments(KEPT_CHARACTERS)
        self.selections: Selections = WeakValueDictionary()
        super().__init__(
            query=Query,
            mutation=Mutation,
            subscription=Subscription,
            types=[Thread, Message, MessageFile, Run, RunStep, Assistant],
            config=StrawberryConfig(scalar_map=SCALARS),
            execution_context_class=PlainFieldsExecutor,
            extensions=[
                PublicErrors,
                lambda: CallBudget(limits.max_upstream_calls),
                lambda: MaxTokensLimiter(max_token_count=limits.max_tokens),
                lambda: DocumentCache(self.documents),
                lambda: DocumentLimits(limits.rules),
            ],
        )
        make_plain(self._schema)

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Log nothing here: what is unexpected has been logged where it is masked, under its id."""


def build_schema(*, max_depth: int = 30, max_tokens: int = 4_000, max_upstream_calls: int = 1_000) -> GatewaySchema:
    """Build the schema.

    An operation may nest `max_depth` fields, its document hold `max_tokens` tokens, and it may be predicted to make
    `max_upstream_calls` upstream calls, a subscription for each of its events.
    """
    rules = (depth_limit(max_depth), repetition_limit(MAX_REPETITIONS))
    return GatewaySchema(OperationLimits(max_tokens, max_upstream_calls, rules))
