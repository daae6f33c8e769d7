import asyncio
import gc

import pytest

from gateway.identity.permissions import Permissions
from gateway.identity.redacted_events import RedactedEvents, RedactedFeed
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import Provenance, RunEvent, StatusChange, StepChange
from tests.support import wire_samples
from tests.support.fake_run_events import FakeFeed

USER = Permissions()


def status_event(instructions: str = "Be secret.") -> RunEvent:
    change = StatusChange(wire_samples.run(instructions=instructions))
    return RunEvent("cursor", 1.0, Provenance.STREAMED, change)


def instructions(event: RunEvent) -> str | None:
    assert isinstance(event.change, StatusChange)
    return event.change.run.instructions


def test_all_users_get_the_same_redacted_event() -> None:
    events, event, other = RedactedEvents(), status_event(), status_event()
    redacted = events.find_event(event, USER)
    assert instructions(redacted) is None
    assert events.find_event(event, Permissions(may_override_runs=True)) is redacted
    assert events.find_event(other, USER) is not redacted
    assert len(events) == 2


@pytest.mark.parametrize("permissions", [Permissions(is_admin=True), Permissions(sees_instructions=True)])
def test_those_who_may_see_everything_get_the_event_itself(permissions: Permissions) -> None:
    events, event = RedactedEvents(), status_event()
    events.find_event(event, USER)
    assert events.find_event(event, permissions) is event


def test_a_redacted_event_is_held_as_long_as_its_event() -> None:
    events, event = RedactedEvents(), status_event()
    events.find_event(event, USER)
    del event
    gc.collect()
    assert len(events) == 0


def test_an_event_without_hidden_fields_is_not_held() -> None:
    events, event = RedactedEvents(), RunEvent("cursor", 1.0, Provenance.POLLED, StepChange(wire_samples.run_step()))
    assert events.find_event(event, USER) is event
    assert len(events) == 0


async def test_a_feed_redacts_its_events_and_is_a_feed_otherwise() -> None:
    inner, events = FakeFeed(), RedactedEvents()
    feed = RedactedFeed(inner, events, USER)
    available = asyncio.Event()
    feed.on_available(available.set)
    first, second = status_event(), status_event()
    inner.push_event(first)
    inner.push_event(second)
    async with asyncio.timeout(5):
        await available.wait()
    polled = feed.poll_event()
    assert polled is events.find_event(first, USER)
    assert await anext(aiter(feed)) is events.find_event(second, USER)
    assert feed.poll_event() is None
    inner.finish(GatewayError(ErrorCode.GATEWAY_STOPPING, "Stopping."))
    with pytest.raises(GatewayError, match="Stopping"):
        feed.poll_event()
    await feed.aclose()
    assert inner.is_closed
