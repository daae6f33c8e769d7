"""Limits of one request, and of long-lived connections and their subscriptions."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.config import DEFAULTS
from schema.contract.cost import DEFAULT_MAX_ANSWER_BYTES
from schema.contract.paging import PagingLimits


@dataclass(frozen=True, slots=True)
class SubscriptionLimits:
    """Limits of long-lived connections and their subscriptions.

    `max_sockets` counts WebSockets and event streams together. A connection of any kind is closed if its client reads
    nothing of what waits for it for `stalled_client_seconds`, and a WebSocket if its client does not answer a ping
    within one and a half times `heartbeat_seconds`, or sends too many of its own for `ping_flood_seconds`.
    """

    max_sockets: int = DEFAULTS.gateway_max_sockets
    max_uninitialised_sockets: int = DEFAULTS.gateway_max_uninitialised_sockets
    socket_init_seconds: float = DEFAULTS.gateway_socket_init_seconds
    max_operations_per_socket: int = DEFAULTS.gateway_max_operations_per_socket
    max_subscriptions_per_principal: int = DEFAULTS.gateway_max_subscriptions_per_principal
    heartbeat_seconds: float = DEFAULTS.gateway_heartbeat_seconds
    stalled_client_seconds: float = DEFAULTS.gateway_stalled_client_seconds
    ping_flood_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of one request: its body, one batch of its loads, one page of its connections, its response.

    `query_timeout_seconds` limits a query as a whole, and each event of a subscription. `subscriptions` holds the
    limits of long-lived connections.
    """

    max_body_bytes: int = DEFAULTS.gateway_max_body_bytes
    body_timeout_seconds: float = DEFAULTS.gateway_body_timeout_seconds
    load_deadline_seconds: float = 60.0
    query_timeout_seconds: float = DEFAULTS.gateway_query_timeout_seconds
    max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES
    paging: PagingLimits = field(default_factory=PagingLimits)
    subscriptions: SubscriptionLimits = field(default_factory=SubscriptionLimits)
