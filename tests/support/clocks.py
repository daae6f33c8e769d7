"""Clocks for tests with the emulator: stepping with each request, never waiting, or shared with the cache."""

import asyncio
import functools

import pytest

from gateway import compose
from gateway.cache.shared_cache import SharedCache
from gateway.emulator.clock import ManualClock
from tests.support.emulator import Emulator


class SteppingClock(ManualClock):
    """Advances by `step_seconds` each time it is read, so that a polling client sees a run end without waiting.

    The emulator reads it once per request.
    """

    def __init__(self, step_seconds: float) -> None:
        super().__init__()
        self._step_seconds = step_seconds

    def now(self) -> float:
        self.advance(self._step_seconds)
        return super().now()


class EagerClock(ManualClock):
    """Jumps to every instant that a task waits for, so that a stream never waits."""

    async def sleep_until(self, when: float) -> None:
        self.advance(max(0.0, when - self.now()))
        await asyncio.sleep(0)


class RestlessClock(SteppingClock):
    """Advances at each reading, and jumps to every instant that a task waits for: neither polls nor streams wait."""

    async def sleep_until(self, when: float) -> None:
        self.advance(max(0.0, when - ManualClock.now(self)))
        await asyncio.sleep(0)


@pytest.fixture
def shared_clock(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """Let the cache use the clock of the test's `emulator`, which does not depend on the machine's load."""
    monkeypatch.setattr(compose, "SharedCache", functools.partial(SharedCache, now_seconds=emulator.clock.now))
