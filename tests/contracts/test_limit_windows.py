"""One body of tests over every storage of rate limits: taking, giving back, and what slides out of the window."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rate_limits.window_counts import count_used, seconds_until_fits
from tests.contracts.limit_windows import STORAGES, WINDOW_SECONDS, WindowWorld, memory_world, redis_world
from tests.support.full_runs import examples
from tests.support.valkey import Valkey

KEY = "calls/ann/10/60/second"


@pytest.fixture(params=STORAGES)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[WindowWorld]:
    if request.param == "memory":
        yield memory_world()
        return
    is_cluster = request.param == "cluster"
    url = request.getfixturevalue("valkey_cluster")[0].url if is_cluster else request.getfixturevalue("valkey").url
    async with redis_world(url, cluster=is_cluster) as made:
        yield made


async def take(world: WindowWorld, amount: int, limit: int = 10) -> bool:
    return await world.windows.acquire_sliding_window_entry(KEY, limit, WINDOW_SECONDS, amount)


async def give_back(world: WindowWorld, amount: int, age: float = 0.0) -> None:
    await world.windows.release_sliding_window_entry(KEY, WINDOW_SECONDS, amount, age)


async def counts(world: WindowWorld) -> tuple[int, int]:
    previous, _, current, _ = await world.windows.get_sliding_window(KEY, WINDOW_SECONDS)
    return previous, current


async def test_an_amount_is_taken_whole_or_not_at_all(world: WindowWorld) -> None:
    assert await counts(world) == (0, 0)
    assert [await take(world, 6), await take(world, 5), await take(world, 4), await take(world, 1)] == [
        True,
        False,
        True,
        False,
    ]
    assert not await take(world, 11)
    assert await counts(world) == (0, 10)


async def test_what_is_given_back_can_be_taken_again(world: WindowWorld) -> None:
    await take(world, 10)
    await give_back(world, 3)
    assert await counts(world) == (0, 7)
    assert [await take(world, 4), await take(world, 3)] == [False, True]


async def test_what_was_taken_in_the_window_before_is_given_back_there(world: WindowWorld) -> None:
    await take(world, 8)
    await world.let_pass(70)
    assert await take(world, 2)
    await give_back(world, 5, age=65)
    assert await counts(world) == (3, 2)
    await give_back(world, 1, age=1)
    assert await counts(world) == (3, 1)


async def test_what_has_left_both_windows_is_not_given_back(world: WindowWorld) -> None:
    await take(world, 8)
    await world.let_pass(130)
    await take(world, 2)
    await give_back(world, 8, age=130)
    assert await counts(world) == (0, 2)
    await world.let_pass(125)
    await give_back(world, 2, age=125)
    assert await counts(world) == (0, 0)


async def test_no_more_is_given_back_than_counts(world: WindowWorld) -> None:
    await take(world, 2)
    await give_back(world, 5)
    assert await counts(world) == (0, 0)


async def test_the_window_slides_and_ends(world: WindowWorld) -> None:
    await take(world, 10)
    await world.let_pass(59)
    assert not await take(world, 1)
    await world.let_pass(32)  # half of the window before still counts, rounded down
    assert await counts(world) == (10, 0)
    assert [await take(world, 6), await take(world, 1)] == [True, False]
    await world.let_pass(121)
    assert await counts(world) == (0, 0)


async def test_a_charge_may_exceed_the_limit_and_counts(world: WindowWorld) -> None:
    assert await take(world, 25, limit=1 << 50)
    assert not await take(world, 1)
    await world.let_pass(119)
    assert await take(world, 9)


async def test_callers_do_not_share_a_counter(world: WindowWorld) -> None:
    await take(world, 10)
    assert await world.windows.acquire_sliding_window_entry("calls/bob/10/60/second", 10, WINDOW_SECONDS, 10)
    await world.windows.clear_sliding_window(KEY, WINDOW_SECONDS)
    assert await take(world, 10)


@dataclass
class ModelWindow:
    """A plain model: what was taken, with its time, and the times at which windows begin."""

    now: float = 0.0
    began: float | None = None
    previous: int = 0
    current: int = 0

    def advance(self, seconds: float) -> None:
        self.now += seconds
        if self.began is not None and self.now - self.began >= 2 * WINDOW_SECONDS:
            self.began, self.previous, self.current = None, 0, 0
        elif self.began is not None and self.now - self.began >= WINDOW_SECONDS:
            self.began, self.previous, self.current = self.began + WINDOW_SECONDS, self.current, 0

    def charge(self, amount: int) -> None:
        self.began = self.now if self.began is None else self.began
        self.current += amount

    def give_back(self, amount: int, age: float) -> None:
        if self.began is None:
            return
        if self.now - age >= self.began:
            self.current -= min(amount, self.current)
        elif self.now - age >= self.began - WINDOW_SECONDS:
            self.previous -= min(amount, self.previous)


# Multiples of 7 never meet the end of a window, which the milliseconds of a real server would blur.
_STEPS = st.lists(
    st.tuples(st.sampled_from(["charge", "give back"]), st.integers(1, 9), st.integers(0, 5).map(lambda n: 7 * n)),
    max_size=8,
)


async def follow_model(world: WindowWorld, steps: list[tuple[str, int, int]]) -> None:
    model = ModelWindow()
    for kind, amount, seconds in steps:
        await world.let_pass(seconds)
        model.advance(seconds)
        if kind == "charge":
            await take(world, amount, limit=1 << 50)
            model.charge(amount)
        else:
            await give_back(world, amount, age=seconds + 3.5)
            model.give_back(amount, seconds + 3.5)
        assert await counts(world) == (model.previous, model.current)


@examples(200)
@given(_STEPS)
async def test_memory_counts_as_a_plain_model(steps: list[tuple[str, int, int]]) -> None:
    await follow_model(memory_world(), steps)


@pytest.mark.parametrize("seed", range(12))
async def test_redis_counts_as_a_plain_model(valkey: Valkey, seed: int) -> None:
    chance = random.Random(seed)
    steps = [
        (chance.choice(["charge", "charge", "give back"]), chance.randint(1, 9), 7 * chance.randint(0, 5))
        for _ in range(8)
    ]
    async with redis_world(valkey.url, cluster=False) as made:
        await follow_model(made, steps)


@examples(200)
@given(_STEPS, st.integers(1, 10))
async def test_an_amount_fits_after_the_time_that_is_told_and_not_before(
    steps: list[tuple[str, int, int]], amount: int
) -> None:
    world = memory_world()
    for _, charged, seconds in steps:
        await world.let_pass(seconds)
        await take(world, charged, limit=1 << 50)
    now = await world.windows.get_sliding_window(KEY, WINDOW_SECONDS)
    wait = seconds_until_fits(now, amount, 10, WINDOW_SECONDS)
    if wait > 0.002:
        await world.let_pass(wait - 0.001)
        before = await world.windows.get_sliding_window(KEY, WINDOW_SECONDS)
        assert count_used(before, WINDOW_SECONDS) + amount > 10
        await world.let_pass(0.001)
    await world.let_pass(0.001)
    assert await take(world, amount)
