from typing import Any

import pytest

from gateway.compose import build_gateway_app
from gateway.config import Settings
from gateway.server.app import listening
from gateway.server.http.request_limits import RequestLimits, SubscriptionLimits
from gateway.server.live.live_connections import LiveConnections


def test_the_limits_are_those_of_the_settings() -> None:
    defaults = Settings.model_fields
    limits = SubscriptionLimits()
    for name in SubscriptionLimits.__slots__:
        assert getattr(limits, name) == defaults[f"gateway_{name}"].default
    assert RequestLimits().subscriptions == limits


async def test_every_setting_reaches_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[SubscriptionLimits] = []
    init = LiveConnections.__init__

    def recording(self: LiveConnections, limits: SubscriptionLimits, fan_out: object) -> None:
        seen.append(limits)
        init(self, limits, fan_out)  # type: ignore[arg-type]

    monkeypatch.setattr(LiveConnections, "__init__", recording)
    chosen: dict[str, Any] = {name: number for number, name in enumerate(SubscriptionLimits.__slots__, 2)}
    variables: dict[str, Any] = {f"gateway_{name}": value for name, value in chosen.items()}
    settings = Settings(upstream_url="http://127.0.0.1:1/v1", **variables)
    async with listening(build_gateway_app(settings), "127.0.0.1", 0):
        pass
    assert seen == [SubscriptionLimits(**chosen)]
