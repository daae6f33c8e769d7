"""The simulated world of live runs that the tests of this directory share."""

from collections.abc import AsyncIterator

import pytest

from tests.support.run_log_processes import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()
