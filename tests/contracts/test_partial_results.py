"""The contract of `on_result` of every `ThreadsApi`: each result once, as it is returned, not behind the slowest list.

Besides the demo data, there is an upstream that delays one response, so that a test sees the results before it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from gateway.cache.cached_threads_api import CachedThreadsApi
from gateway.cache.shared_cache import CacheOptions, SharedCache
from gateway.upstream.threads_api_client import UpstreamClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import (
    ASSISTANTS,
    MESSAGE_FILES,
    MESSAGES,
    RUN_STEPS,
    RUNS,
    AssistantPageKey,
    MessageFilePageKey,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
)
from schema.contract.paging import Window
from schema.contract.ports import ThreadsApi
from tests.contracts.world import World
from tests.gateway.ledger.owned_ports import Ports
from tests.support.fake_ownership import FakeOwnership
from tests.support.scripted_upstream import (
    Request,
    ScriptedResponse,
    ScriptedUpstream,
    echo,
    response,
    scripted_upstream,
)
from tests.support.signed_in import owner

WINDOW = Window(5, "asc")
SLOW, QUICK, REFUSED = (RunPageKey(f"thread_{name}", WINDOW) for name in ("slow", "quick", "refused"))
Bind = Callable[[], ThreadsApi]


class Recorded:
    """An `on_result` that records keys and results in order."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Any, Any]] = []
        self._changed = asyncio.Event()

    def __call__(self, key: Any, value: Any) -> None:
        self.pairs.append((key, value))
        self._changed.set()

    @property
    def keys(self) -> list[Any]:
        return [key for key, _ in self.pairs]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.pairs) < count:
                self._changed.clear()
                await self._changed.wait()


async def test_each_partial_result_is_reported_once_and_equals_the_returned_one(api: ThreadsApi, world: World) -> None:
    threads = [key.thread_id for key in world.threads] + ["thread_" + "x" * 24]
    lists: list[tuple[Any, list[Any]]] = [
        (partial(api.list, MESSAGES), [MessagePageKey(thread_id, None, WINDOW) for thread_id in threads]),
        (partial(api.list, RUNS), [RunPageKey(thread_id, WINDOW) for thread_id in threads]),
        (partial(api.list, RUN_STEPS), [RunStepPageKey(*key, WINDOW) for key in world.runs]),
        (partial(api.list, ASSISTANTS), [AssistantPageKey(WINDOW), AssistantPageKey(Window(1, "desc"))]),
        (partial(api.list, MESSAGE_FILES), [MessageFilePageKey(*key, WINDOW) for key in world.messages]),
    ]
    for list_pages, keys in lists:
        assert len(keys) > 1
        for batch in ([*keys, keys[0]], keys[:2], []):  # some results are cached by now, others are not
            recorded = Recorded()
            results = dict(zip(batch, await list_pages(batch, on_result=recorded), strict=True))
            assert results.keys() == set(batch)
            assert set(Counter(recorded.keys).values()) <= {1}
            assert all(results[key] is value for key, value in recorded.pairs)


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with scripted_upstream() as running:
        yield running


@pytest.fixture
def release(upstream: ScriptedUpstream) -> asyncio.Event:
    """An event that releases the slow response; the others come at once."""
    release = asyncio.Event()

    def answers(request: Request) -> ScriptedResponse:
        if "thread_refused" in request.target:
            return response(403, {"error": {"message": "No."}})
        return (
            ScriptedResponse(pieces=(release, echo(request).data)) if "thread_slow" in request.target else echo(request)
        )

    upstream.default_response = answers
    return release


@pytest.fixture(params=["client", "cached in memory", "cached in Redis", "cache switched off", "ann", "root"])
async def bind(request: pytest.FixtureRequest, upstream: ScriptedUpstream) -> AsyncIterator[Bind]:
    async with UpstreamClient(UpstreamOptions(upstream.url)) as client:
        if request.param == "client":
            yield lambda: client.bind(None)
            return
        url = request.getfixturevalue("valkey").url if request.param == "cached in Redis" else None
        enabled = request.param != "cache switched off"
        options = CacheOptions(enabled=enabled, redis_url=url, redis_deadline_seconds=5)
        async with SharedCache(options) as shared:
            if request.param in {"ann", "root"}:
                # Ann sees runs without their instructions, and the admin reads threads of two owners.
                slow = owner("bob" if request.param == "root" else "ann")
                ownership = FakeOwnership({"thread_slow": slow}, others=owner("ann"))
                yield lambda: Ports(client.bind(None), ownership, shared).bind(request.param)
            else:
                yield lambda: CachedThreadsApi(client.bind(None), shared, "partial results")


async def test_quick_results_and_errors_are_reported_before_a_slow_result(bind: Bind, release: asyncio.Event) -> None:
    recorded = Recorded()
    reading = asyncio.create_task(_read(bind(), [SLOW, QUICK, REFUSED], recorded))
    await recorded.until(2)
    assert set(recorded.keys) == {QUICK, REFUSED}
    assert not reading.done()
    release.set()
    results = await reading
    assert recorded.keys[2:] in ([], [SLOW])
    refused = results[2]
    assert isinstance(refused, GatewayError)
    assert refused.code is ErrorCode.FORBIDDEN
    assert dict(recorded.pairs)[REFUSED] is refused


async def test_after_cancellation_no_result_is_reported(
    bind: Bind, release: asyncio.Event, upstream: ScriptedUpstream
) -> None:
    recorded, other = Recorded(), Recorded()
    api = bind()
    reading = asyncio.create_task(_read(api, [SLOW, QUICK], recorded))
    await recorded.until(1)
    patient = asyncio.create_task(_read(bind(), [SLOW, REFUSED], other))
    await other.until(1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    release.set()
    await patient
    assert recorded.keys == [QUICK]


async def _read(api: ThreadsApi, keys: list[RunPageKey], recorded: Recorded) -> list[Any]:
    return list(await api.list(RUNS, keys, on_result=recorded))
