"""A real gateway on a loopback socket, and the demo as a user starts it."""

import functools
import gc
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any

import aiohttp
import pytest
from aiohttp import web

from gateway import compose
from gateway.compose import DEMO_KEY
from gateway.compose_demo import demo_upstream_url, running_demo_ledger
from gateway.config import DEFAULTS, Settings
from gateway.emulator.demo.told_runs import read_told_demo
from gateway.emulator.http.partitions import partition_from_key
from gateway.ledger.ownership import BorrowedLedger
from gateway.server.app import listening
from gateway.viewer.list_watch import ListWatch
from schema.operations.gateway_schema import GatewaySchema
from schema.root import build_schema
from tests.support.emulator import Emulator
from tests.support.graphql import GraphQLClient

ROOT = Path(__file__).parents[2]

URL_SECRET = "a secret of the tests, 0123456789abcdef"


@functools.cache
def shared_schema(**limits: Any) -> GatewaySchema:
    """Build a schema. Gateways with the same limits share it, since building it is most of the work of a start.

    It stays until the process ends, and is left out of garbage collections like that of a served gateway.
    """
    schema = build_schema(**limits)
    gc.freeze()
    return schema


class Gateway(GraphQLClient):
    """A running gateway: its base URL `url`, its application, and a client for it."""

    app: web.Application


@asynccontextmanager
async def running_gateway(upstream_url: str, **settings: Any) -> AsyncIterator[Gateway]:
    """Run a gateway over this upstream, by default for development, without a key of its own and without a cache.

    Most journeys write to the upstream directly, and a cache may notice that later. `authenticator`, `ledger`,
    `ownership` (a ledger without records) and `observer` are no settings: they replace what the settings choose.
    """
    replaced = {name: settings.pop(name) for name in ("authenticator", "ledger", "observer") if name in settings}
    if "ownership" in settings:
        replaced["ledger"] = BorrowedLedger(settings.pop("ownership"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "build_schema", shared_schema)
        defaults = {
            "upstream_url": upstream_url,
            "gateway_cache": False,
            "gateway_profile": "development",
            "gateway_url_secret": URL_SECRET,
        }
        app = compose.build_gateway_app(Settings(**{**defaults, **settings}), **replaced)
    async with listening(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        gateway = Gateway(url, session)
        gateway.app = app
        yield gateway


@asynccontextmanager
async def running_demo_gateway(emulator: Emulator, **settings: Any) -> AsyncIterator[Gateway]:
    """Run a gateway over an emulator with the demo's data, as `demo` does: with its key, and a ledger of its threads.

    The emulator has counted no call so far. Runs that wait are not read again in the background, so that only the calls
    of operations are counted.
    """
    options = {"upstream_api_key": DEMO_KEY, **settings}
    url = demo_upstream_url(emulator.root_url, options.get("upstream_dialect", DEFAULTS.upstream_dialect))
    demo_settings = Settings(upstream_url=url, **options)
    told = read_told_demo(emulator.store, partition_from_key(DEMO_KEY))
    async with (
        running_demo_ledger(demo_settings, None, told) as ledger,
        running_gateway(url, **options, ledger=ledger) as gateway,
    ):
        emulator.counts.reset()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ListWatch, "check_soon", lambda *_: None)
            yield gateway


def clean_environment(**variables: str) -> Mapping[str, str]:
    """Return this process's environment without the gateway's settings, so that a developer's own do not interfere."""
    setting_names = {name.upper() for name in Settings.model_fields}
    setting_names.discard("GATEWAY_ENGINE")  # by the option `--engine`
    environment = {name: value for name, value in os.environ.items() if name not in setting_names}
    return {
        **environment,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "GATEWAY_URL_SECRET": URL_SECRET,
        **variables,
    }


@contextmanager
def running_command(
    *arguments: str, log: Path = Path(os.devnull), program: str | None = None, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `threads-gateway` with these arguments. Yields the process and its output until it was ready.

    Its standard error goes to `log`. `program` is Python that runs in place of the command and calls it. The process is
    ended at the end.
    """
    command = ("-m", "gateway") if program is None else ("-c", program)
    with log.open("w") as errors, _process(*command, *arguments, errors=errors, **variables) as process:
        yield process, _read_until_ready(process)


@contextmanager
def _process(*command: str, errors: IO[str], **variables: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd="/",
        env=clean_environment(**variables),
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def url_in(text: str, label: str) -> str:
    """Return the base URL on the line that starts with a label."""
    found = re.search(rf"^ *{label} .*?(http://[^\s/]+)", text, re.MULTILINE)
    assert found, f"expected a line '{label} ... http://...', got: {text}"
    return found[1]


def _read_until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Press Ctrl+C"):
            return "".join(lines)
    raise AssertionError(f"the program ended with status {process.wait()} after printing: {''.join(lines)}")
