import asyncio
from typing import Any, cast

import pytest

from gateway.server.http.operation_contexts import OperationContexts
from gateway.server.http.operation_runner import OperationRunner
from gateway.server.http.refusals import Refusal
from gateway.server.http.request_limits import SubscriptionLimits
from gateway.server.live.fan_out import FanOut
from gateway.server.live.live_connections import LiveConnections, send_without_waiting
from schema.root import build_schema
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.subscription_gateway import until


def connections(**limits: Any) -> LiveConnections:
    runner = OperationRunner(build_schema(), OperationContexts(lambda _: FakeThreadsApi()))
    return LiveConnections(SubscriptionLimits(**limits), FanOut(runner))


class Client:
    """A connection that leaves when it is asked to reconnect, unless it is stubborn."""

    def __init__(self, owner: LiveConnections, *, stubborn: bool = False) -> None:
        self.owner, self.stubborn, self.log = owner, stubborn, list[str]()
        owner.register(self)

    def request_reconnect(self) -> None:
        self.log.append("asked to reconnect")
        if not self.stubborn:
            asyncio.get_running_loop().call_soon(self.owner.unregister, self)

    def abort(self) -> None:
        self.log.append("aborted")
        self.owner.unregister(self)


class Transport:
    def __init__(self, buffered_bytes: int) -> None:
        self.buffered_bytes, self.aborted = buffered_bytes, False

    def get_write_buffer_size(self) -> int:
        return self.buffered_bytes

    def abort(self) -> None:
        self.aborted = True


def test_slots_are_limited_and_released() -> None:
    slots = connections(max_sockets=2)
    with slots.acquire_slot(), slots.acquire_slot(initialised=False):
        with pytest.raises(Refusal, match="at most 2"):
            slots.acquire_slot()
        assert len(slots) == 2
    assert len(slots) == 0
    with slots.acquire_slot():
        pass


def test_uninitialised_connections_have_their_own_limit() -> None:
    slots = connections(max_uninitialised_sockets=1)
    with slots.acquire_slot(initialised=False) as first, slots.acquire_slot():
        with pytest.raises(Refusal, match="without connection_init"):
            slots.acquire_slot(initialised=False)
        first.mark_initialised()
        first.mark_initialised()
        with slots.acquire_slot(initialised=False), pytest.raises(Refusal):
            slots.acquire_slot(initialised=False)
    with slots.acquire_slot(initialised=False):
        pass


async def test_closing_waits_for_clients_that_leave_and_aborts_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.server.live.live_connections.CLOSE_TIMEOUT_SECONDS", 0.02)
    owner = connections()
    polite, stubborn = Client(owner), Client(owner, stubborn=True)
    await owner.aclose()
    assert polite.log == ["asked to reconnect"]
    assert stubborn.log == ["asked to reconnect", "aborted"]


async def test_closing_without_connections_does_not_wait() -> None:
    await connections().aclose()


async def test_a_connection_with_buffered_bytes_is_aborted_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = connections()
    empty, late = Transport(0), Transport(9)
    for transport in (empty, late, late):
        owner.abort_after_timeout(cast("asyncio.Transport", transport))
    assert not late.aborted
    await owner.aclose()
    assert (empty.aborted, late.aborted) == (False, True)
    monkeypatch.setattr("gateway.server.live.live_connections.CLOSE_TIMEOUT_SECONDS", 0.0)
    slow = Transport(9)
    owner.abort_after_timeout(cast("asyncio.Transport", slow))
    await until(lambda: slow.aborted)


async def test_a_send_ignores_a_lost_connection_and_must_not_wait() -> None:
    sent: list[str] = []

    async def sends() -> None:
        sent.append("sent")

    async def is_lost() -> None:
        raise ConnectionResetError

    async def waits() -> None:
        await asyncio.Event().wait()

    send_without_waiting(sends())
    send_without_waiting(is_lost())
    with pytest.raises(RuntimeError, match="had to wait"):
        send_without_waiting(waits())
    assert sent == ["sent"]
