"""Tests that the cost of an operation is predicted and limited before its first call, and reported afterwards."""

from collections.abc import AsyncIterator

import pytest
from graphql import OperationType

from gateway.compose import DEMO_KEY
from tests.schema.operation_helpers import predict
from tests.support.emulator import Emulator, running_emulator
from tests.support.examples import load_examples
from tests.support.gateway import Gateway, running_demo_gateway, running_gateway

EXAMPLES = {one.name: one.text for one in load_examples() if OperationType.SUBSCRIPTION not in one.kinds}
COST_HEADER = {"GraphQL-Cost": "1"}
INBOX = EXAMPLES["02-inbox"]


@pytest.fixture
async def demo_emulator() -> AsyncIterator[Emulator]:
    async with running_emulator(seed_keys=(DEMO_KEY,)) as emulator:
        yield emulator


@pytest.fixture
async def demo(demo_emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_demo_gateway(demo_emulator) as gateway:
        yield gateway


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_takes_no_more_calls_than_predicted_and_reports_the_emulators_count(
    name: str, demo: Gateway, demo_emulator: Emulator
) -> None:
    answer = (await demo.post({"query": EXAMPLES[name]}, headers=COST_HEADER)).json
    assert "errors" not in answer
    cost = answer["extensions"]["cost"]
    assert cost["upstreamCalls"] == demo_emulator.counts.total
    assert cost["predictedCalls"] == predict(EXAMPLES[name])
    assert 1 <= cost["longestChain"] <= cost["upstreamCalls"] <= cost["predictedCalls"]
    assert cost["upstreamMilliseconds"] > 0
    assert (cost["cacheHits"], cost["sharedCalls"]) == (0, 0)


async def test_calls_that_depend_on_each_other_make_a_chain(demo: Gateway) -> None:
    thread = '{ thread(id: "thread_demoQuarterlySales000001") { metadata messages(last: 1) { nodes { %s } } } }'
    for below, chain in (("role", 1), ("run { status assistant { name } }", 3)):
        answer = (await demo.post({"query": thread % below}, headers=COST_HEADER)).json
        assert answer["extensions"]["cost"]["longestChain"] == chain


@pytest.mark.parametrize("headers", [{}, {"GraphQL-Cost": "0"}, {"GraphQL-Cost": "yes"}])
async def test_the_cost_is_reported_only_on_request(demo: Gateway, headers: dict[str, str]) -> None:
    answer = (await demo.post({"query": "{ assistants { nodes { name } } }"}, headers=headers)).json
    assert answer.keys() == {"data"}


async def test_with_the_setting_every_response_reports_its_cost(demo_emulator: Emulator) -> None:
    async with running_gateway(demo_emulator.url, upstream_api_key=DEMO_KEY, gateway_cost=True) as gateway:
        answer = (await gateway.post({"query": "{ upstream { version } }"})).json
        assert answer["extensions"]["cost"] == {
            "upstreamCalls": 0,
            "cacheHits": 0,
            "sharedCalls": 0,
            "upstreamMilliseconds": 0.0,
            "longestChain": 0,
            "predictedCalls": 0,
            "predictedObjects": 0,
            "shownObjects": 0,
            "responseBytes": 27,
        }


@pytest.mark.parametrize(("accept", "status"), [("application/json", 200), ("application/graphql-response+json", 400)])
async def test_an_operation_above_the_limit_is_refused_before_any_call(
    demo_emulator: Emulator, accept: str, status: int
) -> None:
    calls = predict(INBOX)
    for limit, refused in ((calls, False), (calls - 1, True)):
        demo_emulator.counts.reset()
        async with running_gateway(
            demo_emulator.url, upstream_api_key=DEMO_KEY, gateway_max_upstream_calls=limit
        ) as gateway:
            reply = await gateway.post({"query": INBOX}, headers={"Accept": accept})
        if not refused:
            assert reply.json.keys() == {"data"}
            continue
        (error,) = reply.json["errors"]
        assert (reply.status, reply.json.keys()) == (status, {"errors"})
        assert f"{calls} upstream calls; expected at most {limit}" in error["message"]
        del error["extensions"]["requestId"]
        assert error["extensions"] == {
            "code": "TOO_EXPENSIVE",
            "retryable": False,
            "predictedCalls": calls,
            "limit": limit,
        }
        assert demo_emulator.counts.total == 0


async def test_the_attack_of_pages_within_pages_makes_no_call_and_leaves_the_gateway_free(
    demo: Gateway, demo_emulator: Emulator
) -> None:
    selection = "id"
    for _ in range(9):
        selection = f"messages(last: 100) {{ nodes {{ thread {{ {selection} }} }} }}"
    demo_emulator.counts.reset()
    answer = (await demo.post({"query": f'{{ thread(id: "thread_demoQuarterlySales000001") {{ {selection} }} }}'})).json
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], error["extensions"]["limit"]) == ("TOO_EXPENSIVE", 20_000)
    assert error["extensions"]["predictedObjects"] > 100**9
    assert demo_emulator.counts.total == 0


async def test_a_response_above_the_limit_has_no_data(demo_emulator: Emulator) -> None:
    async with running_gateway(demo_emulator.url, upstream_api_key=DEMO_KEY, gateway_max_answer_bytes=500) as gateway:
        answer = (await gateway.post({"query": EXAMPLES["03-conversation"]})).json
        assert answer.keys() == {"errors"}
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["ANSWER_TOO_LARGE"]
        assert (await gateway.post({"query": "{ upstream { version } }"})).json.keys() == {"data"}
