"""Tests that the records answer for a credential only while the upstream has accepted it, and what asking costs."""

import asyncio

import pytest

from gateway.identity.accepted_credentials import AcceptedCredentials
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.viewer.upstream_acceptance import ACCEPTED_SECONDS, UpstreamAcceptance
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import AssistantPageKey
from schema.contract.paging import Window
from tests.support.fake_threads_api import FakeThreadsApi

UPSTREAM = UpstreamIdentity("http://upstream.test")
ANN, BOB = (Principal.from_credential(f"Bearer {name}", UPSTREAM) for name in ("ann", "bob"))
ASKED = ("list_assistants", (AssistantPageKey(Window(1, "desc")),))
REFUSED = GatewayError(ErrorCode.UNAUTHENTICATED, "no")


class Clock:
    now = 0.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accepted(clock: Clock) -> AcceptedCredentials:
    return AcceptedCredentials(now_seconds=lambda: clock.now)


async def test_an_answer_stands_for_five_minutes_and_then_one_read_asks(
    accepted: AcceptedCredentials, clock: Clock
) -> None:
    acceptance, api = UpstreamAcceptance(accepted), FakeThreadsApi()
    await acceptance.check(ANN, lambda: api)
    await acceptance.check(ANN, lambda: api)
    assert api.calls == [ASKED]
    clock.now = ACCEPTED_SECONDS
    await acceptance.check(ANN, lambda: api)
    assert len(api.calls) == 2
    clock.now += 1
    accepted.record_status(BOB.digest, 200)
    await acceptance.check(BOB, lambda: api)
    assert len(api.calls) == 2
    accepted.record_status(BOB.digest, 401)
    assert not acceptance.is_accepted(BOB)
    await acceptance.aclose()


async def test_what_is_kept_of_a_caller_accepts_nobody(accepted: AcceptedCredentials) -> None:
    accepted.record_accepted(ANN.digest)
    assert ANN.digest in accepted
    assert not UpstreamAcceptance(accepted).is_accepted(ANN)
    accepted.record_status(ANN.digest, 200)
    accepted.record_accepted(ANN.digest)
    assert UpstreamAcceptance(accepted).is_accepted(ANN)


async def test_many_who_ask_at_the_same_time_cause_one_read(accepted: AcceptedCredentials) -> None:
    acceptance, api = UpstreamAcceptance(accepted), FakeThreadsApi()
    await asyncio.gather(*(acceptance.check(ANN, lambda: api) for _ in range(5)))
    assert api.calls == [ASKED]
    await acceptance.aclose()


async def test_a_refusal_is_the_error_of_all_who_ask_and_is_not_remembered(accepted: AcceptedCredentials) -> None:
    acceptance, api = UpstreamAcceptance(accepted), FakeThreadsApi()
    api.fail[ASKED[1][0]] = REFUSED
    answers = await asyncio.gather(*(acceptance.check(ANN, lambda: api) for _ in range(3)), return_exceptions=True)
    assert answers == [REFUSED] * 3
    with pytest.raises(GatewayError):
        await acceptance.check(ANN, lambda: api)
    assert not acceptance.is_accepted(ANN)
    await acceptance.aclose()


async def test_the_gateway_s_own_key_needs_no_question(accepted: AcceptedCredentials) -> None:
    own = Principal.from_own_key("Bearer own", UPSTREAM)

    def refuse() -> FakeThreadsApi:
        raise AssertionError("asked")

    await UpstreamAcceptance(accepted).check(own, refuse)
