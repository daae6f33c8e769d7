"""A poll of a run makes only the calls that are needed, and the end is not shown before the events that led to it."""

from typing import Any

import pytest

from gateway.run_log.run_poller import RunPoller
from gateway.run_log.run_state import RunState
from gateway.upstream.reply_readers import leave_out_other_runs
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import MESSAGES, MessagePageKey, RunStepPageKey
from schema.contract.paging import Window
from schema.contract.run_events import (
    FaultChange,
    MessageCreatedChange,
    MessageFinishedChange,
    SnapshotChange,
    StatusChange,
)
from tests.support.run_log_processes import RUN, World, a_message, a_run, a_step

STEPS = RunStepPageKey(*RUN, Window(100, "asc"))
MESSAGE_PAGE = MessagePageKey("thread_1", "run_1", Window(100, "desc"))


def started_state() -> RunState:
    state = RunState()
    state.apply(SnapshotChange(a_run("in_progress"), [], []))
    return state


@pytest.mark.parametrize(
    ("status", "with_details", "calls"),
    [("in_progress", False, 1), ("in_progress", True, 3), ("completed", False, 3), ("requires_action", False, 1)],
)
async def test_only_what_is_needed_is_fetched(world: World, status: str, with_details: bool, calls: int) -> None:
    world.put_run(status)
    result = await RunPoller(RUN, RunState()).poll(world.api, with_details=with_details)
    diff = result.to_diff()
    assert len(world.api.calls) == calls
    assert diff.ends is (status == "completed")
    assert diff.is_waiting is (status == "requires_action")


async def test_long_lists_are_read_to_their_end(world: World) -> None:
    world.put_run("completed")
    for number in range(250):
        world.put_step(a_step(f"step_{number:03}", created_at=number))
        world.put_message(a_message("x", None, f"msg_{number:03}", created_at=number))
    (change,) = (await RunPoller(RUN, RunState()).poll(world.api, with_details=True)).to_diff().changes
    assert isinstance(change, SnapshotChange)
    assert [step.id for step in change.steps] == [f"step_{number:03}" for number in range(250)]
    assert [message.id for message in change.messages] == [f"msg_{number:03}" for number in range(250)]


async def test_a_server_without_the_run_filter_costs_one_page(world: World) -> None:
    world.put_run("in_progress")
    for number in range(250):
        world.put_message(a_message("x", None, f"msg_{number:03}", created_at=number, run_id="run_0"))
    world.put_message(a_message("x", None, created_at=999))
    list_pages = world.api.list

    async def unfiltered(kind: Any, keys: list[Any]) -> object:
        if kind is not MESSAGES:
            return await list_pages(kind, keys)
        pages: Any = await list_pages(kind, [key._replace(run_id=None) for key in keys])
        return [leave_out_other_runs(page, "run_1") for page in pages]

    world.api.list = unfiltered  # type: ignore[assignment, method-assign]
    (change,) = (await RunPoller(RUN, RunState()).poll(world.api, with_details=True)).to_diff().changes
    assert isinstance(change, SnapshotChange)
    assert [message.id for message in change.messages] == ["msg_1"]
    assert world.polls("list_messages") == 1


async def test_failed_parts_do_not_hide_the_status_of_an_active_run(world: World) -> None:
    world.put_run("requires_action")
    world.api.fail = {STEPS: GatewayError(ErrorCode.UPSTREAM_FAILED, "No.")}
    diff = (await RunPoller(RUN, started_state()).poll(world.api, with_details=True)).to_diff()
    assert [type(change) for change in diff.changes] == [StatusChange]


@pytest.mark.parametrize("code", [ErrorCode.UPSTREAM_FAILED, ErrorCode.UPSTREAM_INVALID_RESPONSE])
async def test_an_end_waits_for_its_parts_with_a_limit(world: World, code: ErrorCode) -> None:
    world.put_run("completed")
    world.api.fail = {MESSAGE_PAGE: GatewayError(code, "No.")}
    poller = RunPoller(RUN, started_state())
    for _ in range(4):
        with pytest.raises(GatewayError):
            await poller.poll(world.api, with_details=False)
    diff = (await poller.poll(world.api, with_details=False)).to_diff()
    assert [type(change) for change in diff.changes] == [FaultChange, StatusChange]
    assert diff.ends


async def test_an_end_does_not_wait_for_parts_that_fail_for_good(world: World) -> None:
    world.put_run("completed")
    world.api.fail = {STEPS: GatewayError(ErrorCode.FORBIDDEN, "No.")}
    diff = (await RunPoller(RUN, started_state()).poll(world.api, with_details=False)).to_diff()
    assert [type(change) for change in diff.changes] == [FaultChange, StatusChange]
    first = (await RunPoller(RUN, RunState()).poll(world.api, with_details=False)).to_diff()
    assert [type(change) for change in first.changes] == [SnapshotChange]


async def test_a_server_without_steps_is_no_fault(world: World) -> None:
    world.put_run("completed")
    world.put_message(a_message("Hello", None))
    world.api.fail = {STEPS: GatewayError(ErrorCode.UNSUPPORTED_BY_UPSTREAM, "No.")}
    diff = (await RunPoller(RUN, started_state()).poll(world.api, with_details=False)).to_diff()
    assert [type(change) for change in diff.changes] == [MessageCreatedChange, MessageFinishedChange, StatusChange]
