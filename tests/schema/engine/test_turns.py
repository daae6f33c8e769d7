"""A long response is completed in slices, between which the event loop has a turn."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.engine import executor, plan_execution
from schema.engine.answer_size import AnswerSize
from schema.engine.context import Context
from schema.engine.plan_execution import PlanExecution
from schema.engine.turns import TURN_BYTES, Turns
from tests.schema.builders import SCHEMA, conversation, execute
from tests.schema.operation_helpers import predict
from tests.schema.random_operations import operations, random_threads_api, random_viewer_api
from tests.support.full_runs import examples

pytestmark = pytest.mark.compiled

FIELDS = " ".join(f"t{number}: text" for number in range(50))
LONG = f'{{ thread(id: "thread_1") {{ messages(first: 200) {{ nodes {{ {FIELDS} }} }} }} }}'


@pytest.mark.compiled
async def test_no_more_than_a_slice_is_completed_between_two_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    turn_bytes = 10_000
    monkeypatch.setattr(plan_execution, "TURN_BYTES", turn_bytes)
    seen: list[int] = []
    continue_lists = PlanExecution._continue_lists

    def recorded(execution: PlanExecution) -> None:
        seen.append(execution.structure_bytes)
        continue_lists(execution)
        seen.append(execution.structure_bytes)

    monkeypatch.setattr(PlanExecution, "_continue_lists", recorded)
    result = await execute(conversation(200), LONG)
    assert len((result.data or {})["thread"]["messages"]["nodes"]) == 200
    slices = [after - before for before, after in zip([0, *seen[1::2]], seen, strict=False)]
    one_object = 2 + 50 * (3 + 4)
    assert len(seen) >= 2 * 200 * 50 * 6 // turn_bytes
    assert max(after - before for before, after in zip(seen[::2], seen[1::2], strict=True)) <= turn_bytes + one_object
    assert max(slices) <= turn_bytes + one_object + 200 * 2


async def test_a_cancelled_operation_completes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_execution, "TURN_BYTES", 1_000)
    paused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    slices: list[PlanExecution] = []
    continue_lists = PlanExecution._continue_lists

    def recorded(execution: PlanExecution) -> None:
        slices.append(execution)
        continue_lists(execution)
        if not paused.done():
            paused.set_result(None)

    monkeypatch.setattr(PlanExecution, "_continue_lists", recorded)
    context = Context(conversation(200))
    task: asyncio.Task[Any] = asyncio.create_task(SCHEMA.execute(LONG, context_value=context))
    await paused
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    done = slices[0].structure_bytes
    for _ in range(5):
        await asyncio.sleep(0)
    assert slices[0].structure_bytes == done
    await context.aclose()


@examples(100)
@given(document=operations(), seed=st.integers(0, 30))
async def test_slices_change_neither_the_response_nor_the_bound_of_the_calls(document: str, seed: int) -> None:
    whole = await execute(random_threads_api(seed), document, viewer=random_viewer_api(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_execution, "TURN_BYTES", 100)
        api = random_threads_api(seed)
        sliced = await execute(api, document, viewer=random_viewer_api(seed))
    assert sliced.data == whole.data
    assert sorted(map(str, sliced.errors or [])) == sorted(map(str, whole.errors or []))
    assert api.key_count <= predict(document)


async def test_graphql_core_gives_the_event_loop_a_turn_within_a_long_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "find_plan", lambda *_: None)
    since_turn = most = turns = 0
    add = AnswerSize.add

    def counted(size: AnswerSize, byte_count: int) -> None:
        nonlocal since_turn, most
        since_turn += byte_count
        most = max(most, since_turn)
        add(size, byte_count)

    async def count_turns() -> None:
        nonlocal since_turn, turns
        while True:
            await asyncio.sleep(0)
            since_turn, turns = 0, turns + 1

    monkeypatch.setattr(AnswerSize, "add", counted)
    counter = asyncio.create_task(count_turns())
    result = await execute(conversation(200), LONG)
    counter.cancel()
    assert len((result.data or {})["thread"]["messages"]["nodes"]) == 200
    one_object = 2 + 50 * (3 + 4 + 100)
    assert most <= 2 * TURN_BYTES + one_object
    assert turns > 200 * 50 * 6 // TURN_BYTES


async def test_an_operation_that_is_cancelled_while_it_waits_for_a_turn_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "find_plan", lambda *_: None)
    waiting = asyncio.Event()
    run_later = Turns.run_later

    async def recorded(turns: Turns, compute: Any) -> Any:
        waiting.set()
        return await run_later(turns, compute)

    monkeypatch.setattr(Turns, "run_later", recorded)
    context = Context(conversation(200))
    task: asyncio.Task[Any] = asyncio.create_task(SCHEMA.execute(LONG, context_value=context))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    done = context.answer_size.byte_count
    for _ in range(5):
        await asyncio.sleep(0)
    assert context.answer_size.byte_count == done
    await context.aclose()


async def test_a_coroutine_that_was_computed_for_a_caller_who_left_is_closed() -> None:
    turns = Turns(AnswerSize())
    computed = asyncio.Event()

    def compute() -> Any:
        computed.set()
        return asyncio.sleep(0)

    task = asyncio.create_task(turns.run_later(compute))
    await computed.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_caller_who_leaves_as_the_computation_fails_is_cancelled_all_the_same() -> None:
    turns = Turns(AnswerSize())

    def compute() -> Any:
        asyncio.get_running_loop().call_soon(task.cancel)  # before the task sees the failure
        raise ValueError

    task = asyncio.create_task(turns.run_later(compute))
    with pytest.raises(asyncio.CancelledError):
        await task
