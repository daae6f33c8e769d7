"""The schema of the gateway: its root types and the limits of its operations."""

from __future__ import annotations

from graphql import ValidationRule

from schema.contract import cost
from schema.engine.core_executor import Engine
from schema.graph.mutations import Mutation
from schema.graph.nodes import NODE_TYPES
from schema.graph.queries import Query
from schema.graph.subscriptions import Subscription
from schema.operations.document_limits import LiteralLimitRule, depth_limit, selection_limit
from schema.operations.gateway_schema import GatewaySchema, OperationLimits
from schema.operations.introspection import IntrospectionLimitRule, NoIntrospectionRule
from schema.operations.operation_budget import OperationBudget


def build_schema(
    *,
    max_depth: int = cost.DEFAULT_MAX_DEPTH,
    max_tokens: int = cost.DEFAULT_MAX_TOKENS,
    max_selections: int | None = None,
    max_upstream_calls: int = cost.DEFAULT_MAX_CALLS,
    max_objects: int = cost.DEFAULT_MAX_OBJECTS,
    allows_introspection: bool = True,
    hide_suggestions: bool = False,
    engine: Engine = "compiled",
) -> GatewaySchema:
    """Build the schema.

    An operation may nest `max_depth` fields, and its document may have `max_tokens` tokens, with `max_selections` in
    one object. It may be predicted to make `max_upstream_calls` upstream calls and to show `max_objects` objects; for a
    subscription those are the limits of each event. `engine` executes what is within the limits.
    """
    rules: list[type[ValidationRule]] = [
        depth_limit(max_depth),
        IntrospectionLimitRule if allows_introspection else NoIntrospectionRule,
        LiteralLimitRule,
    ]
    if max_selections is not None:
        rules.append(selection_limit(max_selections))
    budget = OperationBudget(max_upstream_calls, max_objects)
    return GatewaySchema(
        Query,
        Mutation,
        Subscription,
        types=[*NODE_TYPES.values()],
        limits=OperationLimits(max_tokens, budget, tuple(rules), hide_suggestions),
        engine=engine,
    )
