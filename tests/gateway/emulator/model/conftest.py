from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.model.model_client import ModelOptions
from gateway.emulator.model.model_runs import MODEL_RUNS, ModelRuns
from tests.gateway.emulator.api_client import Api
from tests.gateway.emulator.model.chat_server import ChatServer, running_chat_server

KEY = "sk-model-secret"


@pytest.fixture
async def model() -> AsyncIterator[ChatServer]:
    async with running_chat_server() as server:
        yield server


@pytest.fixture
async def app(model: ChatServer, clock: ManualClock) -> web.Application:
    """An empty emulator whose runs the model answers."""
    return create_app(clock=clock, model=ModelOptions(model.url, key=KEY, timeout_seconds=30, max_at_once=2))


@pytest.fixture
async def api(
    app: web.Application,
    aiohttp_client: Callable[[web.Application], Awaitable[TestClient[Any, Any]]],
    clock: ManualClock,
) -> Api:
    return Api(await aiohttp_client(app), clock)


@pytest.fixture
def model_runs(app: web.Application) -> ModelRuns:
    return app[MODEL_RUNS]
