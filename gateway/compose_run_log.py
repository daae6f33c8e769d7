"""The part of the composition that concerns the logs of runs, in memory or in Redis."""

from __future__ import annotations

from gateway.config import Settings
from gateway.run_log.store.event_log import EventLog
from gateway.run_log.store.memory_log import MemoryLog
from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_log import RedisLog
from gateway.telemetry.metrics import GatewayMetrics


def make_redis_connection(settings: Settings, metrics: GatewayMetrics | None) -> RedisConnection | None:
    """Make the connection of the logs and of the leases on threads. None without Redis. The log closes it."""
    if settings.redis_url is None:
        return None
    return RedisConnection(settings.redis_url.get_secret_value(), cluster=settings.redis_cluster, metrics=metrics)


def make_event_log(settings: Settings, connection: RedisConnection | None) -> EventLog:
    """Make the logs of runs: in Redis, or in memory without a connection."""
    if connection is None:
        return MemoryLog(
            lease_seconds=settings.gateway_run_lease_seconds,
            max_entries=settings.gateway_run_log_entries,
            max_bytes=settings.gateway_run_log_bytes,
            retention_seconds=settings.gateway_run_log_seconds,
        )
    return RedisLog(
        connection,
        lease_seconds=settings.gateway_run_lease_seconds,
        max_entries=settings.gateway_run_log_entries,
        retention_seconds=settings.gateway_run_log_seconds,
    )
