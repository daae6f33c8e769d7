"""Deferred values: computed at once if the load is done, and cancelled without the load."""

import asyncio
from typing import Any

import pytest

from schema.engine.deferred import Deferred, deferred_error, then


async def test_the_value_of_a_finished_load_is_computed_at_once() -> None:
    load = asyncio.get_running_loop().create_future()
    load.set_result(20)
    assert then(load, lambda done: done.result() + 1) == 21


async def test_the_value_of_a_load_in_flight_is_awaited() -> None:
    load: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    deferred: Any = then(load, lambda done: done.result() + 1)
    assert type(deferred) is Deferred
    asyncio.get_running_loop().call_soon(load.set_result, 20)
    assert await deferred == 21
    assert await deferred == 21


async def test_the_finish_function_handles_a_failed_load() -> None:
    load: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    deferred: Any = then(load, lambda done: str(done.exception()))
    load.set_exception(ValueError("no"))
    assert await deferred == "no"
    with pytest.raises(ValueError, match="no"):
        await Deferred(load, asyncio.Future.result)


async def test_cancelling_a_waiter_does_not_cancel_the_load() -> None:
    load: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait() -> int:
        return await Deferred(load, asyncio.Future.result)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert not load.done()


async def test_a_deferred_error_raises_when_it_is_awaited() -> None:
    with pytest.raises(ValueError, match="this one"):
        await deferred_error(ValueError("this one"))
