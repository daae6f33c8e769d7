"""What callers may cost: one request, and all that stay to follow something."""

from __future__ import annotations

from dataclasses import dataclass, field

from schema.contract.paging import PagingLimits


@dataclass(frozen=True, slots=True)
class SubscriptionLimits:
    """How many may stay, and for how long one may say nothing.

    `max_sockets` counts WebSockets and event streams together. A client that takes nothing of what waits for it for
    `stalled_client_seconds` is let go; one that no longer answers to a WebSocket's ping after one and a half times
    `heartbeat_seconds`.
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
    """What one request may cost: its body, its document, one batch of its loads, one page of its connections.

    `subscriptions` are the limits of what stays.
    """

    max_body_bytes: int = 1 << 20
    body_timeout_seconds: float = 10.0
    load_deadline_seconds: float = 60.0
    paging: PagingLimits = field(default_factory=PagingLimits)
    subscriptions: SubscriptionLimits = field(default_factory=SubscriptionLimits)
