import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from gateway.cache.cache_keys import to_cache_key
from gateway.cache.response_cache import ResponseRecorder
from gateway.cache.response_tier import ResponseTier
from gateway.cache.shared_cache import CacheOptions, SharedCache
from schema.contract.bodies import ThreadUpdateBody
from schema.contract.cost import Cost
from schema.contract.keys import AssistantKey, RunKey, ThreadKey
from schema.contract.paging import Window
from schema.contract.ports import MessagePageKey, RunPageKey, RunStepPageKey
from schema.contract.wire import Page
from tests.gateway.cache.asking_again import question
from tests.gateway.cache.processes import Clock, processes
from tests.gateway.cache.upstream import ACTIVE, ASSISTANT, ENDED, OPEN, THREAD, T, Upstream, cached, read
from tests.support.fake_threads_api import Key
from tests.support.valkey import Valkey, running_valkey
from tests.support.wire_samples import assistant, run, run_step

ASKED, DATA = question(), b'{"a":1}'
STEADY: tuple[Key, ...] = (THREAD, ENDED, ASSISTANT)
"""What is kept for a minute at least."""


@pytest.fixture(params=["memory", "redis"])
async def two(request: pytest.FixtureRequest) -> AsyncIterator[list[SharedCache]]:
    """The caches of two processes; of one, where there is no Redis."""
    if request.param == "memory":
        async with processes(1, None) as (shared,):
            yield [shared, shared]
        return
    async with processes(2, request.getfixturevalue("valkey").url) as two:
        yield two


async def keep(upstream: Upstream, shared: SharedCache, *keys: Key, scope: str = "ann") -> None:
    """Keep the data of an operation that reads these keys."""
    api = cached(upstream, shared, scope)
    for key in keys:
        await read(api, key)
    api.store_response(ASKED, DATA)
    await shared.settled()


async def found(upstream: Upstream, shared: SharedCache, scope: str = "ann") -> bytes | None:
    return await cached(upstream, shared, scope).find_response(ASKED)


async def update(upstream: Upstream, shared: SharedCache, scope: str = "ann") -> None:
    await cached(upstream, shared, scope).update_thread(THREAD, ThreadUpdateBody(metadata={"seen": "yes"}))


async def test_it_is_found_without_a_call_and_counts_what_it_saved(two: list[SharedCache]) -> None:
    upstream = Upstream()
    await keep(upstream, two[0], *STEADY)
    upstream.calls.clear()
    api = cached(upstream, two[0])
    for times in (1, 2):
        assert await api.find_response(ASKED) == DATA
        assert api.cost.cache_hits == times * len(STEADY)
    assert upstream.calls == []


async def test_a_write_in_any_process_ends_it(two: list[SharedCache]) -> None:
    upstream = Upstream()
    await keep(upstream, two[0], *STEADY)
    await update(upstream, two[1])
    assert await found(upstream, two[0]) is None
    assert len(two[0].repeats) == 0


async def test_a_write_of_something_else_or_of_somebody_else_leaves_it(two: list[SharedCache]) -> None:
    upstream = Upstream()
    await keep(upstream, two[0], *STEADY)
    await cached(upstream, two[1]).update_thread(ThreadKey("thread_2"), ThreadUpdateBody(metadata={}))
    await update(upstream, two[1], "bob")
    assert await found(upstream, two[0]) == DATA
    assert await found(upstream, two[0], "bob") is None


async def test_what_was_read_before_a_write_of_the_same_operations_time_is_not_given(two: list[SharedCache]) -> None:
    upstream = Upstream()
    api = cached(upstream, two[0])
    await read(api, THREAD)
    await update(upstream, two[1])
    await read(api, ENDED)
    api.store_response(ASKED, DATA)
    assert await found(upstream, two[0]) is None


async def test_two_versions_of_one_tag_are_not_kept_together() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        api = cached(upstream, shared)
        await read(api, RunPageKey(T, Window(1, "asc")))
        await shared.store.end_write("ann", [tag for tag in _tags(shared) if tag.name == "runs"])
        await read(api, RunKey(T, "run_9"))
        api.store_response(ASKED, DATA)
        assert len(shared.repeats) == 0


def _tags(shared: SharedCache) -> Any:
    return [tag for _, tag in shared.store._versions]  # type: ignore[attr-defined]


async def test_it_lives_as_long_as_the_first_of_its_parts() -> None:
    upstream, clock = Upstream(), Clock()
    async with processes(1, None, clock) as (shared,):
        await keep(upstream, shared, ENDED)
        clock.now += 30
        await keep(upstream, shared, *STEADY)
        clock.now += 59
        assert await found(upstream, shared) == DATA
        clock.now += 1
        assert await found(upstream, shared) is None
        await keep(upstream, shared, ENDED)
        clock.now += 511  # it was read 600 s ago
        assert await found(upstream, shared) is None


@pytest.mark.parametrize("key", [ACTIVE, RunPageKey(T, OPEN), THREAD], ids=repr)
async def test_what_memory_does_not_hold_is_not_kept(key: Key) -> None:
    upstream = Upstream()
    if key == THREAD:
        upstream.fails(THREAD)
    async with processes(1, None) as (shared,):
        await keep(upstream, shared, ENDED, key)
        assert len(shared.repeats) == 0


async def test_a_stale_answer_is_not_kept() -> None:
    upstream, clock = Upstream(), Clock()
    async with processes(1, None, clock) as (shared,):
        await read(cached(upstream, shared), THREAD)
        clock.now += 61
        upstream.fails(THREAD)
        await keep(upstream, shared, THREAD)
        assert len(shared.repeats) == 0


async def test_what_memory_has_let_go_is_not_vouched_for() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        for key in STEADY:
            await keep(upstream, shared, *STEADY)
            shared.memory.drop("ann", to_cache_key(key))
            assert await found(upstream, shared) is None


async def test_what_another_operation_has_read_since_wins() -> None:
    upstream, clock = Upstream(), Clock()
    upstream.runs[ACTIVE] = run("run_2", status="completed")
    page = RunPageKey(T, OPEN)
    async with processes(1, None, clock) as (shared,):
        await keep(upstream, shared, ENDED)
        clock.now += 10
        await read(cached(upstream, shared), page)
        await shared.settled()
        assert await found(upstream, shared) is None  # the page says what the run is
        await keep(upstream, shared, ENDED)
        assert await found(upstream, shared) == DATA


async def test_keys_of_two_types_that_are_equal_are_two() -> None:
    upstream, clock = Upstream(), Clock()
    upstream.assistants[AssistantKey(T)] = assistant(T)
    upstream.runs[ACTIVE] = run("run_2", status="completed")
    upstream.messages.clear()
    alike: list[tuple[Key, Key]] = [
        (THREAD, AssistantKey(T)),
        (MessagePageKey(T, "run_1", OPEN), RunStepPageKey(T, "run_1", OPEN)),
    ]
    async with processes(1, None, clock) as (shared,):
        await read(cached(upstream, shared), ENDED)  # from now on what it wrote is whole
        for one, other in alike:
            assert one == other
            api = cached(upstream, shared)
            await keep(upstream, shared, one, other)
            assert await api.find_response(ASKED) == DATA
            assert api.cost.cache_hits == 2
            shared.memory.drop("ann", to_cache_key(other))
            assert await found(upstream, shared) is None


async def test_an_answer_that_came_with_anothers_call_is_noted_as_ones_own() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        upstream.gate.clear()
        reading = [asyncio.create_task(keep(upstream, shared, THREAD)) for _ in range(2)]
        while not upstream.waiting:  # noqa: ASYNC110 # as `until` does
            await asyncio.sleep(0)
        upstream.gate.set()
        await asyncio.gather(*reading)
        assert len(upstream.calls) == 1
        assert await found(upstream, shared) == DATA


class Landing(Upstream):
    """Lands the pages of run_1 at once, and answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.messages.clear()
        self.end = asyncio.Event()

    async def list_run_steps(self, keys: Sequence[RunStepPageKey], *, on_result: Any = None) -> Any:
        pages = {key: Page(data=[run_step("step_1")], has_more=False) for key in keys}
        if on_result is not None:
            for key, page in pages.items():
                if key.run_id == "run_1":
                    on_result(key, page)
        await self.end.wait()
        return list(pages.values())


@pytest.mark.parametrize(("wanted", "kept"), [(("run_1",), 1), (("run_1", "run_3"), 0)])
async def test_what_has_landed_is_noted_and_what_is_under_way_keeps_the_rest_from_being_kept(
    wanted: tuple[str, ...], kept: int
) -> None:
    upstream = Landing()
    upstream.runs[RunKey(T, "run_3")] = run("run_3")
    keys = [RunStepPageKey(T, run_id, OPEN) for run_id in wanted]
    async with processes(1, None) as (shared,):
        await read(cached(upstream, shared), ENDED, RunKey(T, "run_3"))
        api, landed = cached(upstream, shared), asyncio.Event()
        reading = asyncio.create_task(api.list_run_steps(keys, on_result=lambda *_: landed.set()))
        await landed.wait()
        api.store_response(ASKED, DATA)
        assert len(shared.repeats) == kept
        upstream.end.set()
        await reading
        api.store_response(ASKED, DATA)
        assert await found(upstream, shared) == DATA


async def test_an_operation_that_was_answered_twice_in_two_ways_is_not_kept() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        (held,) = await read(cached(upstream, shared), THREAD)
        for second, kept in ((held, 1), (copy.copy(held), 0)):
            notes = ResponseRecorder(shared, "ann", Cost())
            notes.begin([THREAD])
            notes.note(THREAD, held)
            notes.begin([THREAD])
            notes.note(THREAD, second)
            shared.repeats = ResponseTier(1_000_000)
            notes.keep(ASKED, DATA)
            assert len(shared.repeats) == kept


async def test_what_asks_for_nothing_is_known_again() -> None:
    async with processes(1, None) as (shared,):
        await keep(Upstream(), shared)
        assert await found(Upstream(), shared) == DATA


async def test_without_a_cache_nothing_is_kept() -> None:
    async with SharedCache(CacheOptions(enabled=False)) as shared:
        await keep(Upstream(), shared)
        assert await found(Upstream(), shared) is None
        assert len(shared.repeats) == 0


async def test_when_redis_is_gone_nothing_is_vouched_for() -> None:
    upstream = Upstream()
    with running_valkey() as valkey:
        async with processes(1, valkey.url) as (shared,):
            await keep(upstream, shared, *STEADY)
            assert await found(upstream, shared) == DATA
            valkey.kill()
            assert await found(upstream, shared) is None


async def test_one_look_up_serves_all_parts(valkey: Valkey) -> None:
    upstream = Upstream()
    async with processes(1, valkey.url) as (shared,):
        await keep(upstream, shared, THREAD, ENDED)
        valkey.command("CONFIG", "RESETSTAT")
        assert await found(upstream, shared) == DATA
    stats = valkey.command("INFO", "commandstats")
    assert stats["cmdstat_mget"]["calls"] == 1
    assert not {"cmdstat_set", "cmdstat_get", "cmdstat_eval"} & set(stats)


async def test_what_has_expired_or_is_gone_from_memory_is_not_looked_up(valkey: Valkey) -> None:
    upstream, clock = Upstream(), Clock()
    async with processes(1, valkey.url, clock) as (shared,):
        await keep(upstream, shared, *STEADY)
        clock.now += 60
        valkey.command("CONFIG", "RESETSTAT")
        assert await found(upstream, shared) is None
        assert "cmdstat_mget" not in valkey.command("INFO", "commandstats")
        await keep(upstream, shared, ENDED)
        shared.memory.drop("ann", to_cache_key(ENDED))
        valkey.command("CONFIG", "RESETSTAT")
        assert await found(upstream, shared) is None
        assert "cmdstat_mget" not in valkey.command("INFO", "commandstats")


async def test_however_many_variables_take_no_more_than_their_share_of_the_memory() -> None:
    upstream = Upstream()
    async with SharedCache(CacheOptions(memory_bytes=400_000)) as shared:
        for number in range(20):
            api = cached(upstream, shared)
            await read(api, THREAD)
            api.store_response(question(variables=b"%d" % number), b"x" * 3_000)
            assert shared.repeats.size_bytes <= 50_000
            assert shared.repeats.size_bytes + shared.memory.size_bytes <= 400_000
        assert 1 < len(shared.repeats) < 20
        last = question(variables=b"19")
        assert await cached(upstream, shared).find_response(last) is not None
