"""What every `ThreadsApi` promises of lists that land: each answer once, as it is returned, and not behind the slowest.

Beside the demo data there is an upstream that keeps one answer back, so that a test sees what is here without it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.cache.cached_threads_api import CachedThreadsApi
from gateway.cache.shared_cache import CacheOptions, SharedCache
from gateway.upstream.threads_api_client import UpstreamClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.paging import Window
from schema.contract.ports import (
    AssistantPageKey,
    MessageFilePageKey,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
    ThreadsApi,
)
from tests.contracts.world import World
from tests.support.scripted_upstream import Answer, Request, ScriptedUpstream, answer, echo, scripted_upstream

WINDOW = Window(5, "asc")
SLOW, QUICK, REFUSED = (RunPageKey(f"thread_{name}", WINDOW) for name in ("slow", "quick", "refused"))
Bind = Callable[[], ThreadsApi]


class Landed:
    """What has landed, in order."""

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


async def test_what_lands_is_what_is_returned_and_lands_once(api: ThreadsApi, world: World) -> None:
    threads = [key.thread_id for key in world.threads] + ["thread_" + "x" * 24]
    lists: list[tuple[Any, list[Any]]] = [
        (api.list_messages, [MessagePageKey(thread_id, None, WINDOW) for thread_id in threads]),
        (api.list_runs, [RunPageKey(thread_id, WINDOW) for thread_id in threads]),
        (api.list_run_steps, [RunStepPageKey(*key, WINDOW) for key in world.runs]),
        (api.list_assistants, [AssistantPageKey(WINDOW), AssistantPageKey(Window(1, "desc"))]),
        (api.list_message_files, [MessageFilePageKey(*key, WINDOW) for key in world.messages]),
    ]
    for list_pages, keys in lists:
        assert len(keys) > 1
        for asked in ([*keys, keys[0]], keys[:2], []):  # what is kept by now is mixed with what is not
            landed = Landed()
            answers = dict(zip(asked, await list_pages(asked, on_result=landed), strict=True))
            assert answers.keys() == set(asked)
            assert set(Counter(landed.keys).values()) <= {1}
            assert all(answers[key] is value for key, value in landed.pairs)


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with scripted_upstream() as running:
        yield running


@pytest.fixture
def release(upstream: ScriptedUpstream) -> asyncio.Event:
    """Lets the slow answer go; the others come at once."""
    release = asyncio.Event()

    def answers(request: Request) -> Answer:
        if "thread_refused" in request.target:
            return answer(403, {"error": {"message": "No."}})
        return Answer(later=(release, echo(request).sent)) if "thread_slow" in request.target else echo(request)

    upstream.always = answers
    return release


@pytest.fixture(params=["client", "cached in memory", "cached in Redis", "cache switched off"])
async def bind(request: pytest.FixtureRequest, upstream: ScriptedUpstream) -> AsyncIterator[Bind]:
    async with UpstreamClient(UpstreamOptions(upstream.url)) as client:
        if request.param == "client":
            yield lambda: client.bind(None)
            return
        url = request.getfixturevalue("valkey").url if request.param == "cached in Redis" else None
        enabled = request.param != "cache switched off"
        options = CacheOptions(enabled=enabled, redis_url=url, redis_deadline_seconds=5, initial_upstream_seconds=60)
        async with SharedCache(options) as shared:
            yield lambda: CachedThreadsApi(client.bind(None), shared, "landing")


async def test_what_is_here_lands_before_what_is_slow_and_a_failure_as_its_error(
    bind: Bind, release: asyncio.Event
) -> None:
    landed = Landed()
    reading = asyncio.create_task(_read(bind(), [SLOW, QUICK, REFUSED], landed))
    await landed.until(2)
    assert set(landed.keys) == {QUICK, REFUSED}
    assert not reading.done()
    release.set()
    answers = await reading
    assert landed.keys[2:] in ([], [SLOW])
    refused = answers[2]
    assert isinstance(refused, GatewayError)
    assert refused.code is ErrorCode.FORBIDDEN
    assert dict(landed.pairs)[REFUSED] is refused


async def test_after_cancellation_nothing_lands(bind: Bind, release: asyncio.Event, upstream: ScriptedUpstream) -> None:
    landed, other = Landed(), Landed()
    api = bind()
    reading = asyncio.create_task(_read(api, [SLOW, QUICK], landed))
    await landed.until(1)
    patient = asyncio.create_task(_read(bind(), [SLOW, REFUSED], other))
    await other.until(1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    release.set()
    await patient
    assert landed.keys == [QUICK]


async def _read(api: ThreadsApi, keys: list[RunPageKey], landed: Landed) -> list[Any]:
    return list(await api.list_runs(keys, on_result=landed))
