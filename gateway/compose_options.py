"""The options of the gateway's parts, made from its settings. Pure, but for the file of the gateway's own key."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from gateway.cache.shared_cache import CacheOptions
from gateway.config import Settings
from gateway.identity.key_file import KeyFile
from gateway.identity.principal import UpstreamIdentity
from gateway.rate_limits.limit_kinds import RateLimitOptions
from gateway.rate_limits.shared_counters import RedisOptions
from gateway.run_log.run_log_options import RunLogOptions
from gateway.server.http.request_limits import RequestLimits, SubscriptionLimits
from gateway.server.sockets.connection_limits import FittedCounts, fit_file_limit, read_file_limit
from gateway.upstream.connection_pool import MAX_TRANSFERS
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.paging import PagingLimits

_logger = logging.getLogger(__name__)


def upstream_options(settings: Settings) -> UpstreamOptions:
    """Make the options of the upstream's client.

    Raises:
        ValueError: The settings name no upstream.
    """
    if settings.upstream_url is None:
        raise ValueError("expected settings with an upstream_url, got None")
    return UpstreamOptions(
        base_url=settings.upstream_url,
        dialect_name=settings.upstream_dialect,
        api_version=settings.upstream_api_version,
        organization=settings.upstream_organization,
        project=settings.upstream_project,
        pool_size=settings.upstream_pool_size,
        connect_timeout_seconds=settings.upstream_connect_timeout_seconds,
        timeout_seconds=settings.upstream_timeout_seconds,
        max_concurrency_per_operation=settings.upstream_concurrency,
        max_concurrency_per_principal=settings.upstream_concurrency_per_principal,
        max_response_bytes=settings.upstream_max_response_bytes,
        max_streams=settings.upstream_max_streams,
        stream_idle_seconds=settings.upstream_stream_idle_seconds,
    )


def upstream_identity(options: UpstreamOptions) -> UpstreamIdentity:
    """Make the identity of an upstream."""
    return UpstreamIdentity(
        options.base_url, options.organization, options.project, options.dialect_name, options.api_version
    )


def own_credential(settings: Settings) -> Callable[[], str | None]:
    """Make the function that returns the gateway's own credential, which is asked whenever calls are bound."""
    if settings.upstream_api_key_file is not None:
        return KeyFile(Path(settings.upstream_api_key_file)).read_credential
    key = settings.upstream_api_key
    credential = f"Bearer {key.get_secret_value()}" if key else None
    return lambda: credential


def rate_limit_options(settings: Settings) -> RateLimitOptions:
    """Make the options of the rate limits."""
    return RateLimitOptions(
        calls=settings.gateway_rate_limit_calls,
        operations=settings.gateway_rate_limit_operations,
        runs=settings.gateway_rate_limit_runs,
        window_seconds=settings.gateway_rate_limit_seconds,
    )


def redis_options(settings: Settings) -> RedisOptions | None:
    """Make the options of the Redis that all gateways share, if there is one."""
    if settings.redis_url is None:
        return None
    url = settings.redis_url.get_secret_value()
    return RedisOptions(url, is_cluster=settings.redis_cluster, deadline_seconds=settings.redis_deadline_seconds)


def cache_options(settings: Settings) -> CacheOptions:
    """Make the options of the cache."""
    return CacheOptions(
        enabled=settings.gateway_cache,
        memory_bytes=settings.gateway_cache_bytes,
        redis_url=settings.redis_url.get_secret_value() if settings.redis_url else None,
        redis_cluster=settings.redis_cluster,
        redis_deadline_seconds=settings.redis_deadline_seconds,
    )


def run_log_options(settings: Settings) -> RunLogOptions:
    """Make the options of the run log from the settings."""
    defaults = RunLogOptions()
    return RunLogOptions(
        polls_per_second=settings.gateway_run_polls_per_second,
        # Even the shortest log must hold a snapshot.
        snapshot_every_entries=min(defaults.snapshot_every_entries, settings.gateway_run_log_entries // 4),
        follow_seconds=min(defaults.follow_seconds, settings.gateway_run_lease_seconds / 3),
    )


def request_limits(settings: Settings, max_sockets: int) -> RequestLimits:
    """Make the limits of requests and subscriptions."""
    return RequestLimits(
        max_body_bytes=settings.gateway_max_body_bytes,
        body_timeout_seconds=settings.gateway_body_timeout_seconds,
        # One load may make several calls in a row, each with its own deadline.
        load_deadline_seconds=2 * settings.upstream_timeout_seconds,
        query_timeout_seconds=settings.gateway_query_timeout_seconds,
        max_answer_bytes=settings.gateway_max_answer_bytes,
        paging=PagingLimits(settings.gateway_max_page_size),
        subscriptions=SubscriptionLimits(
            max_sockets=max_sockets,
            max_uninitialised_sockets=settings.gateway_max_uninitialised_sockets,
            socket_init_seconds=settings.gateway_socket_init_seconds,
            max_operations_per_socket=settings.gateway_max_operations_per_socket,
            max_subscriptions_per_principal=settings.gateway_max_subscriptions_per_principal,
            heartbeat_seconds=settings.gateway_heartbeat_seconds,
            stalled_client_seconds=settings.gateway_stalled_client_seconds,
        ),
    )


def fit_connections(settings: Settings) -> FittedCounts:
    """Fit the connections into the files that this process may open, and log a warning if that lowers a setting."""
    max_sockets, max_files = settings.gateway_max_sockets, read_file_limit()
    upstream_connections = settings.upstream_pool_size + settings.upstream_max_streams + MAX_TRANSFERS
    counts = fit_file_limit(max_sockets, upstream_connections, max_files)
    if counts.max_sockets < max_sockets:
        _logger.warning(
            "GATEWAY_MAX_SOCKETS is %d, but only %d fit into the %d files that this process may open, among %d "
            "connections in all: raise its limit of open files (ulimit -n)",
            max_sockets,
            counts.max_sockets,
            max_files,
            counts.max_connections,
        )
    return counts
