from typing import Any

import pytest

from gateway.compose import build_gateway_app
from gateway.config import Settings
from gateway.server.app import listening
from gateway.server.http.held_bytes import UnfinishedBytes, UnreadBytes
from gateway.server.http.request_limits import RequestLimits, SubscriptionLimits
from gateway.server.live.live_connections import LiveConnections

WITH_SETTING = [name for name in SubscriptionLimits.__slots__ if name != "ping_flood_seconds"]
"""The limits of subscriptions that have a setting of their name."""


def test_the_limits_are_those_of_the_settings() -> None:
    defaults = Settings.model_fields
    limits = SubscriptionLimits()
    for name in WITH_SETTING:
        assert getattr(limits, name) == defaults[f"gateway_{name}"].default
    assert RequestLimits().subscriptions == limits


async def test_every_setting_reaches_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[SubscriptionLimits] = []
    init = LiveConnections.__init__

    def recording(self: LiveConnections, limits: SubscriptionLimits, fan_out: object) -> None:
        seen.append(limits)
        init(self, limits, fan_out)  # type: ignore[arg-type]

    monkeypatch.setattr(LiveConnections, "__init__", recording)
    chosen: dict[str, Any] = {name: number for number, name in enumerate(WITH_SETTING, 2)}
    variables: dict[str, Any] = {f"gateway_{name}": value for name, value in chosen.items()}
    settings = Settings(upstream_url="http://127.0.0.1:1/v1", **variables)
    async with listening(build_gateway_app(settings), "127.0.0.1", 0):
        pass
    assert seen == [SubscriptionLimits(**chosen)]


class FakeClient:
    """A client that notes that it was let go."""

    def __init__(self) -> None:
        self.is_let_go = False

    def let_go(self) -> None:
        self.is_let_go = True


def test_unfinished_bytes_are_held_up_to_the_limit() -> None:
    unfinished = UnfinishedBytes(10)
    assert unfinished.hold(10)
    assert not unfinished.hold(1)
    unfinished.release(4)
    assert unfinished.hold(4)
    assert unfinished.held_bytes == 10


def test_the_clients_that_have_read_nothing_for_longest_are_let_go_when_too_much_waits() -> None:
    unread, clients = UnreadBytes(100), [FakeClient() for _ in range(4)]
    for client in clients[:3]:
        unread.record(client, 30, is_reading=True)
    unread.record(clients[0], 25, is_reading=True)
    unread.record(clients[3], 70, is_reading=True)
    assert [client.is_let_go for client in clients] == [False, True, True, False]
    assert unread.waiting_bytes == 95
    unread.remove(clients[1])
    unread.remove(clients[3])
    assert unread.waiting_bytes == 25


def test_more_bytes_that_wait_do_not_make_a_client_younger() -> None:
    unread, clients = UnreadBytes(100), [FakeClient() for _ in range(2)]
    unread.record(clients[0], 10, is_reading=True)
    unread.record(clients[1], 50, is_reading=True)
    unread.record(clients[0], 60, is_reading=False)
    assert [client.is_let_go for client in clients] == [True, False]


def test_a_client_alone_is_let_go_too() -> None:
    unread, client = UnreadBytes(100), FakeClient()
    unread.record(client, 500, is_reading=True)
    assert client.is_let_go
    assert unread.waiting_bytes == 0
