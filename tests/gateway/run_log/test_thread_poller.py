"""A poll of a thread is two calls, and more pages only for new objects."""

import pytest

from gateway.run_log.thread_poller import ThreadPoller
from gateway.run_log.thread_state import ThreadState
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.run_events import Change, MessageCreatedChange, Provenance, StatusChange
from tests.support.run_log_processes import THREAD, World, a_message
from tests.support.wire_samples import run


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
