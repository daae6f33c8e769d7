from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.faults.fault_rules import FaultRule
from tests.gateway.emulator.api_client import Api

Connect = Callable[[web.Application], Awaitable[TestClient[Any, Any]]]
PATH = "/_emulator/faults"


@pytest.fixture
async def controlled(aiohttp_client: Connect, clock: ManualClock) -> Api:
    rules = [FaultRule(operation="listAssistants", fault="500", first=1)]
    return Api(await aiohttp_client(create_app(clock=clock, faults=rules, fault_control=True)), clock)


async def control(api: Api, method: str, **options: Any) -> tuple[int, Any]:
    async with api.client.request(method, PATH, **options) as reply:
        return reply.status, await reply.json()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_the_route_is_off_by_default(api: Api, method: str) -> None:
    async with api.client.request(method, PATH, json={"rules": []}) as reply:
        assert reply.status == 404


async def test_the_rules_are_shown_with_their_counts(controlled: Api) -> None:
    assert (await controlled.call("GET", "/assistants")).status == 500
    assert (await controlled.call("GET", "/assistants")).status == 200
    shown = {"operation": "listAssistants", "fault": "500", "first": 1, "seen": 2, "struck": 1}
    assert await control(controlled, "GET") == (200, {"rules": [shown]})


async def test_the_rules_are_replaced_and_deleted(controlled: Api) -> None:
    rule = {"operation": "GET", "fault": "429", "retry_after": 3}
    status, body = await control(controlled, "PUT", json={"rules": [rule]})
    assert (status, body) == (200, {"rules": [{**rule, "seen": 0, "struck": 0}]})
    reply = await controlled.call("GET", "/assistants")
    assert (reply.status, reply.headers["Retry-After"]) == (429, "3")
    assert await control(controlled, "DELETE") == (200, {"rules": []})
    assert (await controlled.call("GET", "/assistants")).status == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", 'expected JSON as {"rules": [{"operation": "createRun", "fault": "503", "first": 2}]}, got another: '),
        ("[]", "expected JSON as "),
        ("{}", "got another: Field required"),
        ('{"rules": [{"operation": "createRun", "fault": "504"}]}', "rules[0].fault: expected 'latency', '429'"),
        ('{"rules": [{"operation": "GET", "fault": "503", "first": 0}]}', "rules[0].first: expected greater than or"),
        ('{"rules": [{"operation": "nobody", "fault": "503"}]}', "got 'nobody'"),
        (
            '{"rules": [{"operation": "GET", "fault": "latency"}]}',
            "rules[0]: expected latency_ms with latency, got none",
        ),
    ],
)
async def test_bad_rules_are_refused_and_change_nothing(controlled: Api, body: str, message: str) -> None:
    status, answer = await control(controlled, "PUT", data=body.encode())
    assert status == 400
    assert message in answer["error"]["message"]
    assert len((await control(controlled, "GET"))[1]["rules"]) == 1
