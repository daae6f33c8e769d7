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


class FakeListener:
    """A listener whose calls a test can wait for."""

    def __init__(self) -> None:
        self._called = asyncio.Event()

    def __call__(self) -> None:
        self._called.set()

    async def is_called_after(self, action: Callable[[], object] = lambda: None) -> None:
        self._called.clear()
        action()
        async with asyncio.timeout(PATIENT_SECONDS):
            await self._called.wait()

    def reset(self) -> None:
        self._called.clear()

    @property
    def was_called(self) -> bool:
        return self._called.is_set()


class FakeSleep:
    """Reminder sleeps end when the test says so; pauses between connections end at once."""

    def __init__(self) -> None:
        self.retry_seconds: list[float] = []
        self._turn = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        if seconds != REMINDER_SECONDS:
            self.retry_seconds.append(seconds)
            await asyncio.sleep(0.01)
            return
        await self._turn.wait()

    def wake(self) -> None:
        self._turn.set()
        self._turn = asyncio.Event()


@asynccontextmanager
async def open_notifications(
    url: str, *, cluster: bool = False, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[RedisNotifications]:
    connection = RedisConnection(url, cluster=cluster, deadline_seconds=PATIENT_SECONDS)
    notifications = RedisNotifications(connection.open_pubsub, sleep=sleep)
    try:
        yield notifications
    finally:
        await notifications.close()
        await connection.close()


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_SECONDS):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


async def test_a_published_message_calls_its_listener(valkey: Valkey) -> None:
    async with open_notifications(valkey.url, sleep=FakeSleep()) as notifications:
        one, other = FakeListener(), FakeListener()
        notifications.listen("one", one)
        notifications.listen("other", other)
        await one.is_called_after()  # the subscription has started
        await other.is_called_after(lambda: valkey.command("PUBLISH", "other", ""))
        await one.is_called_after(lambda: valkey.command("PUBLISH", "one", ""))


async def test_all_listeners_share_one_connection(valkey: Valkey) -> None:
    async with open_notifications(valkey.url, sleep=FakeSleep()) as notifications:
        listeners = [FakeListener() for _ in range(20)]
        for number, listener in enumerate(listeners):
            notifications.listen(f"channel {number // 2}", listener)
        for listener in listeners:
            await listener.is_called_after(
                lambda: [valkey.command("PUBLISH", f"channel {number}", "") for number in range(10)]
            )
        assert len(valkey.command("CLIENT LIST", "TYPE", "pubsub")) == 1


async def test_on_a_cluster_a_message_of_any_node_calls_the_listener(valkey_cluster: list[Valkey]) -> None:
    async with open_notifications(valkey_cluster[0].url, cluster=True, sleep=FakeSleep()) as notifications:
        listener = FakeListener()
        notifications.listen("one", listener)
        await listener.is_called_after()
        for server in valkey_cluster:
            await listener.is_called_after(lambda server=server: server.command("PUBLISH", "one", ""))  # type: ignore[misc]


async def test_a_removed_listener_is_not_called_and_its_channel_is_unsubscribed(valkey: Valkey) -> None:
    def subscribers() -> int:
        count: int = valkey.command("PUBSUB NUMSUB", "one")[0][1]
        return count

    async with open_notifications(valkey.url, sleep=FakeSleep()) as notifications:
        listener = FakeListener()
        stop = notifications.listen("one", listener)
        await listener.is_called_after()
        await eventually(lambda: subscribers() == 1)
        stop()
        listener.reset()
        await eventually(lambda: subscribers() == 0)
        again = FakeListener()
        notifications.listen("one", again)
        await again.is_called_after()
        await again.is_called_after(lambda: valkey.command("PUBLISH", "one", ""))
        assert not listener.was_called


async def test_every_listener_gets_reminders(valkey: Valkey) -> None:
    fake_sleep = FakeSleep()
    async with open_notifications(valkey.url, sleep=fake_sleep) as notifications:
        listener = FakeListener()
        notifications.listen("one", listener)
        await listener.is_called_after()
        for _ in range(3):
            await eventually(lambda: bool(valkey.command("PUBSUB NUMSUB", "one")[0][1]))
            await listener.is_called_after(fake_sleep.wake)


async def test_every_listener_gets_reminders_without_redis() -> None:
    fake_sleep = FakeSleep()
    async with open_notifications("redis://127.0.0.1:1", sleep=fake_sleep) as notifications:
        listener = FakeListener()
        notifications.listen("one", listener)
        await eventually(lambda: len(fake_sleep.retry_seconds) > 8)
        await listener.is_called_after(fake_sleep.wake)
        assert fake_sleep.retry_seconds[0] == FIRST_RETRY_SECONDS
        assert fake_sleep.retry_seconds == sorted(fake_sleep.retry_seconds)
        assert max(fake_sleep.retry_seconds) == MAX_RETRY_SECONDS


async def test_a_new_connection_calls_every_listener_and_serves_them_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_valkey() as server:
        fake_sleep = FakeSleep()
        async with open_notifications(server.url, sleep=fake_sleep) as notifications:
            one, other = FakeListener(), FakeListener()
            notifications.listen("one", one)
            notifications.listen("other", other)
            await one.is_called_after()
            await other.is_called_after(lambda: server.command("PUBLISH", "other", ""))
            server.kill()
            await eventually(lambda: len(fake_sleep.retry_seconds) > 3)
            await asyncio.gather(one.is_called_after(), other.is_called_after(), asyncio.to_thread(server.start))
            await one.is_called_after(lambda: server.command("PUBLISH", "one", ""))
            await eventually(lambda: caplog.messages[-1:] == ["redis tells news again"])
            assert len(caplog.messages) == 2
            before = len(fake_sleep.retry_seconds)
            server.command("CLIENT KILL", "TYPE", "pubsub")
            await one.is_called_after()
            assert fake_sleep.retry_seconds[before] == FIRST_RETRY_SECONDS


async def test_a_silent_connection_is_replaced() -> None:
    with running_valkey() as server:
        fake_sleep = FakeSleep()
        async with open_notifications(server.url, sleep=fake_sleep) as notifications:
            listener = FakeListener()
            notifications.listen("one", listener)
            await listener.is_called_after()
            server.command("CLIENT", "PAUSE", 500, "ALL")

            async def wake() -> None:
                while True:
                    fake_sleep.wake()
                    await asyncio.sleep(0.02)

            wake_task = asyncio.create_task(wake())
            await eventually(lambda: len(fake_sleep.retry_seconds) > 0)
            wake_task.cancel()
            await asyncio.wait([wake_task])
            await eventually(lambda: ANCHOR_CHANNEL.encode() in server.command("PUBSUB CHANNELS"))
            await listener.is_called_after(lambda: server.command("PUBLISH", "one", ""))


async def test_an_answering_connection_is_kept(valkey: Valkey) -> None:
    opened: list[PubSub] = []
    connection = RedisConnection(valkey.url, cluster=False, deadline_seconds=PATIENT_SECONDS)

    async def open_pubsub() -> PubSub:
        opened.append(await connection.open_pubsub())
        return opened[-1]

    async def sleep_briefly(seconds: float) -> None:
        await asyncio.sleep(0.1)

    notifications = RedisNotifications(open_pubsub, sleep=sleep_briefly)
    listener = FakeListener()
    notifications.listen("one", listener)
    for _ in range(5):
        await listener.is_called_after()
    await notifications.close()
    await connection.close()
    assert len(opened) == 1


async def test_no_listener_is_called_after_close(valkey: Valkey) -> None:
    async with open_notifications(valkey.url, sleep=FakeSleep()) as notifications:
        listener = FakeListener()
        notifications.listen("one", listener)
        await listener.is_called_after()
        await notifications.close()
        await notifications.close()
        late = FakeListener()
        notifications.listen("one", late)()
        valkey.command("PUBLISH", "one", "")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not late.was_called
    assert valkey.command("PUBSUB CHANNELS") == []


class PubSubFailingOnCancel:
    """A connection that two tasks use: when both are cancelled, one of them finds it closed by the other."""

    def __init__(self) -> None:
        self.is_listening = asyncio.Event()

    async def subscribe(self, *channels: str) -> None:
        pass

    async def ping(self) -> None:
        pass

    async def listen(self) -> AsyncIterator[dict[str, object]]:
        self.is_listening.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("connection closed by another task") from None
        yield {}

    async def aclose(self) -> None:
        pass


async def test_close_ends_although_a_connection_fails_while_it_is_cancelled() -> None:
    pubsub = PubSubFailingOnCancel()

    async def open_pubsub() -> PubSub:
        if pubsub.is_listening.is_set():
            await asyncio.Event().wait()
        return pubsub  # type: ignore[return-value]

    notifications = RedisNotifications(open_pubsub, sleep=FakeSleep())
    notifications.listen("one", FakeListener())
    async with asyncio.timeout(PATIENT_SECONDS):
        await pubsub.is_listening.wait()
        await notifications.close()


async def test_without_a_listener_there_is_no_connection(valkey: Valkey) -> None:
    async with open_notifications(valkey.url):
        assert valkey.command("PUBSUB CHANNELS") == []
