import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio.client import PubSub

from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_notifications import (
    ANCHOR_CHANNEL,
    FIRST_RETRY_SECONDS,
    MAX_RETRY_SECONDS,
    REMINDER_SECONDS,
    RedisNotifications,
)
from tests.support.valkey import Valkey, running_valkey

PATIENT_SECONDS = 10.0
Sleep = Callable[[float], Awaitable[None]]


class Ear:
    """A listener that can be waited for."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()

    def __call__(self) -> None:
        self._heard.set()

    async def hears(self, act: Callable[[], object] = lambda: None) -> None:
        self._heard.clear()
        act()
        async with asyncio.timeout(PATIENT_SECONDS):
            await self._heard.wait()

    def forget(self) -> None:
        self._heard.clear()

    @property
    def has_heard(self) -> bool:
        return self._heard.is_set()


class Sleeps:
    """Sleeps that are over when the test says, but for the pauses between connections."""

    def __init__(self) -> None:
        self.paused_seconds: list[float] = []
        self._turn = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        if seconds != REMINDER_SECONDS:
            self.paused_seconds.append(seconds)
            await asyncio.sleep(0.01)
            return
        await self._turn.wait()

    def wake(self) -> None:
        self._turn.set()
        self._turn = asyncio.Event()


@asynccontextmanager
async def telling(
    url: str, *, cluster: bool = False, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[RedisNotifications]:
    connection = RedisConnection(url, cluster=cluster, deadline_seconds=PATIENT_SECONDS)
    news = RedisNotifications(connection.open_pubsub, sleep=sleep)
    try:
        yield news
    finally:
        await news.close()
        await connection.close()


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_SECONDS):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


async def test_what_is_published_is_heard(valkey: Valkey) -> None:
    async with telling(valkey.url, sleep=Sleeps()) as news:
        one, other = Ear(), Ear()
        news.listen("one", one)
        news.listen("other", other)
        await one.hears()  # that the subscription has begun
        await other.hears(lambda: valkey.command("PUBLISH", "other", ""))
        await one.hears(lambda: valkey.command("PUBLISH", "one", ""))


async def test_all_that_listen_share_one_connection(valkey: Valkey) -> None:
    async with telling(valkey.url, sleep=Sleeps()) as news:
        ears = [Ear() for _ in range(20)]
        for number, ear in enumerate(ears):
            news.listen(f"channel {number // 2}", ear)
        for ear in ears:
            await ear.hears(lambda: [valkey.command("PUBLISH", f"channel {number}", "") for number in range(10)])
        assert len(valkey.command("CLIENT LIST", "TYPE", "pubsub")) == 1


async def test_on_a_cluster_what_any_node_publishes_is_heard(valkey_cluster: list[Valkey]) -> None:
    async with telling(valkey_cluster[0].url, cluster=True, sleep=Sleeps()) as news:
        ear = Ear()
        news.listen("one", ear)
        await ear.hears()
        for server in valkey_cluster:
            await ear.hears(lambda server=server: server.command("PUBLISH", "one", ""))  # type: ignore[misc]


async def test_who_left_hears_nothing_and_the_channel_is_left(valkey: Valkey) -> None:
    def subscribers() -> int:
        count: int = valkey.command("PUBSUB NUMSUB", "one")[0][1]
        return count

    async with telling(valkey.url, sleep=Sleeps()) as news:
        ear = Ear()
        stop = news.listen("one", ear)
        await ear.hears()
        await eventually(lambda: subscribers() == 1)
        stop()
        ear.forget()
        await eventually(lambda: subscribers() == 0)
        again = Ear()
        news.listen("one", again)
        await again.hears()
        await again.hears(lambda: valkey.command("PUBLISH", "one", ""))
        assert not ear.has_heard


async def test_everybody_is_reminded_now_and_then(valkey: Valkey) -> None:
    sleeps = Sleeps()
    async with telling(valkey.url, sleep=sleeps) as news:
        ear = Ear()
        news.listen("one", ear)
        await ear.hears()
        for _ in range(3):
            await eventually(lambda: bool(valkey.command("PUBSUB NUMSUB", "one")[0][1]))
            await ear.hears(sleeps.wake)


async def test_everybody_is_reminded_though_redis_is_not_there() -> None:
    sleeps = Sleeps()
    async with telling("redis://127.0.0.1:1", sleep=sleeps) as news:
        ear = Ear()
        news.listen("one", ear)
        await eventually(lambda: len(sleeps.paused_seconds) > 8)
        await ear.hears(sleeps.wake)
        assert sleeps.paused_seconds[0] == FIRST_RETRY_SECONDS
        assert sleeps.paused_seconds == sorted(sleeps.paused_seconds)
        assert max(sleeps.paused_seconds) == MAX_RETRY_SECONDS


async def test_after_a_new_connection_everybody_hears_and_goes_on_hearing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_valkey() as server:
        sleeps = Sleeps()
        async with telling(server.url, sleep=sleeps) as news:
            one, other = Ear(), Ear()
            news.listen("one", one)
            news.listen("other", other)
            await one.hears()
            await other.hears(lambda: server.command("PUBLISH", "other", ""))
            server.kill()
            await eventually(lambda: len(sleeps.paused_seconds) > 3)
            await asyncio.gather(one.hears(), other.hears(), asyncio.to_thread(server.start))
            await one.hears(lambda: server.command("PUBLISH", "one", ""))
            await eventually(lambda: caplog.messages[-1:] == ["redis tells news again"])
            assert len(caplog.messages) == 2
            before = len(sleeps.paused_seconds)
            server.command("CLIENT KILL", "TYPE", "pubsub")
            await one.hears()
            assert sleeps.paused_seconds[before] == FIRST_RETRY_SECONDS


async def test_a_connection_that_went_silent_is_replaced() -> None:
    with running_valkey() as server:
        sleeps = Sleeps()
        async with telling(server.url, sleep=sleeps) as news:
            ear = Ear()
            news.listen("one", ear)
            await ear.hears()
            server.command("CLIENT", "PAUSE", 500, "ALL")

            async def wake() -> None:
                while True:
                    sleeps.wake()
                    await asyncio.sleep(0.02)

            waking = asyncio.create_task(wake())
            await eventually(lambda: len(sleeps.paused_seconds) > 0)
            waking.cancel()
            await asyncio.wait([waking])
            await eventually(lambda: ANCHOR_CHANNEL.encode() in server.command("PUBSUB CHANNELS"))
            await ear.hears(lambda: server.command("PUBLISH", "one", ""))


async def test_a_connection_that_answers_is_kept(valkey: Valkey) -> None:
    opened: list[PubSub] = []
    connection = RedisConnection(valkey.url, cluster=False, deadline_seconds=PATIENT_SECONDS)

    async def open_pubsub() -> PubSub:
        opened.append(await connection.open_pubsub())
        return opened[-1]

    async def short(seconds: float) -> None:
        await asyncio.sleep(0.1)

    news = RedisNotifications(open_pubsub, sleep=short)
    ear = Ear()
    news.listen("one", ear)
    for _ in range(5):
        await ear.hears()
    await news.close()
    await connection.close()
    assert len(opened) == 1


async def test_after_the_end_nobody_hears_anything(valkey: Valkey) -> None:
    async with telling(valkey.url, sleep=Sleeps()) as news:
        ear = Ear()
        news.listen("one", ear)
        await ear.hears()
        await news.close()
        await news.close()
        late = Ear()
        news.listen("one", late)()
        valkey.command("PUBLISH", "one", "")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not late.has_heard
    assert valkey.command("PUBSUB CHANNELS") == []


async def test_one_who_never_listened_costs_no_connection(valkey: Valkey) -> None:
    async with telling(valkey.url):
        assert valkey.command("PUBSUB CHANNELS") == []
