"""A wait ends with its event or after its time, and leaves no task behind."""

import asyncio

import pytest

from gateway.run_log.run_log_options import RunLogOptions, wait_for_event
from tests.support.run_log_processes import World, settle


async def test_waiting_ends_with_the_event(world: World) -> None:
    event = asyncio.Event()
    waiting = asyncio.ensure_future(wait_for_event(event, 10, world.sleep))
    await settle()
    assert not waiting.done()
    event.set()
    assert await waiting
    assert await wait_for_event(event, 10, world.sleep)


async def test_waiting_ends_after_its_time(world: World) -> None:
    assert not await world.during(wait_for_event(asyncio.Event(), 1, world.sleep))


async def test_a_cancelled_wait_leaves_no_task(world: World) -> None:
    waiting = asyncio.ensure_future(wait_for_event(asyncio.Event(), 10, world.sleep))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_the_defaults_fit_together() -> None:
    options = RunLogOptions()
    assert options.snapshot_every_entries < options.mirror.entries
    assert options.settle_seconds < options.follow_seconds < options.open_seconds
