"""A value that follows from a load: at once where it is here, and never at the load's expense."""

import asyncio
from typing import Any

import pytest

from schema.engine.deferred import Deferred, deferred_error, then


async def test_what_a_finished_load_gives_is_at_hand() -> None:
    load = asyncio.get_running_loop().create_future()
    load.set_result(20)
    assert then(load, lambda done: done.result() + 1) == 21


async def test_what_a_load_under_way_gives_is_awaited() -> None:
    load: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    later: Any = then(load, lambda done: done.result() + 1)
    assert type(later) is Deferred
    asyncio.get_running_loop().call_soon(load.set_result, 20)
    assert await later == 21
    assert await later == 21


async def test_a_load_that_failed_is_for_its_follower_to_judge() -> None:
    load: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    later: Any = then(load, lambda done: str(done.exception()))
    load.set_exception(ValueError("no"))
    assert await later == "no"
    with pytest.raises(ValueError, match="no"):
        await Deferred(load, asyncio.Future.result)


async def test_who_stops_waiting_takes_no_load_along() -> None:
    load: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait() -> int:
        return await Deferred(load, asyncio.Future.result)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert not load.done()


async def test_one_item_that_failed_raises_where_it_is_awaited() -> None:
    with pytest.raises(ValueError, match="this one"):
        await deferred_error(ValueError("this one"))
