"""Limits of one request, and of long-lived connections and their subscriptions."""

from __future__ import annotations

from dataclasses import dataclass, field

from schema.contract.paging import PagingLimits
from schema.engine.answer_size import DEFAULT_MAX_BYTES


@dataclass(frozen=True, slots=True)
class SubscriptionLimits:
    """Limits of long-lived connections and their subscriptions.

    `max_sockets` counts WebSockets and event streams together. A connection of any kind is closed if its client reads
    nothing of what waits for it for `stalled_client_seconds`, and a WebSocket if its client does not answer a ping
    within one and a half times `heartbeat_seconds`.
    """

    max_sockets: int = 10_000
    max_uninitialised_sockets: int = 1_000
    socket_init_seconds: float = 3.0
    max_operations_per_socket: int = 100
    max_subscriptions_per_principal: int = 10_000
    heartbeat_seconds: float = 15.0
    stalled_client_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of one request: its body, one batch of its loads, one page of its connections, its response.

    `query_timeout_seconds` limits a query as a whole, and each event of a subscription. `subscriptions` holds the
    limits of long-lived connections.
    """

    max_body_bytes: int = 1 << 20
    body_timeout_seconds: float = 10.0
    load_deadline_seconds: float = 60.0
    query_timeout_seconds: float = 120.0
    max_answer_bytes: int = DEFAULT_MAX_BYTES
    paging: PagingLimits = field(default_factory=PagingLimits)
    subscriptions: SubscriptionLimits = field(default_factory=SubscriptionLimits)
