"""The part of the composition that concerns the ledger, and the ports of the users whose objects it knows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from gateway.cache.shared_cache import SharedCache
from gateway.config import Settings, check_chains_kept
from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.ledger_store import OwnedObject
from gateway.ledger.ownership import BorrowedLedger, Ledger, Ownership
from gateway.ledger.record_store import KeptTexts
from gateway.ledger.shared_locks import SharedLocks
from gateway.ledger.user_ports import UserPorts
from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_thread_locks import RedisLocks
from gateway.telemetry.metrics import GatewayMetrics
from gateway.upstream.responses.kept_records import KeptRecords

_logger = logging.getLogger(__name__)


def make_ledger(
    settings: Settings,
    upstream: UpstreamIdentity,
    on_refused: Callable[[OwnedObject], Coroutine[Any, Any, None]],
    metrics: GatewayMetrics | None = None,
) -> Ledger:
    """Make the ledger in the database of the settings, or none. `on_refused` is that of `StoredOwnership`.

    Raises:
        CannotOpenError: The URL of the database cannot be used.
        BadSettingsError: There is no database, and the upstream needs one.
    """
    check_chains_kept(settings)
    if settings.gateway_database_url is None:
        return BorrowedLedger(None)
    # Only a gateway with a database takes the time and the memory for SQLAlchemy.
    from gateway.ledger.database_ledger import DatabaseLedger  # noqa: PLC0415

    url = settings.gateway_database_url.get_secret_value()
    if settings.redis_url is not None and url.startswith("sqlite:"):
        _logger.warning(
            "GATEWAY_DATABASE_URL is a SQLite file beside REDIS_URL: gateways on other machines do not see it, and do "
            "not know the owners of the threads that are created here; use PostgreSQL for more than one machine"
        )
    return DatabaseLedger(
        url,
        upstream,
        deadline_seconds=settings.gateway_ledger_deadline_seconds,
        kept_texts=KeptTexts(settings.gateway_ledger_text),
        on_refused=on_refused,
        metrics=metrics,
    )


def make_kept_records(
    kept: KeptRecords | None, connection: RedisConnection | None, upstream: UpstreamIdentity
) -> KeptRecords | None:
    """Return what is kept of an upstream with responses, with the locks in Redis if there is one."""
    if kept is None or connection is None:
        return kept
    return replace(kept, locks=SharedLocks(RedisLocks(connection, upstream.lasting.digest), kept.locks))


def make_user_ports(
    settings: Settings, ownership: Ownership | None, upstream: UpstreamIdentity, shared_cache: SharedCache
) -> UserPorts | None:
    """Make the ports of signed-in users. None without a ledger."""
    if ownership is None:
        return None
    return UserPorts(
        ownership,
        upstream,
        shared_cache,
        may_override_runs=settings.gateway_run_overrides,
        sees_instructions=settings.gateway_show_instructions,
    )
