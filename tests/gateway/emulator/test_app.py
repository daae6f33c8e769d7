import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.http.api_endpoint import BodyLimits
from gateway.emulator.http.request_counts import COUNTS
from gateway.emulator.state.database import DatabaseVersionError
from tests.gateway.emulator.api_client import Api

Connect = Callable[[web.Application], Awaitable[TestClient[Any, Any]]]


async def test_data_and_runs_in_flight_survive_a_restart(
    aiohttp_client: Connect, tmp_path: Path, clock: ManualClock
) -> None:
    database = str(tmp_path / "emulator.db")
    first = Api(await aiohttp_client(create_app(database=database, clock=clock)), clock)
    path = await first.new_run()
    clock.advance(1.5)
    assert (await first.ok("GET", path))["status"] == "in_progress"
    await first.client.close()

    clock.advance(60)
    second = Api(await aiohttp_client(create_app(database=database, clock=clock)), clock)
    run = await second.ok("GET", path)
    assert run["status"] == "completed"
    assert run["completed_at"] < clock.now() - 50
    made = await second.new_thread("Again")
    assert made not in path


async def test_a_second_start_does_not_seed_twice(aiohttp_client: Connect, tmp_path: Path, clock: ManualClock) -> None:
    database = str(tmp_path / "emulator.db")
    for _ in range(2):
        app = create_app(database=database, clock=clock, seed_keys=["demo", "demo", "other"])
        api = Api(await aiohttp_client(app), clock, key="demo")
        assert len((await api.ok("GET", "/assistants"))["data"]) == 4
        assert len((await api.using(key="other").ok("GET", "/assistants"))["data"]) == 4
        assert (await api.using(key="third").ok("GET", "/assistants"))["data"] == []
        await api.client.close()


async def test_no_key_is_written_to_the_file(aiohttp_client: Connect, tmp_path: Path) -> None:
    file = tmp_path / "emulator.db"
    client = await aiohttp_client(create_app(database=str(file), seed_keys=["sk-very-secret"]))
    await client.close()
    assert b"sk-very-secret" not in file.read_bytes()


async def test_the_request_counts_can_be_read_in_the_process(aiohttp_client: Connect, clock: ManualClock) -> None:
    app = create_app(clock=clock)
    api = Api(await aiohttp_client(app), clock)
    await api.ok("GET", "/assistants")
    assert app[COUNTS].by_operation == {"listAssistants": 1}
    app[COUNTS].reset()
    assert app[COUNTS].total == 0


async def test_a_smaller_body_limit_is_enforced(aiohttp_client: Connect, clock: ManualClock) -> None:
    api = Api(await aiohttp_client(create_app(clock=clock, limits=BodyLimits(other_bytes=50))), clock)
    assert (await api.call("POST", "/threads", {"metadata": {"k": "v" * 60}})).status == 413


def test_a_file_of_another_version_prevents_the_start(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "old.db")
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(DatabaseVersionError):
        create_app(database=str(tmp_path / "old.db"))
