"""The whole way of a read, in one process, over each kind of store."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.cache.cached_threads_api import CachedThreadsApi
from gateway.cache.shared_cache import SharedCache
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import MessageKey, ThreadKey
from schema.contract.paging import Window
from schema.contract.ports import AssistantPageKey
from schema.contract.wire import ThreadObject
from tests.gateway.cache.processes import Clock, processes
from tests.gateway.cache.upstream import (
    ACTIVE,
    ALL_KEYS,
    ANSWER,
    DOWN,
    ENDED,
    OTHER_THREAD,
    PAGE_KEYS,
    THREAD,
    USER_MESSAGE,
    T,
    Upstream,
    cached,
    read,
    until,
)
from tests.support.fake_threads_api import Key
from tests.support.wire_samples import thread

RUN_PAGE = PAGE_KEYS[2]  # it holds an active run
KEPT = [key for key in ALL_KEYS if key not in {ACTIVE, RUN_PAGE}]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "redis"])
async def shared(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[SharedCache]:
    url = request.getfixturevalue("valkey").url if request.param == "redis" else None
    async with processes(1, url, clock) as (shared,):
        yield shared


@pytest.mark.parametrize("key", KEPT, ids=repr)
async def test_what_was_read_is_not_asked_for_again(shared: SharedCache, key: Key) -> None:
    upstream = Upstream()
    first = await read(cached(upstream, shared), key)
    api = cached(upstream, shared)
    assert repr(await read(api, key)) == repr(first)
    assert len(upstream.calls) == 1
    assert (api.cost.cache_hits, api.cost.shared_calls, api.cost.stale_answers) == (1, 0, 0)


@pytest.mark.parametrize("key", [ACTIVE, RUN_PAGE], ids=repr)
async def test_what_may_change_at_any_time_is_asked_for_each_time(shared: SharedCache, key: Key) -> None:
    upstream = Upstream()
    for _ in range(3):
        api = cached(upstream, shared)
        await read(api, key)
        assert api.cost.cache_hits == 0
    assert len(upstream.calls) == 3


async def test_the_upstream_is_asked_once_for_what_nobody_knows(shared: SharedCache) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), THREAD)
    keys = (OTHER_THREAD, THREAD, ThreadKey("thread_3"), OTHER_THREAD)
    answers = await read(cached(upstream, shared), *keys)
    assert upstream.calls == [("get_threads", (THREAD,)), ("get_threads", (OTHER_THREAD, ThreadKey("thread_3")))]
    assert [getattr(answer, "id", None) for answer in answers] == ["thread_2", T, None, "thread_2"]


async def test_no_keys_ask_nobody(shared: SharedCache) -> None:
    upstream = Upstream()
    assert list(await cached(upstream, shared).get_threads([])) == []
    assert upstream.calls == []


async def test_not_found_is_known_for_a_few_seconds(shared: SharedCache, clock: Clock) -> None:
    upstream = Upstream()
    key = ThreadKey("thread_9")
    for _ in range(2):
        (answer,) = await read(cached(upstream, shared), key)
        assert isinstance(answer, GatewayError)
        assert answer.code is ErrorCode.NOT_FOUND
    assert len(upstream.calls) == 1
    clock.now += 3
    upstream.threads[key] = thread("thread_9")
    (answer,) = await read(cached(upstream, shared), key)
    assert isinstance(answer, ThreadObject)


async def test_a_change_behind_the_gateways_back_is_seen_when_the_lifetime_is_over(
    shared: SharedCache, clock: Clock
) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), THREAD)
    upstream.threads[THREAD] = thread(T, metadata={"owner": "changed"})
    seen = []
    for _ in range(2):
        (answer,) = await read(cached(upstream, shared), THREAD)
        seen.append(answer.metadata["owner"])
        clock.now += 60
    assert seen == ["anybody", "changed"]


async def test_when_the_upstream_fails_what_is_stale_answers_and_is_counted(shared: SharedCache, clock: Clock) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), THREAD)
    upstream.fails(THREAD, OTHER_THREAD)
    clock.now += 3600
    api = cached(upstream, shared)
    answer, missing = await read(api, THREAD, OTHER_THREAD)
    assert isinstance(answer, ThreadObject)
    assert missing is DOWN
    assert (api.cost.cache_hits, api.cost.stale_answers) == (0, 1)
    clock.now += 6 * 3600
    assert await read(cached(upstream, shared), THREAD) == [DOWN]


async def test_what_is_stale_lands_in_place_of_a_failure(shared: SharedCache, clock: Clock) -> None:
    upstream = Upstream()
    stale, missing = (AssistantPageKey(Window(size, "asc")) for size in (5, 6))
    (first,) = await cached(upstream, shared).list_assistants([stale])
    upstream.fails(stale, missing)
    clock.now += 3000
    api = cached(upstream, shared)
    landed: dict[AssistantPageKey, object] = {}
    answers = await api.list_assistants([stale, missing], on_result=landed.__setitem__)
    assert repr(answers[0]) == repr(first)
    assert answers[1] is DOWN
    assert landed == {stale: answers[0], missing: DOWN}
    assert api.cost.stale_answers == 1


async def test_what_is_kept_lands_before_what_is_asked_for(shared: SharedCache) -> None:
    upstream = Upstream()
    kept, missing = (AssistantPageKey(Window(size, "asc")) for size in (1, 6))
    await cached(upstream, shared).list_assistants([kept])
    await shared.settled()
    upstream.gate.clear()
    landed: dict[AssistantPageKey, object] = {}
    reading = asyncio.create_task(_list_assistants(cached(upstream, shared), [missing, kept], landed))
    await until(lambda: upstream.waiting == 1)
    assert list(landed) == [kept]
    upstream.gate.set()
    answers = await reading
    assert landed == {kept: answers[1], missing: answers[0]}


async def _list_assistants(
    api: CachedThreadsApi, keys: list[AssistantPageKey], landed: dict[AssistantPageKey, object]
) -> list[object]:
    return list(await api.list_assistants(keys, on_result=landed.__setitem__))


async def test_a_refusal_is_an_answer_and_no_failure(shared: SharedCache, clock: Clock) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), THREAD)
    refused = GatewayError(ErrorCode.FORBIDDEN, "No.")
    upstream.fail = {THREAD: refused}
    clock.now += 3600
    assert await read(cached(upstream, shared), THREAD) == [refused]


async def test_what_a_write_has_outdated_serves_no_failing_upstream(shared: SharedCache, clock: Clock) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), THREAD)
    await cached(upstream, shared).delete_thread(THREAD)
    upstream.fails(THREAD)
    clock.now += 3600
    assert await read(cached(upstream, shared), THREAD) == [DOWN]


async def test_the_answer_of_a_run_that_is_over_is_kept_once_that_is_known(shared: SharedCache, clock: Clock) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), ANSWER)
    await read(cached(upstream, shared), ENDED)
    for expected_calls in (2, 3, 3, 3):
        assert len(upstream.calls) == expected_calls
        await shared.settled()
        clock.now += 5
        await read(cached(upstream, shared), ANSWER)


async def test_an_unexpected_exception_of_the_inner_port_reaches_the_caller(shared: SharedCache) -> None:
    class Broken(Upstream):
        async def get_messages(self, keys: object) -> list[MessageKey]:  # type: ignore[override]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read(cached(Broken(), shared), USER_MESSAGE)
