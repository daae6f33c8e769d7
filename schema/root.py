"""The schema of the gateway: its root types and the limits of its operations."""

from __future__ import annotations

from schema.graph.assistant_node import Assistant
from schema.graph.message_node import Message, MessageFile
from schema.graph.mutations import Mutation
from schema.graph.queries import Query
from schema.graph.run_node import Run
from schema.graph.run_step_node import RunStep
from schema.graph.subscriptions import Subscription
from schema.graph.thread_node import Thread
from schema.operations.document_limits import depth_limit
from schema.operations.gateway_schema import GatewaySchema, OperationLimits


def build_schema(*, max_depth: int = 30, max_tokens: int = 4_000, max_upstream_calls: int = 1_000) -> GatewaySchema:
    """Build the schema.

    An operation may nest `max_depth` fields, and its document may have `max_tokens` tokens. It may be predicted to
    make `max_upstream_calls` upstream calls; for a subscription that is the limit of each event.
    """
    rules = (depth_limit(max_depth),)
    return GatewaySchema(
        Query,
        Mutation,
        Subscription,
        types=[Thread, Message, MessageFile, Run, RunStep, Assistant],
        limits=OperationLimits(max_tokens, max_upstream_calls, rules),
    )
