"""Tests storms of upstream failures through a real gateway: few calls, stale answers, a quick recovery."""

import pytest

from tests.support.emulator import Emulator
from tests.support.gateway import running_gateway
from tests.support.mutations import answered_thread
from tests.support.upstream_client import RecordedSleeps, replace_pauses

QUERY = "query ($id: ID!) { thread(id: $id) { metadata } }"
CALLS_OF_EACH_CALLER = 20


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> RecordedSleeps:
    return replace_pauses(monkeypatch)


@pytest.mark.usefixtures("shared_clock")
async def test_stale_answers_are_given_while_the_breaker_is_open(emulator: Emulator, pauses: RecordedSleeps) -> None:
    thread_id = await answered_thread(emulator)
    async with running_gateway(emulator.url, gateway_cache=True) as gateway:
        fresh = await gateway.execute(QUERY, {"id": thread_id})
        emulator.clock.advance(61)
        emulator.misbehave("GET:502")
        emulator.counts.reset()
        for _ in range(CALLS_OF_EACH_CALLER):
            stale = await gateway.execute(QUERY, {"id": thread_id})
            assert stale == {**fresh, "extensions": {"staleAnswers": 1}}
        assert emulator.counts.total <= 1.1 * CALLS_OF_EACH_CALLER
        emulator.misbehave("")
        pauses.advance(1.0)
        assert await gateway.execute(QUERY, {"id": thread_id}) == fresh


@pytest.mark.parametrize("fault", ["429", "429:retry_after=1", "429:retry_after=30", "503", "truncated"])
async def test_a_storm_over_several_callers_is_not_multiplied(
    emulator: Emulator, pauses: RecordedSleeps, fault: str
) -> None:
    thread_id = await answered_thread(emulator)
    callers = [{"Authorization": f"Bearer caller-{number}"} for number in range(10)]
    async with running_gateway(emulator.url) as gateway:
        emulator.misbehave(f"GET:{fault}")
        emulator.counts.reset()
        for _ in range(CALLS_OF_EACH_CALLER):
            for headers in callers:
                reply = await gateway.execute(QUERY, {"id": thread_id}, headers)
                assert reply["errors"][0]["extensions"]["retryable"]
                pauses.advance(0.01)
        assert emulator.counts.total <= 1.1 * CALLS_OF_EACH_CALLER * len(callers)
        emulator.misbehave("")
        pauses.advance(30.0 if "30" in fault else 1.0)
        for headers in callers:
            # The thread is another caller's.
            reply = await gateway.execute(QUERY, {"id": thread_id}, headers)
            assert reply == {"data": {"thread": None}}
