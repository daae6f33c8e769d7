"""Tests when the process collects its garbage fully and gives memory back."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway import process_memory
from gateway.process_memory import CollectionSchedule, read_resident_bytes, return_memory_until

MB = 1_000_000


def test_a_collection_is_due_after_the_process_has_grown() -> None:
    schedule = CollectionSchedule(100 * MB)
    assert not schedule.is_due(110 * MB, 0.0)
    assert schedule.is_due(111 * MB, 0.0)


def test_what_a_collection_leaves_is_looked_at_again_ever_later() -> None:
    """Memory that was in use during a collection may be free a moment later."""
    schedule, now, pauses = CollectionSchedule(100 * MB), 0.0, list[float]()
    for _ in range(9):
        schedule.on_collected(150 * MB, 0.001, now)
        pauses.append(next(pause for pause in range(1, 400) if schedule.is_due(150 * MB, now + pause)))
        now += pauses[-1]
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300, 300]


def test_a_process_that_grows_again_is_not_looked_at_late() -> None:
    schedule = CollectionSchedule(100 * MB)
    for _ in range(9):
        schedule.on_collected(150 * MB, 0.001, 0.0)
    assert not schedule.is_due(160 * MB, 100.0)
    assert schedule.is_due(166 * MB, 5.0)


def test_a_process_that_is_as_small_as_it_was_begins_anew() -> None:
    schedule = CollectionSchedule(100 * MB)
    schedule.on_collected(150 * MB, 0.001, 0.0)
    schedule.on_collected(105 * MB, 0.001, 10.0)
    assert not schedule.is_due(110 * MB, 15.0)
    assert schedule.is_due(116 * MB, 15.0)


def test_a_process_that_has_become_smaller_may_grow_less() -> None:
    schedule = CollectionSchedule(100 * MB)
    assert not schedule.is_due(80 * MB, 0.0)
    assert schedule.is_due(90 * MB, 0.0)


@pytest.mark.parametrize(("took_seconds", "pause_seconds"), [(0.001, 5.0), (0.1, 50.0)])
def test_collections_take_a_small_part_of_the_time(took_seconds: float, pause_seconds: float) -> None:
    schedule = CollectionSchedule(100 * MB)
    schedule.on_collected(100 * MB, took_seconds, 1_000.0)
    assert not schedule.is_due(200 * MB, 1_000.0 + pause_seconds - 0.1)
    assert schedule.is_due(200 * MB, 1_000.0 + pause_seconds + 0.1)


class Cycle:
    """An object that only the garbage collector frees."""

    alive = 0

    def __init__(self) -> None:
        self.itself = self
        Cycle.alive += 1

    def __del__(self) -> None:
        Cycle.alive -= 1


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
async def test_garbage_is_collected_once_the_process_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_memory, "MEMORY_RETURN_SECONDS", 0)
    stop, measured = asyncio.Event(), list[int]()
    Cycle()

    def resident_bytes() -> int:
        """Grow after three calls, and end after the next collection."""
        measured.append(Cycle.alive)
        if not Cycle.alive:
            stop.set()
        return (100 if len(measured) < 4 else 120) * MB

    await return_memory_until(stop, resident_bytes, lambda: 0.0)
    assert measured == [1, 1, 1, 1, 0]


def test_no_automatic_collection_looks_at_many_objects() -> None:
    """Runs in a process of its own, because the settings hold for a whole process."""
    program = """if True:
        import gc
        from gateway.process_memory import tune_garbage_collector
        tune_garbage_collector()
        most = [0, 0, 0]
        def on_collection(phase, info):
            if phase == "start":
                young = sum(len(gc.get_objects(number)) for number in range(info["generation"] + 1))
                most[info["generation"]] = max(most[info["generation"]], young)
        gc.callbacks.append(on_collection)
        kept = [[] for _ in range(400_000)]
        print(*most)
    """
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    youngest, middle, oldest = map(int, printed.split())
    assert 10_000 <= youngest < middle <= 55_000
    assert oldest == 0


def test_the_memory_of_this_process_is_known_where_the_system_tells_it() -> None:
    resident = read_resident_bytes()
    assert resident is None or resident > MB
