"""The command line: `threads-gateway demo`, `serve`, `emulator`, `schema`, `token`, `copy` and `ledger`.

Slow imports stand in the functions that need them, so that `--help` is fast.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING

from gateway import cli_copy, cli_ledger, cli_sign_in, config
from gateway.cli_parser import build_parser, print_faults
from gateway.config import BadSettingsError, Settings, load_settings
from gateway.event_loop import find_loop_factory
from gateway.process_memory import return_memory_until, tune_garbage_collector
from gateway.settings.setting_types import Profile
from gateway.telemetry.logs import configure_logging
from gateway.worker_link import WorkerLink

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.ledger.ownership import Ledger

_logger = logging.getLogger(__name__)

SWITCH_SECONDS = 0.001
"""How long the thread that reads long documents may keep the interpreter while the event loop waits for it.

The event loop waits so long after each of its system calls, and a request takes ten or so. Python's own interval is
five times as long.
"""


class CannotStartError(Exception):
    """A command cannot start; the message gives the reason in one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0 at the end, 1 if the command broke off, 2 if it refused to start.
    """
    arguments = build_parser().parse_args(argv)
    try:
        _check_schema_package()
        flags = {
            name: text for name, text in vars(arguments).items() if name in Settings.model_fields and text is not None
        }
        settings = load_settings(flags)
        is_development = _profile(arguments.command, settings) == "development"
        configure_logging(settings.gateway_log_level, settings.gateway_log_format, is_development=is_development)
        if arguments.command == "schema":
            return _print_schema()
        if arguments.command == "token":
            _print(cli_sign_in.make_trial_token(arguments, settings))
            return 0
        commands = {"copy": cli_copy.run_copy_command, "ledger": cli_ledger.run_ledger_command}
        if arguments.command in commands:
            return asyncio.run(commands[arguments.command](arguments, settings))
        with asyncio.Runner(loop_factory=find_loop_factory(arguments.command)) as runner:
            return runner.run(_run(arguments, settings, sys.argv[1:] if argv is None else argv))
    except BadSettingsError as error:
        return print_faults(error.faults)
    except CannotStartError as error:
        return print_faults([str(error)])
    except KeyboardInterrupt:
        # Interrupted before the signal handlers were set, when nothing runs yet, or in a command that has none.
        return 128 + signal.SIGINT


def _check_schema_package() -> None:
    foreign = foreign_schema_package()
    if foreign is not None:
        raise CannotStartError(
            f"expected the package 'schema' to be the gateway's own, but '{foreign}' also installs one over it: "
            "install the gateway into an environment of its own"
        )


def foreign_schema_package() -> str | None:
    """Find another distribution that also installs a package named `schema`.

    PyPI has a distribution of that name. pip overwrites our files with it without a warning, and `pip check` finds
    nothing wrong.

    Returns:
        The distribution's name, or None if `schema` is the gateway's own.
    """
    owners = {name for name in packages_distributions().get("schema", ()) if name != "threads-gateway"}
    return min(owners, default=None)


def _print_schema() -> int:
    from schema.root import build_schema  # noqa: PLC0415 - see the module's docstring

    _print(build_schema().as_str())
    return 0


async def _run(arguments: argparse.Namespace, settings: Settings, program_arguments: Sequence[str]) -> int:
    stop = _stop_event_on_signals()
    link = WorkerLink.from_environment()
    async with AsyncExitStack() as stack:
        if arguments.command == "demo":
            await _start_demo(stack, settings, arguments)
        elif arguments.command == "serve":
            await _start_gateway(stack, settings, link, program_arguments)
        else:
            await _start_emulator(stack, settings)
        if link is not None:
            link.stop_without_supervisor(stop)
            link.announce_ready()
        tune_garbage_collector()
        sys.setswitchinterval(SWITCH_SECONDS)
        await return_memory_until(stop)
        if link is None:
            _print("Stopping.")
    return 0


def _profile(command: str, settings: Settings) -> Profile:
    """Return the profile of a command. Only `serve` is for production unless told otherwise."""
    is_chosen = command == "serve" or "gateway_profile" in settings.model_fields_set
    return settings.gateway_profile if is_chosen else "development"


async def _start_demo(stack: AsyncExitStack, settings: Settings, arguments: argparse.Namespace) -> None:
    from pydantic import SecretStr  # noqa: PLC0415 - see the module's docstring

    from gateway.compose import demo_key  # noqa: PLC0415 - see the module's docstring
    from gateway.compose_demo import demo_upstream_url  # noqa: PLC0415 - see the module's docstring
    from gateway.identity.allowed_origins import LOCALHOST_PAGES  # noqa: PLC0415 - see the module's docstring

    sign_in = cli_sign_in.trial_settings(arguments, settings)
    emulator_url, emulator = await stack.enter_async_context(_emulator(settings))
    overrides = {
        "gateway_profile": _profile("demo", settings),
        "gateway_allowed_origins": settings.gateway_allowed_origins or LOCALHOST_PAGES,
        "upstream_url": demo_upstream_url(emulator_url, settings.upstream_dialect),
        "upstream_api_key": SecretStr(demo_key(settings)),
        "upstream_api_key_file": None,
        "upstream_anonymous": False,
        **sign_in,
    }
    demo_settings = settings.model_copy(update=overrides)
    ledger = await stack.enter_async_context(_demo_ledger(demo_settings, emulator))
    gateway_url = await stack.enter_async_context(_gateway(demo_settings, ledger))
    token = cli_sign_in.token_command(arguments) if sign_in else ""
    graphiql, authorization = "", f' -H "Authorization: Bearer $({token})"' if sign_in else ""
    if demo_settings.is_on("gateway_graphiql"):
        graphiql = f"\n  GraphiQL   {gateway_url}/graphql (its tab Chat starts a run and follows it)"
    _print(f"""\
Threads gateway, with demo data from the bundled emulator.
{config.describe_exposure(demo_settings)}
{graphiql}
  GraphQL    curl -s {gateway_url}/graphql -H 'Content-Type: application/json'{authorization} \
-d '{{"query": "{{ assistants(first: 3) {{ nodes {{ name model }} }} }}"}}'
  Emulator   {emulator_url}/ (its REST API: {emulator_url}/v1, key: {_shown_demo_key(settings)})

Press Ctrl+C to stop.""")


@asynccontextmanager
async def _demo_ledger(settings: Settings, emulator: web.Application) -> AsyncIterator[Ledger | None]:
    """Run the demo's ledger, whose threads are those of `DEMO_SUBJECT`, or of the key if nobody signs in."""
    from gateway.compose import read_demo  # noqa: PLC0415 - see the module's docstring
    from gateway.compose_demo import running_demo_ledger  # noqa: PLC0415 - see the module's docstring
    from gateway.identity.principal import Owner  # noqa: PLC0415 - see the module's docstring

    issuer = settings.gateway_jwt_issuer
    user = None if issuer is None else Owner(issuer, cli_sign_in.DEMO_SUBJECT)
    with _database_errors():
        async with running_demo_ledger(settings, user, read_demo(settings, emulator)) as ledger:
            yield ledger


@contextmanager
def _database_errors() -> Iterator[None]:
    """Let a command refuse to start in one line if the database cannot be used."""
    from gateway.ledger.ledger_store import CannotOpenError  # noqa: PLC0415 - see the module's docstring

    try:
        yield
    except CannotOpenError as error:
        raise CannotStartError(f"GATEWAY_DATABASE_URL: the database cannot be used: {error}") from None


async def _start_gateway(
    stack: AsyncExitStack, settings: Settings, link: WorkerLink | None, program_arguments: Sequence[str]
) -> None:
    if settings.upstream_url is None:
        raise BadSettingsError([config.describe_fault("upstream_url", None)])
    config.check_sign_in(settings, needs_database=True)
    config.check_chains_kept(settings)
    if link is not None:
        from gateway.cli_workers import to_worker_settings  # noqa: PLC0415 - see the module's docstring

        await stack.enter_async_context(_gateway(to_worker_settings(settings), link=link))
        return
    if settings.gateway_workers > 1:
        gateway_url = await stack.enter_async_context(_workers(settings, program_arguments))
    else:
        gateway_url = await stack.enter_async_context(_gateway(settings))
    graphiql = f"\n  GraphiQL   {gateway_url}/graphql" if settings.is_on("gateway_graphiql") else ""
    _print(f"""\
Threads gateway over {settings.upstream_url.partition("?")[0]} (dialect {settings.upstream_dialect}).
{config.describe_exposure(settings)}
{graphiql}
  GraphQL    {gateway_url}/graphql
  Health     {gateway_url}/healthz, {gateway_url}/readyz

Press Ctrl+C to stop.""")


async def _start_emulator(stack: AsyncExitStack, settings: Settings) -> None:
    emulator_url, _ = await stack.enter_async_context(_emulator(settings))
    _print(f"""\
Threads API emulator.

  Base URL   {emulator_url}/v1
  Demo key   {_shown_demo_key(settings)} (any other key starts with no data)
  Page       {emulator_url}/

Press Ctrl+C to stop.""")


def _shown_demo_key(settings: Settings) -> str:
    from gateway.compose import DEMO_KEY  # noqa: PLC0415 - see the module's docstring

    return "the first of EMULATOR_KEYS" if settings.emulator_keys else DEMO_KEY


@asynccontextmanager
async def _gateway(
    settings: Settings, ledger: Ledger | None = None, link: WorkerLink | None = None
) -> AsyncIterator[str]:
    from gateway.compose import DOCUMENT_FILES, build_gateway_app  # noqa: PLC0415 - see the module's docstring
    from gateway.identity.key_file import KeyFileError  # noqa: PLC0415 - see the module's docstring
    from gateway.server.documents.manifest import ManifestError  # noqa: PLC0415 - see the module's docstring
    from gateway.telemetry.tracing import TracingSettingsError  # noqa: PLC0415 - see the module's docstring

    try:
        with _database_errors():
            app = build_gateway_app(settings, ledger=ledger)
        files = app.get(DOCUMENT_FILES)
        on_hangup = _log_hangup if files is None else files.request_reload
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_hangup)
        with _database_errors():
            async with _metrics(settings, app, link), _serve_part("gateway", settings, app, link) as url:
                yield url
    except KeyFileError as error:
        raise CannotStartError(f"UPSTREAM_API_KEY_FILE: {error}") from None
    except ManifestError as error:
        raise CannotStartError(f"GATEWAY_DOCUMENTS: {error}") from None
    except TracingSettingsError as error:
        raise CannotStartError(str(error)) from None


@asynccontextmanager
async def _workers(settings: Settings, program_arguments: Sequence[str]) -> AsyncIterator[str]:
    """Run several workers behind one address."""
    from gateway.cli_workers import running_workers  # noqa: PLC0415 - see the module's docstring
    from gateway.supervisor import WorkerFailedError  # noqa: PLC0415 - see the module's docstring

    workers = running_workers(settings, program_arguments, _print)
    try:
        with _address_errors("GATEWAY", settings.gateway_host, settings.gateway_port):
            url = await workers.__aenter__()
    except WorkerFailedError as error:
        raise CannotStartError(str(error)) from None
    try:
        yield url
    finally:
        await workers.__aexit__(None, None, None)


@asynccontextmanager
async def _emulator(settings: Settings) -> AsyncIterator[tuple[str, web.Application]]:
    from gateway.compose import build_emulator_app  # noqa: PLC0415 - see the module's docstring
    from gateway.emulator.faults.fault_rules import FaultRuleError  # noqa: PLC0415 - see the module's docstring
    from gateway.emulator.state.database import DatabaseVersionError  # noqa: PLC0415 - see the module's docstring

    try:
        app = build_emulator_app(settings)
        async with _serve_part("emulator", settings, app) as url:
            yield url, app
    except (sqlite3.Error, DatabaseVersionError) as error:
        expected = config.describe_fault("emulator_database", settings.emulator_database)
        raise CannotStartError(f"{expected}, which cannot be used: {error}") from None
    except FaultRuleError as error:
        raise CannotStartError(
            f"{config.describe_fault('emulator_faults', settings.emulator_faults)}: {error}"
        ) from None


@asynccontextmanager
async def _metrics(settings: Settings, app: web.Application, link: WorkerLink | None) -> AsyncIterator[None]:
    """Serve the metrics of a gateway, if there are any."""
    if settings.gateway_metrics_port is None:
        yield
        return
    from gateway.telemetry.metrics_site import METRICS, serving_metrics  # noqa: PLC0415 - see the module's docstring

    host, port = settings.gateway_metrics_host, settings.gateway_metrics_port
    site = serving_metrics(app[METRICS], host, port, path=None if link is None else link.metrics_path)
    with _address_errors("GATEWAY_METRICS", host, port):
        url = await site.__aenter__()
    try:
        if link is None:
            _print(f"Metrics at {url}")
        yield
    finally:
        await site.__aexit__(None, None, None)


@contextmanager
def _address_errors(setting: str, host: str, port: int) -> Iterator[None]:
    """Let a command refuse to start in one line if it cannot listen on an address."""
    try:
        yield
    except OSError as error:
        flags = f"{setting}_HOST and {setting}_PORT"
        reason = error.strerror or str(error)
        raise CannotStartError(f"{flags}: expected an address to listen on, got {host}:{port}, {reason}") from None


@asynccontextmanager
async def _serve_part(
    part: str, settings: Settings, app: web.Application, link: WorkerLink | None = None
) -> AsyncIterator[str]:
    """Serve `part`, gateway or emulator, on its address; raises `CannotStartError` if the address cannot be used."""
    from gateway.server.app import listening  # noqa: PLC0415 - see the module's docstring
    from gateway.server.sockets.connection_limits import raise_file_limit  # noqa: PLC0415 - see the module's docstring

    raise_file_limit()
    host, port = getattr(settings, f"{part}_host"), getattr(settings, f"{part}_port")
    server = listening(
        app,
        host,
        port,
        drain_seconds=settings.gateway_drain_seconds,
        shutdown_seconds=settings.gateway_shutdown_seconds,
        sockets=None if link is None else link.open_sockets(),
    )
    with _address_errors(part.upper(), host, port):
        url = await server.__aenter__()
    try:
        yield url
    finally:
        await server.__aexit__(None, None, None)


def _log_hangup() -> None:
    """Say that SIGHUP does nothing here. Without a handler, it would end the process."""
    _logger.warning("SIGHUP was ignored: it reads the files of GATEWAY_DOCUMENTS again, which is not set")


def _stop_event_on_signals() -> asyncio.Event:
    """Make an event that the first SIGINT or SIGTERM sets. The second signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def on_signal() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in signals:
        loop.add_signal_handler(number, on_signal)
    return stop


def _print(text: str) -> None:
    """Print and flush, so that a program that reads from a pipe gets the text at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
