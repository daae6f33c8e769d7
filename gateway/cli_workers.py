"""The command `serve` with several workers: one port, and metrics added up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.config import BadSettingsError, Settings
from gateway.server.app import base_url
from gateway.server.sockets.listener import bind_sockets
from gateway.supervisor import Supervisor
from gateway.telemetry.metrics_site import serving_merged_metrics
from gateway.worker_link import WorkerLink

_logger = logging.getLogger(__name__)


def check_workers(settings: Settings) -> None:
    """Check that several processes can share what the settings name.

    Raises:
        BadSettingsError: They cannot.
    """
    url = settings.gateway_database_url
    if url is not None and url.get_secret_value().startswith("sqlite:"):
        expected = "expected 1 with a SQLite file as GATEWAY_DATABASE_URL, or PostgreSQL"
        raise BadSettingsError([f"GATEWAY_WORKERS or --workers: {expected}, got {settings.gateway_workers}"])


def to_worker_settings(settings: Settings) -> Settings:
    """Return the settings of one worker of several. Without Redis it caches nothing, since no other would know."""
    if settings.redis_url is not None or settings.gateway_workers == 1:
        return settings
    return settings.model_copy(update={"gateway_cache": False})


@asynccontextmanager
async def running_workers(
    settings: Settings, arguments: Sequence[str], print_line: Callable[[str], None]
) -> AsyncIterator[str]:
    """Run the workers of the settings until the end, and forward SIGHUP to them.

    Yields:
        The base URL of the gateway, once all workers serve.

    Raises:
        BadSettingsError: Several processes cannot share what the settings name.
        OSError: The address cannot be used.
        WorkerFailedError: A worker could not start.
    """
    check_workers(settings)
    if settings.redis_url is None:
        _logger.warning(
            "%d workers without REDIS_URL: they cache nothing, follow runs each for itself, and limit callers each for "
            "itself",
            settings.gateway_workers,
        )
    async with contextlib.AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="threads-gateway-")))
        sockets = await bind_sockets(settings.gateway_host, settings.gateway_port)
        for each in sockets:
            stack.callback(each.close)
        paths = [str(directory / f"metrics-{index}") for index in range(settings.gateway_workers)]
        has_metrics = settings.gateway_metrics_port is not None
        supervisor = Supervisor(
            arguments,
            settings.gateway_workers,
            lambda index, ready, lifeline: WorkerLink(
                [each.fileno() for each in sockets], ready, lifeline, paths[index] if has_metrics else None
            ),
            environment=_shared_secrets(settings),
        )
        await supervisor.start()
        stack.push_async_callback(supervisor.stop)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, supervisor.send_signal, signal.SIGHUP)
        if settings.gateway_metrics_port is not None:
            site = serving_merged_metrics(paths, settings.gateway_metrics_host, settings.gateway_metrics_port)
            print_line(f"Metrics at {await stack.enter_async_context(site)}")
        yield base_url(*sockets[0].getsockname()[:2])


def _shared_secrets(settings: Settings) -> Mapping[str, str]:
    """Return the variables of secrets that are random without a setting, and the same for all workers."""
    if settings.gateway_url_secret is not None or settings.redis_url is not None:
        return {}
    return {"GATEWAY_URL_SECRET": secrets.token_hex(32)}
