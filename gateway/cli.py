"""The command line: `threads-gateway demo`, `serve`, `emulator`, `schema` and `token`.

Slow imports stand in the functions that need them, so that `--help` is fast.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import TYPE_CHECKING, NoReturn, cast

from gateway import cli_sign_in, config, setting_docs
from gateway.config import BadSettingsError, Settings, load_settings
from gateway.process_memory import return_memory_until, tune_garbage_collector
from gateway.settings.setting_types import Profile, ProfileSetting
from gateway.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.ledger.ownership import Ownership

EXIT_REFUSED = 2
"""Exit status of a command that refuses to start."""

SWITCH_SECONDS = 0.001
"""How long the thread that reads long documents may keep the interpreter while the event loop waits for it.

The event loop waits so long after each of its system calls, and a request takes ten or so. Python's own interval is
five times as long.
"""

COMMANDS = {
    "demo": "run the gateway over the bundled emulator with demo data: no key, no network",
    "serve": "run the gateway over the Threads API at UPSTREAM_URL",
    "emulator": "run the bundled emulator of the Threads API alone",
    "schema": "print the GraphQL schema in SDL",
    "token": "print a token for trying sign-in out, as for demo --sign-in",
}


class CannotStartError(Exception):
    """A command cannot start; the message gives the reason in one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0 at the end, 2 if the command refused to start.
    """
    arguments = _build_parser().parse_args(argv)
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
        return asyncio.run(_run(arguments, settings))
    except BadSettingsError as error:
        return _print_faults(error.faults)
    except CannotStartError as error:
        return _print_faults([str(error)])
    except KeyboardInterrupt:
        # Interrupted before the signal handlers were set: nothing runs yet.
        return 128 + signal.SIGINT


class _Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(_print_faults([f"{message} (see {self.prog} --help)"]))


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="threads-gateway",
        description="A GraphQL gateway over the Threads REST API.",
        epilog=_settings_epilog(config.Settings.model_fields),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    documented = {setting.name: setting for setting in setting_docs.documented_settings()}
    for command, summary in COMMANDS.items():
        names = config.COMMAND_SETTINGS[command]
        command_parser = commands.add_parser(
            command,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=_settings_epilog(names),
            allow_abbrev=False,
        )
        for name in names:
            setting = documented[name]
            if setting.flag is None:
                continue
            default = f", default {setting.default}" if setting.default else ""
            help_text = f"{setting.description} [{setting.variable}{default}]".replace("%", "%%")
            flags = [setting.flag]
            if command == "emulator" and name.startswith("emulator_"):
                flags.insert(0, setting.flag.replace("--emulator-", "--"))
            command_parser.add_argument(*flags, dest=name, metavar="VALUE", help=help_text)
        if command == "demo":
            cli_sign_in.add_demo_arguments(command_parser)
        elif command == "token":
            cli_sign_in.add_token_arguments(command_parser)
    return parser


def _settings_epilog(names: Iterable[str]) -> str:
    """Write the end of a help text: the sources of these settings, and the secrets among them."""
    name_set = set(names)
    secrets = [
        f"{setting.variable}: {setting.description}"
        for setting in setting_docs.documented_settings()
        if setting.name in name_set and config.is_secret(setting.name)
    ]
    flags = "Every flag has an environment variable, shown in brackets; the flag wins."
    return " ".join([flags, "Secrets have a variable only.", *secrets] if secrets else [flags])


def _print_faults(faults: Sequence[str]) -> int:
    for fault in faults:
        sys.stderr.write(f"threads-gateway: {fault}\n")
    return EXIT_REFUSED


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


def _version() -> str:
    try:
        return version("threads-gateway")
    except PackageNotFoundError:
        return "(not installed)"


def _print_schema() -> int:
    from schema.root import build_schema  # noqa: PLC0415 - see the module's docstring

    _print(build_schema().as_str())
    return 0


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    stop = _stop_event_on_signals()
    async with AsyncExitStack() as stack:
        if arguments.command == "demo":
            await _start_demo(stack, settings, arguments)
        elif arguments.command == "serve":
            await _start_gateway(stack, settings)
        else:
            await _start_emulator(stack, settings)
        tune_garbage_collector()
        sys.setswitchinterval(SWITCH_SECONDS)
        await return_memory_until(stop)
        _print("Stopping.")
    return 0


def _profile(command: str, settings: Settings) -> Profile:
    """Return the profile of a command. Only `serve` is for production unless told otherwise."""
    is_chosen = command == "serve" or "gateway_profile" in settings.model_fields_set
    return settings.gateway_profile if is_chosen else "development"


async def _start_demo(stack: AsyncExitStack, settings: Settings, arguments: argparse.Namespace) -> None:
    from pydantic import SecretStr  # noqa: PLC0415 - see the module's docstring

    from gateway.compose import demo_key  # noqa: PLC0415 - see the module's docstring
    from gateway.identity.allowed_origins import LOCALHOST_PAGES  # noqa: PLC0415 - see the module's docstring

    sign_in = cli_sign_in.trial_settings(arguments, settings)
    emulator_url = await stack.enter_async_context(_emulator(settings))
    overrides = {
        "gateway_profile": _profile("demo", settings),
        "gateway_allowed_origins": settings.gateway_allowed_origins or LOCALHOST_PAGES,
        "upstream_url": f"{emulator_url}/v1",
        "upstream_api_key": SecretStr(demo_key(settings)),
        "upstream_api_key_file": None,
        "upstream_anonymous": False,
        **sign_in,
    }
    demo_settings = settings.model_copy(update=overrides)
    ownership = await _open_demo_ledger(stack, demo_settings)
    gateway_url = await stack.enter_async_context(_gateway(demo_settings, ownership))
    graphiql, authorization = "", ""
    if sign_in:
        authorization = f' -H "Authorization: Bearer $({cli_sign_in.token_command(arguments)})"'
    if demo_settings.is_on("gateway_graphiql"):
        graphiql = f"\n  GraphiQL   {gateway_url}/graphql (its tab Chat starts a run and follows it)"
    _print(f"""\
Threads gateway, with demo data from the bundled emulator.
{_describe_exposure(demo_settings)}
{graphiql}
  GraphQL    curl -s {gateway_url}/graphql -H 'Content-Type: application/json'{authorization} \
-d '{{"query": "{{ assistants(first: 3) {{ nodes {{ name model }} }} }}"}}'
  Emulator   {emulator_url}/ (its REST API: {emulator_url}/v1, key: {_shown_demo_key(settings)})

Press Ctrl+C to stop.""")


async def _open_demo_ledger(stack: AsyncExitStack, settings: Settings) -> Ownership | None:
    """Open the ledger in which the demo's threads belong to `DEMO_SUBJECT`. None if nobody signs in."""
    from gateway.emulator.demo.seed import DEMO_THREADS  # noqa: PLC0415 - see the module's docstring
    from gateway.identity.principal import Owner  # noqa: PLC0415 - see the module's docstring
    from gateway.ledger.demo_ledger import running_demo_ledger  # noqa: PLC0415 - see the module's docstring

    if settings.gateway_jwt_issuer is None:
        return None
    owner = Owner(settings.gateway_jwt_issuer, cli_sign_in.DEMO_SUBJECT)
    deadline_seconds = settings.gateway_ledger_deadline_seconds
    return await stack.enter_async_context(running_demo_ledger(owner, DEMO_THREADS, deadline_seconds=deadline_seconds))


async def _start_gateway(stack: AsyncExitStack, settings: Settings) -> None:
    if settings.upstream_url is None:
        raise BadSettingsError([config.describe_fault("upstream_url", None).replace("got None", "got none")])
    config.check_sign_in(settings, needs_database=True)
    gateway_url = await stack.enter_async_context(_gateway(settings))
    graphiql = f"\n  GraphiQL   {gateway_url}/graphql" if settings.is_on("gateway_graphiql") else ""
    _print(f"""\
Threads gateway over {settings.upstream_url.partition("?")[0]} (dialect {settings.upstream_dialect}).
{_describe_exposure(settings)}
{graphiql}
  GraphQL    {gateway_url}/graphql
  Health     {gateway_url}/healthz, {gateway_url}/readyz

Press Ctrl+C to stop.""")


def _describe_exposure(settings: Settings) -> str:
    """Say in a line which profile holds, what it turns off, and which documents run."""
    names = {
        "gateway_graphiql": "GraphiQL",
        "gateway_introspection": "introspection",
        "gateway_suggestions": "suggestions",
        "gateway_get_queries": "queries by GET",
    }
    off = [text for name, text in names.items() if not settings.is_on(cast("ProfileSetting", name))]
    line = f"Profile {settings.gateway_profile}: {', '.join(off) + ' off' if off else 'nothing off'}."
    if settings.gateway_documents_only == "on":
        line += f" Only the documents of {settings.gateway_documents} run."
    return line


async def _start_emulator(stack: AsyncExitStack, settings: Settings) -> None:
    emulator_url = await stack.enter_async_context(_emulator(settings))
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
async def _gateway(settings: Settings, ownership: Ownership | None = None) -> AsyncIterator[str]:
    from gateway.compose import DOCUMENT_FILES, build_gateway_app  # noqa: PLC0415 - see the module's docstring
    from gateway.identity.key_file import KeyFileError  # noqa: PLC0415 - see the module's docstring
    from gateway.ledger.ledger_store import CannotOpenError  # noqa: PLC0415 - see the module's docstring
    from gateway.server.documents.manifest import ManifestError  # noqa: PLC0415 - see the module's docstring

    try:
        app = build_gateway_app(settings, ownership=ownership)
        if (files := app.get(DOCUMENT_FILES)) is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, files.request_reload)
        async with _serve_part("gateway", settings, app) as url:
            yield url
    except KeyFileError as error:
        raise CannotStartError(f"UPSTREAM_API_KEY_FILE: {error}") from None
    except ManifestError as error:
        raise CannotStartError(f"GATEWAY_DOCUMENTS: {error}") from None
    except CannotOpenError as error:
        raise CannotStartError(f"GATEWAY_DATABASE_URL: the database cannot be used: {error}") from None


@asynccontextmanager
async def _emulator(settings: Settings) -> AsyncIterator[str]:
    from gateway.compose import build_emulator_app  # noqa: PLC0415 - see the module's docstring
    from gateway.emulator.faults.fault_rules import FaultRuleError  # noqa: PLC0415 - see the module's docstring
    from gateway.emulator.state.database import DatabaseVersionError  # noqa: PLC0415 - see the module's docstring

    try:
        async with _serve_part("emulator", settings, build_emulator_app(settings)) as url:
            yield url
    except (sqlite3.Error, DatabaseVersionError) as error:
        expected = config.describe_fault("emulator_database", settings.emulator_database)
        raise CannotStartError(f"{expected}, which cannot be used: {error}") from None
    except FaultRuleError as error:
        raise CannotStartError(
            f"{config.describe_fault('emulator_faults', settings.emulator_faults)}: {error}"
        ) from None


@asynccontextmanager
async def _serve_part(part: str, settings: Settings, app: web.Application) -> AsyncIterator[str]:
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
    )
    try:
        url = await server.__aenter__()
    except OSError as error:
        flags = f"{part.upper()}_HOST and {part.upper()}_PORT"
        reason = error.strerror or str(error)
        raise CannotStartError(f"{flags}: expected an address to listen on, got {host}:{port}, {reason}") from None
    try:
        yield url
    finally:
        await server.__aexit__(None, None, None)


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
