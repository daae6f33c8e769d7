import asyncio
import time

import pytest

from gateway.emulator.clock import ManualClock, SystemClock


async def test_the_system_clock_returns_wall_time_and_does_not_wait_for_the_past() -> None:
    clock = SystemClock()
    before = time.time()
    assert before <= clock.now() <= time.time()
    await clock.sleep_until(before)


def test_the_system_clock_does_not_go_back_when_the_wall_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, shown = SystemClock(), iter([100.0, 90.0, 101.0])
    monkeypatch.setattr(time, "time", lambda: next(shown))
    assert [clock.now() for _ in range(3)] == [100.0, 100.0, 101.0]


async def test_the_system_clock_waits_until_its_own_time_has_come() -> None:
    clock = SystemClock()
    when = clock.now() + 0.001
    await clock.sleep_until(when)
    assert clock.now() >= when


async def test_a_manual_clock_wakes_sleepers_whose_time_has_come_earliest_first() -> None:
    clock = ManualClock(100.0)
    woken: list[float] = []

    async def sleeper(when: float) -> None:
        await clock.sleep_until(when)
        woken.append(when)

    tasks = [asyncio.create_task(sleeper(when)) for when in (103.0, 101.0, 110.0, 100.0)]
    await asyncio.sleep(0)
    clock.advance(5)
    await asyncio.gather(tasks[0], tasks[1], tasks[3])
    assert clock.now() == 105.0
    assert woken == [100.0, 101.0, 103.0]
    tasks[2].cancel()
    clock.advance(5)
    await asyncio.gather(tasks[2], return_exceptions=True)
    assert woken == [100.0, 101.0, 103.0]


def test_a_manual_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="at least 0, got -1"):
        ManualClock().advance(-1)
