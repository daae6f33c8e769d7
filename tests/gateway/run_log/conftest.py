"""The world of live runs that tests of this directory share."""

from collections.abc import AsyncIterator

import pytest

from tests.support.live_runs import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()
