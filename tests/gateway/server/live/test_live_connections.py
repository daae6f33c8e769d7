import asyncio
from typing import Any, cast

import pytest

from gateway.server.http.operation_runner import OperationRunner
from gateway.server.http.refusals import Refusal
from gateway.server.http.request_limits import SubscriptionLimits
from gateway.server.live.fan_out import FanOut
from gateway.server.live.live_connections import LiveConnections, at_once
from schema.root import build_schema
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.following_ws_and_sse import until


def connections(**limits: Any) -> LiveConnections:
    executor = OperationRunner(build_schema(), lambda _: FakeThreadsApi())
    return LiveConnections(SubscriptionLimits(**limits), FanOut(executor))


class Client:
    """A connection that leaves when it is told, or is stubborn."""

    def __init__(self, owner: LiveConnections, *, stubborn: bool = False) -> None:
        self.owner, self.stubborn, self.log = owner, stubborn, list[str]()
        owner.add(self)

    def send_away(self) -> None:
        self.log.append("sent away")
        if not self.stubborn:
            asyncio.get_running_loop().call_soon(self.owner.remove, self)

    def abort(self) -> None:
        self.log.append("aborted")
        self.owner.remove(self)


class Transport:
    def __init__(self, left: int) -> None:
        self.left, self.aborted = left, False

    def get_write_buffer_size(self) -> int:
        return self.left

    def abort(self) -> None:
        self.aborted = True


def test_places_are_bounded_and_come_back() -> None:
    counted = connections(max_sockets=2)
    with counted.take_place(), counted.take_place(initialised=False):
        with pytest.raises(Refusal, match="at most 2"):
            counted.take_place()
        assert len(counted) == 2
    assert len(counted) == 0
    with counted.take_place():
        pass


def test_the_uninitialised_have_a_bound_of_their_own() -> None:
    counted = connections(max_uninitialised_sockets=1)
    with counted.take_place(initialised=False) as first, counted.take_place():
        with pytest.raises(Refusal, match="without connection_init"):
            counted.take_place(initialised=False)
        first.initialise()
        first.initialise()
        with counted.take_place(initialised=False), pytest.raises(Refusal):
            counted.take_place(initialised=False)
    with counted.take_place(initialised=False):
        pass


async def test_the_end_waits_for_those_who_leave_and_ends_those_who_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.server.live.live_connections.LEAVE_SECONDS", 0.02)
    owner = connections()
    polite, stubborn = Client(owner), Client(owner, stubborn=True)
    await owner.aclose()
    assert polite.log == ["sent away"]
    assert stubborn.log == ["sent away", "aborted"]


async def test_the_end_of_nothing_is_at_once() -> None:
    await connections().aclose()


async def test_what_is_left_to_send_gets_a_moment_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = connections()
    empty, late = Transport(0), Transport(9)
    for transport in (empty, late, late):
        owner.abort_later(cast("asyncio.Transport", transport))
    assert not late.aborted
    await owner.aclose()
    assert (empty.aborted, late.aborted) == (False, True)
    monkeypatch.setattr("gateway.server.live.live_connections.LEAVE_SECONDS", 0.0)
    slow = Transport(9)
    owner.abort_later(cast("asyncio.Transport", slow))
    await until(lambda: slow.aborted)


async def test_sending_at_once_tolerates_a_lost_connection_and_nothing_that_waits() -> None:
    sent: list[str] = []

    async def sends() -> None:
        sent.append("sent")

    async def is_lost() -> None:
        raise ConnectionResetError

    async def waits() -> None:
        await asyncio.Event().wait()

    at_once(sends())
    at_once(is_lost())
    with pytest.raises(RuntimeError, match="had to wait"):
        at_once(waits())
    assert sent == ["sent"]
