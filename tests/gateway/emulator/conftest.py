from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.http.api_endpoint import SERVICES
from gateway.emulator.state.store import Store
from tests.gateway.emulator.api_client import START, Api
from tests.support.emulator import add_files


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def api(
    aiohttp_client: Callable[[web.Application], Awaitable[TestClient[Any, Any]]],
    clock: ManualClock,
) -> Api:
    """An emulator with two files, `file-1` and `file-2`."""
    app = create_app(clock=clock)
    api = Api(await aiohttp_client(app), clock)
    add_files(app[SERVICES].store, api.key, "file-1", "file-2")
    return api


@pytest.fixture
async def demo(
    aiohttp_client: Callable[[web.Application], Awaitable[TestClient[Any, Any]]],
    clock: ManualClock,
) -> Api:
    """An emulator with the demo data in the partition of the key `demo`."""
    return Api(await aiohttp_client(create_app(clock=clock, seed_keys=["demo"])), clock, key="demo")


@pytest.fixture
def store() -> Any:
    opened = Store(":memory:")
    yield opened
    opened.close()
