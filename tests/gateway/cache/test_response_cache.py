import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from gateway.cache.cache_keys import to_cache_key
from gateway.cache.response_cache import RecordedReads, ResponseCache
from gateway.cache.shared_cache import CacheOptions, SharedCache
from schema.contract.bodies import ThreadUpdateBody
from schema.contract.encoded_json import EncodedJson
from schema.contract.keys import AssistantKey, RunKey, ThreadKey
from schema.contract.kinds import RUN_STEPS, Key, MessagePageKey, RunPageKey, RunStepPageKey
from schema.contract.paging import Window
from schema.contract.wire import Page
from schema.contract.writes import UPDATE_THREAD
from tests.gateway.cache.cached_queries import response_key
from tests.gateway.cache.processes import Clock, processes
from tests.gateway.cache.upstream import ACTIVE, ASSISTANT, ENDED, OPEN, THREAD, T, Upstream, cached, read
from tests.support.valkey import Valkey, running_valkey
from tests.support.wire_samples import assistant, run, run_step

KEY, DATA = response_key(), b'{"a":1}'
STEADY: tuple[Key, ...] = (THREAD, ENDED, ASSISTANT)
"""Keys of objects that are fresh for at least a minute."""


@pytest.fixture(params=["memory", "redis"])
async def two(request: pytest.FixtureRequest) -> AsyncIterator[list[SharedCache]]:
    """The caches of two processes with Redis; the same cache twice without."""
    if request.param == "memory":
        async with processes(1, None) as (shared,):
            yield [shared, shared]
        return
    async with processes(2, request.getfixturevalue("valkey").url) as two:
        yield two


async def store(upstream: Upstream, shared: SharedCache, *keys: Key, scope: str = "ann") -> None:
    """Read these keys in one operation, and store its response."""
    api = cached(upstream, shared, scope)
    for key in keys:
        await read(api, key)
    api.store_response(KEY, DATA)
    await shared.wait_until_idle()


async def find(upstream: Upstream, shared: SharedCache, scope: str = "ann") -> EncodedJson | None:
    return await cached(upstream, shared, scope).find_response(KEY)


async def update(upstream: Upstream, shared: SharedCache, scope: str = "ann") -> None:
    await cached(upstream, shared, scope).write(UPDATE_THREAD, THREAD, ThreadUpdateBody(metadata={"seen": "yes"}))


async def test_a_response_is_found_without_a_call_and_counts_cache_hits(two: list[SharedCache]) -> None:
    upstream = Upstream()
    await store(upstream, two[0], *STEADY)
    upstream.calls.clear()
    api = cached(upstream, two[0])
    for times in (1, 2):
        assert await api.find_response(KEY) == DATA
        assert api.cost.cache_hits == times * len(STEADY)
    assert upstream.calls == []


async def test_a_write_in_any_process_invalidates_a_response(two: list[SharedCache]) -> None:
    upstream = Upstream()
    await store(upstream, two[0], *STEADY)
    await update(upstream, two[1])
    assert await find(upstream, two[0]) is None
    assert len(two[0].responses) == 0


async def test_a_write_of_another_object_or_principal_leaves_a_response_valid(two: list[SharedCache]) -> None:
    upstream = Upstream()
    await store(upstream, two[0], *STEADY)
    await cached(upstream, two[1]).write(UPDATE_THREAD, ThreadKey("thread_2"), ThreadUpdateBody(metadata={}))
    await update(upstream, two[1], "bob")
    assert await find(upstream, two[0]) == DATA
    assert await find(upstream, two[0], "bob") is None


async def test_a_response_read_partly_before_a_write_is_not_found(two: list[SharedCache]) -> None:
    upstream = Upstream()
    api = cached(upstream, two[0])
    await read(api, THREAD)
    await update(upstream, two[1])
    await read(api, ENDED)
    api.store_response(KEY, DATA)
    assert await find(upstream, two[0]) is None


async def test_reads_under_two_versions_of_one_tag_are_not_stored_together() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        api = cached(upstream, shared)
        await read(api, RunPageKey(T, Window(1, "asc")))
        await shared.store.end_write("ann", [tag for tag in _tags(shared) if tag.name == "runs"])
        await read(api, RunKey(T, "run_9"))
        api.store_response(KEY, DATA)
        assert len(shared.responses) == 0


def _tags(shared: SharedCache) -> Any:
    return [tag for _, tag in shared.store._versions]  # type: ignore[attr-defined]


async def test_a_response_expires_with_the_first_of_its_entries() -> None:
    upstream, clock = Upstream(), Clock()
    async with processes(1, None, clock) as (shared,):
        await store(upstream, shared, ENDED)
        clock.now += 30
        await store(upstream, shared, *STEADY)
        clock.now += 59
        assert await find(upstream, shared) == DATA
        clock.now += 1
        assert await find(upstream, shared) is None
        await store(upstream, shared, ENDED)
        clock.now += 511  # it was read 600 s ago
        assert await find(upstream, shared) is None


@pytest.mark.parametrize("key", [ACTIVE, RunPageKey(T, OPEN), THREAD], ids=repr)
async def test_a_response_is_not_stored_unless_memory_holds_every_result(key: Key) -> None:
    upstream = Upstream()
    if key == THREAD:
        upstream.fails(THREAD)
    async with processes(1, None) as (shared,):
        await store(upstream, shared, ENDED, key)
        assert len(shared.responses) == 0


async def test_a_response_with_a_stale_result_is_not_stored() -> None:
    upstream, clock = Upstream(), Clock()
    async with processes(1, None, clock) as (shared,):
        await read(cached(upstream, shared), THREAD)
        clock.now += 61
        upstream.fails(THREAD)
        await store(upstream, shared, THREAD)
        assert len(shared.responses) == 0


async def test_a_response_outlives_the_eviction_of_its_entries_until_one_is_read_again() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        for key in STEADY:
            await store(upstream, shared, *STEADY)
            shared.memory.remove_entry("ann", to_cache_key(key))
            assert await find(upstream, shared) == DATA
            await read(cached(upstream, shared), key)
            assert await find(upstream, shared) is None


async def test_a_response_whose_entries_were_evicted_ends_with_them_and_with_a_write() -> None:
    upstream, clock = Upstream(), Clock()
    async with processes(1, None, clock) as (shared,):
        await store(upstream, shared, *STEADY)
        for key in STEADY:
            shared.memory.remove_entry("ann", to_cache_key(key))
        clock.now += 59
        assert await find(upstream, shared) == DATA
        clock.now += 1
        assert await find(upstream, shared) is None
        await store(upstream, shared, *STEADY)
        for key in STEADY:
            shared.memory.remove_entry("ann", to_cache_key(key))
        await update(upstream, shared)
        assert await find(upstream, shared) is None


async def test_a_newer_result_of_another_operation_invalidates_a_response() -> None:
    upstream, clock = Upstream(), Clock()
    upstream.runs[ACTIVE] = run("run_2", status="completed")
    page = RunPageKey(T, OPEN)
    async with processes(1, None, clock) as (shared,):
        await store(upstream, shared, ENDED)
        clock.now += 10
        await read(cached(upstream, shared), page)
        await shared.wait_until_idle()
        assert await find(upstream, shared) is None  # the page has the run
        await store(upstream, shared, ENDED)
        assert await find(upstream, shared) == DATA


async def test_equal_keys_of_two_types_are_recorded_separately() -> None:
    upstream, clock = Upstream(), Clock()
    upstream.assistants[AssistantKey(T)] = assistant(T)
    upstream.runs[ACTIVE] = run("run_2", status="completed")
    upstream.messages.clear()
    equal_keys: list[tuple[Key, Key]] = [
        (THREAD, AssistantKey(T)),
        (MessagePageKey(T, "run_1", OPEN), RunStepPageKey(T, "run_1", OPEN)),
    ]
    async with processes(1, None, clock) as (shared,):
        await read(cached(upstream, shared), ENDED)  # from now on its pages are closed
        for one, other in equal_keys:
            assert one == other
            api = cached(upstream, shared)
            await store(upstream, shared, one, other)
            assert await api.find_response(KEY) == DATA
            assert api.cost.cache_hits == 2
            shared.memory.remove_entry("ann", to_cache_key(other))
            await read(cached(upstream, shared), other)
            assert await find(upstream, shared) is None


async def test_a_result_of_a_shared_call_is_recorded_too() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        upstream.gate.clear()
        reading = [asyncio.create_task(store(upstream, shared, THREAD)) for _ in range(2)]
        while not upstream.waiting:  # noqa: ASYNC110 # as in `until`
            await asyncio.sleep(0)
        upstream.gate.set()
        await asyncio.gather(*reading)
        assert len(upstream.calls) == 1
        assert await find(upstream, shared) == DATA


class EarlyResults(Upstream):
    """Reports the steps of run_1 through `on_result` at once, and returns when the test sets `end`."""

    def __init__(self) -> None:
        super().__init__()
        self.messages.clear()
        self.end = asyncio.Event()

    async def list(self, kind: Any, keys: Sequence[Any], *, on_result: Any = None) -> Any:
        pages = {key: Page(data=[run_step("step_1")], has_more=False) for key in keys}
        if on_result is not None:
            for key, page in pages.items():
                if key.run_id == "run_1":
                    on_result(key, page)
        await self.end.wait()
        return list(pages.values())


@pytest.mark.parametrize(("run_ids", "stored"), [(("run_1",), 1), (("run_1", "run_3"), 0)])
async def test_early_results_are_recorded_and_a_missing_result_prevents_storing(
    run_ids: tuple[str, ...], stored: int
) -> None:
    upstream = EarlyResults()
    upstream.runs[RunKey(T, "run_3")] = run("run_3")
    keys = [RunStepPageKey(T, run_id, OPEN) for run_id in run_ids]
    async with processes(1, None) as (shared,):
        await read(cached(upstream, shared), ENDED, RunKey(T, "run_3"))
        api, arrived = cached(upstream, shared), asyncio.Event()
        reading = asyncio.create_task(api.list(RUN_STEPS, keys, on_result=lambda *_: arrived.set()))
        await arrived.wait()
        api.store_response(KEY, DATA)
        assert len(shared.responses) == stored
        upstream.end.set()
        await reading
        api.store_response(KEY, DATA)
        assert await find(upstream, shared) == DATA


async def test_an_operation_with_two_different_results_for_one_key_is_not_stored() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        (thread,) = await read(cached(upstream, shared), THREAD)
        for second, stored in ((thread, 1), (copy.copy(thread), 0)):
            recorded = RecordedReads("ann")
            recorded.record_start([THREAD])
            recorded.record_result(THREAD, thread)
            recorded.record_start([THREAD])
            recorded.record_result(THREAD, second)
            responses = ResponseCache(1_000_000, shared.memory, shared.store, now_seconds=shared.now_seconds)
            responses.store_response("ann", KEY, DATA, [recorded])
            assert len(responses) == stored


async def test_a_response_without_reads_is_found() -> None:
    async with processes(1, None) as (shared,):
        await store(Upstream(), shared)
        assert await find(Upstream(), shared) == DATA


async def test_with_the_cache_switched_off_nothing_is_stored() -> None:
    async with SharedCache(CacheOptions(enabled=False)) as shared:
        await store(Upstream(), shared)
        assert await find(Upstream(), shared) is None
        assert len(shared.responses) == 0


async def test_without_redis_no_response_is_valid() -> None:
    upstream = Upstream()
    with running_valkey() as valkey:
        async with processes(1, valkey.url) as (shared,):
            await store(upstream, shared, *STEADY)
            assert await find(upstream, shared) == DATA
            valkey.kill()
            assert await find(upstream, shared) is None


async def test_one_look_up_checks_all_recorded_reads(valkey: Valkey) -> None:
    upstream = Upstream()
    async with processes(1, valkey.url) as (shared,):
        await store(upstream, shared, THREAD, ENDED)
        valkey.command("CONFIG", "RESETSTAT")
        assert await find(upstream, shared) == DATA
    stats = valkey.command("INFO", "commandstats")
    assert stats["cmdstat_mget"]["calls"] == 1
    assert not {"cmdstat_set", "cmdstat_get", "cmdstat_eval"} & set(stats)


async def test_an_expired_or_newer_entry_needs_no_look_up(valkey: Valkey) -> None:
    upstream, clock = Upstream(), Clock()
    async with processes(1, valkey.url, clock) as (shared,):
        await store(upstream, shared, *STEADY)
        clock.now += 60
        valkey.command("CONFIG", "RESETSTAT")
        assert await find(upstream, shared) is None
        assert "cmdstat_mget" not in valkey.command("INFO", "commandstats")
        await store(upstream, shared, ENDED)
        shared.memory.remove_entry("ann", to_cache_key(ENDED))
        await read(cached(upstream, shared), ENDED)
        valkey.command("CONFIG", "RESETSTAT")
        assert await find(upstream, shared) is None
        assert "cmdstat_mget" not in valkey.command("INFO", "commandstats")


async def test_responses_take_no_more_than_their_share_of_the_memory() -> None:
    upstream = Upstream()
    async with SharedCache(CacheOptions(memory_bytes=400_000)) as shared:
        for number in range(20):
            api = cached(upstream, shared)
            await read(api, THREAD)
            api.store_response(response_key(variables=b"%d" % number), b"x" * 6_000)
            assert shared.responses.size_bytes <= 100_000
            assert shared.responses.size_bytes + shared.memory.size_bytes <= 400_000
        assert 1 < len(shared.responses) < 20
        last = response_key(variables=b"19")
        assert await cached(upstream, shared).find_response(last) is not None


async def test_a_response_that_is_stored_while_an_older_one_is_refused_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        await store(upstream, shared, *STEADY)
        api = cached(upstream, shared)
        for key in STEADY:
            await read(api, key)

        async def refuse_meanwhile(*_: Any) -> None:
            api.store_response(KEY, b'{"b":2}')

        with monkeypatch.context() as patch:
            patch.setattr(shared.store, "look_up", refuse_meanwhile)
            assert await find(upstream, shared) is None
        assert await find(upstream, shared) == b'{"b":2}'
