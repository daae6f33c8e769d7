"""Tests the rate limits of callers over sockets: what counts, how it is refused, and on whom it has no effect."""

import asyncio
import functools
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway import compose
from gateway.emulator.clock import ManualClock
from gateway.rate_limits.shared_counters import SharedCounters
from tests.support.emulator import AUTHORIZATION, KEY, Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    QUEUED_SECONDS,
    RUN_EVENTS,
    RUN_STATUS,
    start_run,
    start_run_without_gateway,
)
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import assistant, thread_with_question
from tests.support.npm_clients import run_npm_client
from tests.support.scripted_upstream import response, scripted_upstream
from tests.support.subscription_clients import SubscriptionReader, open_socket, open_stream

ONE_CALL = "{ assistants(first: 1) { nodes { id } } }"
NO_CALL = "{ __typename }"
HOUR = {"gateway_rate_limit_seconds": 3600}
SENTENCE = "This gateway lets a caller have "


@pytest.fixture
def limit_clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The clock of the limits, for those who let a window pass."""
    clock = ManualClock()
    monkeypatch.setattr(compose, "SharedCounters", functools.partial(SharedCounters, clock=clock.now))
    return clock


async def left(gateway: Gateway, key: str = KEY) -> Mapping[str, Any]:
    """Return what a caller has left. This is an operation, but makes no call."""
    headers = {"Authorization": f"Bearer {key}", "GraphQL-Cost": "1"}
    answer = await gateway.execute(NO_CALL, headers=headers)
    limits: Mapping[str, Any] = answer["extensions"]["cost"]["rateLimit"]
    return limits


async def code(gateway: Gateway, query: str, key: str = KEY, **variables: Any) -> str | None:
    answer = await gateway.execute(query, variables, headers={"Authorization": f"Bearer {key}"})
    return answer["errors"][0]["extensions"]["code"] if "errors" in answer else None


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json", "text/event-stream"])
async def test_a_refusal_over_http_is_429_with_the_time_to_wait(emulator: Emulator, accept: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Accept": accept}
    async with running_gateway(emulator.url, gateway_rate_limit_calls=2, **HOUR) as gateway:
        for _ in range(2):
            assert (await gateway.post({"query": ONE_CALL}, headers=headers)).status == 200
        refused = await gateway.post({"query": ONE_CALL}, headers=headers)
        assert refused.status == 429
        (error,) = refused.json["errors"]
        assert "data" not in refused.json
        assert error["message"] == (
            f"{SENTENCE}2 upstream calls in 3600 s (GATEWAY_RATE_LIMIT_CALLS): 0 are left, and this may need 1."
        )
        extensions = error["extensions"]
        assert (extensions["code"], extensions["retryable"]) == ("RATE_LIMITED", True)
        assert 3_500_000 < extensions["retryAfterMs"] <= 3_600_000
        assert int(refused.headers["Retry-After"]) == -(-extensions["retryAfterMs"] // 1000)
        assert (await gateway.post({"query": NO_CALL}, headers=headers)).status == 200
        assert emulator.counts.total == 2


async def test_a_subscription_over_an_event_stream_is_refused_like_a_query(emulator: Emulator) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Accept": "text/event-stream"}
    async with running_gateway(emulator.url, gateway_rate_limit_operations=1, **HOUR) as gateway:
        assert await code(gateway, ONE_CALL) is None
        body = {"query": RUN_STATUS, "variables": {"run": "x"}}
        refused = await gateway.post(body, headers=headers)
        assert (refused.status, refused.json["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")
        assert int(refused.headers["Retry-After"]) > 3500


async def test_an_operation_of_a_socket_is_refused_by_its_error_and_the_others_go_on(emulator: Emulator) -> None:
    run = await start_run_without_gateway(emulator)
    async with (
        running_gateway(emulator.url, gateway_rate_limit_operations=3, **HOUR) as gateway,
        open_socket(gateway) as socket,
    ):
        assert await code(gateway, ONE_CALL) is None
        followed = await socket.subscribe(RUN_EVENTS, run=run.id)
        await followed.wait_for_event("RunSnapshot")
        query = await socket.subscribe(ONE_CALL)
        assert (await query.wait_for_end()).errors is None
        for text, variables in ((ONE_CALL, {}), (RUN_EVENTS, {"run": run.id})):
            refused = await (await socket.subscribe(text, **variables)).wait_for_end()
            assert refused.error_codes == ["RATE_LIMITED"]
            assert refused.errors is not None
            assert refused.errors[0]["message"].startswith(f"{SENTENCE}3 operations in 3600 s")
            assert refused.errors[0]["extensions"]["retryAfterMs"] > 3_500_000
        emulator.clock.advance(LONG_SECONDS)
        assert (await followed.wait_for_completion())[-1]["type"] == "RunStatusChange"


async def test_the_clients_of_npm_are_told(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_rate_limit_operations=1, **HOUR) as gateway:
        assert await code(gateway, ONE_CALL) is None
        async with run_npm_client("ws", gateway.url, ONE_CALL, authorization=AUTHORIZATION) as received:
            _, refused, *_ = await received
        assert [error["extensions"]["code"] for error in refused["error"]] == ["RATE_LIMITED"]
        async with run_npm_client("sse", gateway.url, ONE_CALL, authorization=AUTHORIZATION) as received:
            *retries, last = await received
        # It tries again after each status that is no success, as often as it was told.
        assert {"retry": None} in retries
        assert last == {"error": "Server responded with 429: Too Many Requests"}


async def test_runs_that_start_are_limited_and_other_writes_are_not(emulator: Emulator) -> None:
    start = "mutation ($a: ID!) { %s }"
    one = "createThreadAndRun(input: {assistantId: $a}) { run { id } }"
    variables = {"a": await assistant(emulator)}
    thread_id = await thread_with_question(emulator)
    async with running_gateway(emulator.url, gateway_rate_limit_runs=2, **HOUR) as gateway:
        assert await code(gateway, ONE_CALL) is None
        too_many = await gateway.execute(start % f"a: {one} b: {one} c: {one}", variables)
        (error,) = too_many["errors"]
        assert error["message"].startswith("The operation starts 3 runs; expected at most 2.")
        assert error["extensions"] | {"requestId": ""} == {
            "code": "TOO_EXPENSIVE",
            "retryable": False,
            "predictedRuns": 3,
            "limit": 2,
            "requestId": "",
        }
        assert await code(gateway, start % f"...on Mutation {{ a: {one} }} b: {one}", **variables) is None
        assert await code(gateway, start % one, **variables) == "RATE_LIMITED"
        message = (
            'mutation ($t: ID!) { createMessage(input: {threadId: $t, role: USER, content: [{text: "x"}]}) '
            "{ userErrors { code } } }"
        )
        assert await code(gateway, message, t=thread_id) is None
        state = await left(gateway)
        assert (state["runsLimit"], state["runsRemaining"], state["callsLimit"]) == (2, 0, None)


async def test_an_operation_above_a_whole_limit_is_told_that_no_retry_helps(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_rate_limit_calls=2, **HOUR) as gateway:
        three = " ".join(f'a{n}: assistant(id: "asst_{n}") {{ name }}' for n in range(3))
        answer = await gateway.execute(f"{{ {three} }}")
        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "TOO_EXPENSIVE"
        assert (error["extensions"]["predictedCalls"], error["extensions"]["limit"]) == (3, 2)
        assert error["extensions"]["retryable"] is False
        assert emulator.counts.total == 0


async def test_what_was_predicted_and_not_sent_is_given_back(emulator: Emulator) -> None:
    await assistant(emulator)
    emulator.counts.reset()
    query = '{ assistants(first: 1) { nodes { id } } a: assistant(id: "x") { name } b: assistant(id: "y") { name } }'
    async with running_gateway(emulator.url, gateway_rate_limit_calls=50, gateway_cache=True, **HOUR) as gateway:
        await gateway.execute(query)
        sent = emulator.counts.total
        assert (await left(gateway))["callsRemaining"] == 50 - sent
        await gateway.execute(ONE_CALL)  # of the cache
        assert emulator.counts.total == sent
        assert (await left(gateway))["callsRemaining"] == 50 - sent


async def test_one_callers_limit_is_not_anothers(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_rate_limit_calls=1, **HOUR) as gateway:
        assert [await code(gateway, ONE_CALL, key) for key in ("ann", "ann", "bob", "ann", "bob")] == [
            None,
            "RATE_LIMITED",
            None,
            "RATE_LIMITED",
            "RATE_LIMITED",
        ]


async def test_a_hundred_callers_have_each_their_share_beside_one_that_is_refused(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_rate_limit_calls=2, **HOUR) as gateway:
        for _ in range(2):
            assert await code(gateway, ONE_CALL, "greedy") is None
        others = [f"caller-{number}" for number in range(100)]
        answers = await asyncio.gather(
            *(code(gateway, ONE_CALL, key) for key in others), *(code(gateway, ONE_CALL, "greedy") for _ in range(100))
        )
        assert answers == [None] * 100 + ["RATE_LIMITED"] * 100


async def test_the_window_frees_what_was_used(emulator: Emulator, limit_clock: ManualClock) -> None:
    async with running_gateway(emulator.url, gateway_rate_limit_calls=2) as gateway:
        assert [await code(gateway, ONE_CALL) for _ in range(3)] == [None, None, "RATE_LIMITED"]
        answer = await gateway.execute(ONE_CALL)
        wait = answer["errors"][0]["extensions"]["retryAfterMs"] / 1000
        limit_clock.advance(wait - 0.1)
        assert await code(gateway, ONE_CALL) == "RATE_LIMITED"
        limit_clock.advance(0.2)
        assert await code(gateway, ONE_CALL) is None


EXPENSIVE_EVENTS = """
subscription ($run: ID!, $after: String) {
  runEvents(runId: $run, after: $after) {
    type: __typename
    ... on RunLogEvent { cursor }
    ... on MessageFinished { message { thread { messages(first: 1) { nodes { id } } } } }
  }
}"""


@asynccontextmanager
async def followed(gateway: Gateway, transport: str, run_id: str) -> AsyncIterator[SubscriptionReader]:
    if transport == "stream":
        async with open_stream(gateway, EXPENSIVE_EVENTS, run=run_id) as reader:
            yield reader
    else:
        async with open_socket(gateway) as socket:
            yield await socket.subscribe(EXPENSIVE_EVENTS, run=run_id)


@pytest.mark.parametrize("transport", ["socket", "stream"])
async def test_an_event_that_cannot_be_loaded_ends_its_subscription_and_is_not_lost(
    emulator: Emulator, limit_clock: ManualClock, transport: str
) -> None:
    async with running_gateway(emulator.url, gateway_rate_limit_calls=5) as gateway:
        assert await code(gateway, ONE_CALL) is None
        run = await start_run(emulator, gateway)
        async with followed(gateway, transport, run.id) as reader:
            await reader.wait_for_event("RunSnapshot")
            while (await left(gateway))["callsRemaining"]:
                assert await code(gateway, ONE_CALL) is None
            emulator.clock.advance(QUEUED_SECONDS + LONG_SECONDS)
            await reader.wait_for_end()
        assert reader.error_codes == ["RATE_LIMITED"]
        assert reader.of_type("TextDelta")
        assert not reader.of_type("MessageFinished")
        limit_clock.advance(120)
        async with open_socket(gateway) as socket:
            resumed = await socket.subscribe(EXPENSIVE_EVENTS, run=run.id, after=reader.cursor)
            events = await resumed.wait_for_completion()
        assert events[0]["type"] == "MessageFinished"
        assert len(events[0]["message"]["thread"]["messages"]["nodes"]) == 1
        assert (await left(gateway))["callsRemaining"] < 5


async def test_polls_count_for_the_caller_who_follows_and_wait_while_it_has_no_call_left(
    emulator: Emulator, limit_clock: ManualClock
) -> None:
    run = await start_run_without_gateway(emulator)
    emulator.counts.reset()
    async with running_gateway(emulator.url, gateway_rate_limit_calls=5) as gateway, open_socket(gateway) as socket:
        assert await code(gateway, ONE_CALL) is None
        reader = await socket.subscribe(RUN_STATUS, run=run.id)
        await reader.wait_for_event("RunStatusChange")
        async with asyncio.timeout(20):
            while (await left(gateway))["callsRemaining"]:  # noqa: ASYNC110 - the recorder polls in real time
                await asyncio.sleep(0.05)
        assert emulator.counts.total == 5
        emulator.clock.advance(LONG_SECONDS)
        assert not reader.is_over
        assert await code(gateway, ONE_CALL, "bob") is None
        assert emulator.counts.total == 6


async def test_an_invented_credential_is_answered_as_without_limits() -> None:
    settings: dict[str, Any] = {"gateway_rate_limit_calls": 2, "gateway_rate_limit_operations": 2, **HOUR}
    async with scripted_upstream() as upstream:
        upstream.default_response = lambda _: response(401, {"error": {"message": "no"}})
        async with running_gateway(upstream.url, **settings) as gateway:
            assert {await code(gateway, ONE_CALL, "invented") for _ in range(10)} == {"UNAUTHENTICATED"}
            state = await left(gateway, "invented")
            assert (state["callsRemaining"], state["operationsRemaining"]) == (2, 2)


async def test_what_a_caller_did_before_the_upstream_accepted_it_counts_from_then_on(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_rate_limit_calls=30, gateway_rate_limit_operations=30) as gateway:
        assert await asyncio.gather(*(code(gateway, ONE_CALL) for _ in range(10))) == [None] * 10
        state = await left(gateway)
        assert state["callsRemaining"] == 30 - emulator.counts.total
        assert state["operationsRemaining"] == 30 - 11


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "uncached"])
async def test_the_counter_equals_the_calls_after_random_operations(emulator: Emulator, cached: bool) -> None:
    """Run operations side by side: long and short ones, of objects that are not there, failing and retried."""
    thread_id = await thread_with_question(emulator)
    queries = [
        ONE_CALL,
        NO_CALL,
        '{ a: assistant(id: "asst_x") { name } b: assistant(id: "asst_y") { name } }',
        f'{{ thread(id: "{thread_id}") {{ messages(first: 5) {{ nodes {{ id thread {{ metadata }} }} }} }} }}',
        f'{{ thread(id: "{thread_id}") {{ runs(first: 3) {{ nodes {{ steps(first: 2) {{ nodes {{ id }} }} }} }} }} }}',
        (
            f'mutation {{ createMessage(input: {{threadId: "{thread_id}", role: USER, content: [{{text: "x"}}]}}) '
            "{ message { id } userErrors { code } } }"
        ),
        "{ nonsense }",
    ]
    chance = random.Random(7)
    emulator.counts.reset()
    emulator.misbehave("list*:503:every=3,get*:429:every=2:retry_after=0")
    async with running_gateway(emulator.url, gateway_rate_limit_calls=10_000, gateway_cache=cached, **HOUR) as gateway:
        while await code(gateway, ONE_CALL) is not None:
            pass
        for _ in range(6):
            await asyncio.gather(*(gateway.execute(chance.choice(queries)) for _ in range(20)))
        assert emulator.counts.by_fault.total() > (2 if cached else 20)
        assert (await left(gateway))["callsRemaining"] == 10_000 - emulator.counts.total
