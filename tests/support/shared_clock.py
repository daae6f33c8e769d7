"""One clock for the emulator and for the cache of the gateways over it."""

import functools

import pytest

from gateway import compose
from gateway.cache.shared_cache import SharedCache
from tests.support.emulator import Emulator


@pytest.fixture
def shared_clock(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """Let the cache use the clock of the test's `emulator`, which does not depend on the machine's load."""
    monkeypatch.setattr(compose, "SharedCache", functools.partial(SharedCache, now_seconds=emulator.clock.now))
