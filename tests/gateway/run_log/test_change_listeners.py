"""Those who learn of changes before any reader gets them."""

from collections.abc import Sequence

import pytest

from gateway.run_log.hub import ChangeListeners, RunLogHub
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.run_events import Change, MessageFinishedChange, StepChange, TextDeltaChange
from tests.support.run_log_processes import RUN, SCOPE, ScriptedStream, World, simple_run, statuses, take_all


def opened_hub(world: World, listeners: ChangeListeners) -> RunLogHub:
    clock = world.clock
    return RunLogHub(world.log, now_seconds=clock.now, now=clock.now, sleep=world.sleep, listeners=listeners)


async def test_a_failing_invalidation_delays_no_event(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: str, __: object) -> None:
        raise RuntimeError

    hub = opened_hub(world, ChangeListeners(on_change=fail))
    await hub.record_stream(SCOPE, ScriptedStream(simple_run("a")))
    feed = await hub.bind(SCOPE, lambda: world.api).follow_status(RUN)
    assert statuses(await world.during(take_all(feed)))[-1] == "completed"
    await feed.aclose()
    await hub.close()
    assert caplog.records


async def test_changes_are_announced_before_any_reader_gets_them(world: World) -> None:
    announced: list[Change] = []
    shown: list[Change] = []

    async def before_shown(scope: str, key: RunKey | ThreadKey, changes: Sequence[Change]) -> None:
        assert (scope, key.thread_id) == (SCOPE, RUN.thread_id)
        if key == RUN:
            announced.extend(changes)

    hub = opened_hub(world, ChangeListeners(before_shown=before_shown))
    await hub.record_stream(SCOPE, ScriptedStream(simple_run("a")))
    feed = await hub.bind(SCOPE, lambda: world.api).follow_run(RUN)

    async def compare() -> None:
        async for event in feed:
            shown.append(event.change)
            assert event.change in announced

    await world.during(compare())
    assert shown == announced
    assert {type(change) for change in announced} >= {StepChange, TextDeltaChange, MessageFinishedChange}
    await feed.aclose()
    await hub.close()
