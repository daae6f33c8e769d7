"""A poll makes only the calls that are needed, and the end is not shown before the events that led to it."""

from typing import Any

import pytest

from gateway.run_log.poller import FATAL_CODES, single_result
from gateway.run_log.run_poller import RunPoller
from gateway.run_log.run_state import RunState
from gateway.run_log.thread_poller import ThreadPoller
from gateway.run_log.thread_state import ThreadState
from gateway.upstream.reply_readers import leave_out_other_runs
from schema.contract.errors import RETRYABLE_CODES, ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import MESSAGES, MessagePageKey, RunStepPageKey
from schema.contract.paging import Window
from schema.contract.run_events import (
    Change,
    FaultChange,
    MessageCreatedChange,
    MessageFinishedChange,
    Provenance,
    SnapshotChange,
    StatusChange,
)
from tests.support.run_log_processes import RUN, THREAD, World, a_message, a_run, a_step
from tests.support.wire_samples import run

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


def test_a_single_result_is_returned_or_raised() -> None:
    assert single_result([3]) == 3
    with pytest.raises(GatewayError, match=r"No\."):
        single_result([GatewayError(ErrorCode.NOT_FOUND, "No.")])


def test_a_retryable_code_is_never_fatal() -> None:
    assert not FATAL_CODES & RETRYABLE_CODES
    assert ErrorCode.UPSTREAM_INVALID_RESPONSE not in FATAL_CODES


async def poll_once(world: World, state: ThreadState) -> list[Change]:
    diff = (await ThreadPoller(THREAD, state).poll(world.api, with_details=True)).to_diff()
    assert diff.provenance is (Provenance.POLLED if state.has_begun else Provenance.SNAPSHOT)
    assert not diff.ends
    for change in diff.changes:
        state.apply(change)
    return list(diff.changes)


def put_messages(world: World, *numbers: int) -> None:
    for number in numbers:
        world.put_message(a_message("x", None, f"msg_{number:03}", created_at=number, run_id=None))


async def test_a_poll_is_two_calls(world: World) -> None:
    state = ThreadState()
    put_messages(world, *range(90))
    for calls in (2, 4):
        await poll_once(world, state)
        assert len(world.api.calls) == calls


async def test_all_new_messages_are_found(world: World) -> None:
    state = ThreadState()
    put_messages(world, 1)
    await poll_once(world, state)
    put_messages(world, *range(2, 60))
    created = [
        change.message.id for change in await poll_once(world, state) if isinstance(change, MessageCreatedChange)
    ]
    assert created == [f"msg_{number:03}" for number in range(2, 60)]
    assert world.polls("list_messages") == 1 + 3


async def test_an_active_run_outside_the_newest_page_is_fetched(world: World) -> None:
    state = ThreadState()
    world.api.runs[RunKey("thread_1", "run_0")] = run("run_0", status="in_progress", created_at=1)
    await poll_once(world, state)
    for number in range(1, 30):
        world.api.runs[RunKey("thread_1", f"run_{number}")] = run(f"run_{number}", created_at=1 + number)
    await poll_once(world, state)
    world.api.runs[RunKey("thread_1", "run_0")] = run("run_0", status="failed", created_at=1)
    (change,) = await poll_once(world, state)
    assert isinstance(change, StatusChange)
    assert (change.run.id, change.run.status) == ("run_0", "failed")


async def test_a_missing_thread_is_an_error(world: World) -> None:
    with pytest.raises(GatewayError) as missing:
        await ThreadPoller(ThreadKey("thread_9"), ThreadState()).poll(world.api, with_details=True)
    assert missing.value.code is ErrorCode.NOT_FOUND
