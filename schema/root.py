"""The schema of the gateway: its root types and the limits of its operations."""

from __future__ import annotations

from schema.graph.mutations import Mutation
from schema.graph.nodes import NODE_TYPES
from schema.graph.queries import Query
from schema.graph.subscriptions import Subscription
from schema.operations.document_limits import LiteralLimitRule, depth_limit
from schema.operations.gateway_schema import GatewaySchema, OperationLimits
from schema.operations.introspection import IntrospectionLimitRule
from schema.operations.operation_budget import OperationBudget


def build_schema(
    *, max_depth: int = 30, max_tokens: int = 2_000, max_upstream_calls: int = 1_000, max_objects: int = 20_000
) -> GatewaySchema:
    """Build the schema.

    An operation may nest `max_depth` fields, and its document may have `max_tokens` tokens. It may be predicted to
    make `max_upstream_calls` upstream calls and to show `max_objects` objects; for a subscription those are the limits
    of each event.
    """
    rules = (depth_limit(max_depth), IntrospectionLimitRule, LiteralLimitRule)
    return GatewaySchema(
        Query,
        Mutation,
        Subscription,
        types=[*NODE_TYPES.values()],
        limits=OperationLimits(max_tokens, OperationBudget(max_upstream_calls, max_objects), rules),
    )
