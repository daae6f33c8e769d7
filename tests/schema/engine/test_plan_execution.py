"""A plan execution waits for exactly the pending values, and ends when all are complete or one has failed."""

import asyncio
from typing import Any

from schema.engine.deferred import Deferred
from schema.engine.plan_execution import PlanExecution, PositionPlans


def new_execution() -> PlanExecution:
    nothing: Any = None
    return PlanExecution(nothing, PositionPlans(), 1_000)


def unchanged(value: Any, _: PlanExecution) -> Any:
    return value


async def test_available_values_are_completed_at_once() -> None:
    execution, response = new_execution(), {"a": None}
    execution.complete_value(1, response, "a", unchanged)
    assert response == {"a": 1}
    assert not execution.pending
    assert await execution.wait()


async def test_pending_values_are_completed_as_they_arrive_in_any_order() -> None:
    execution, response = new_execution(), [None, None]
    loads = [asyncio.get_running_loop().create_future() for _ in response]
    for index, load in enumerate(loads):
        execution.complete_value(Deferred(load, asyncio.Future.result), response, index, unchanged)
    waiter = asyncio.ensure_future(execution.wait())
    for index in (1, 0):
        assert not waiter.done()
        loads[index].set_result(index)
        await asyncio.sleep(0)
    assert await waiter
    assert response == [0, 1]


async def test_loads_that_a_completed_value_starts_are_awaited_too() -> None:
    execution, response = new_execution(), {"a": None}
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()

    def complete(value: Any, execution: PlanExecution) -> dict[str, Any]:
        inner: dict[str, Any] = {"b": None}
        execution.complete_value(Deferred(second, lambda load: load.result() + value), inner, "b", unchanged)
        return inner

    execution.complete_value(Deferred(first, asyncio.Future.result), response, "a", complete)
    waiter = asyncio.ensure_future(execution.wait())
    first.set_result(1)
    await asyncio.sleep(0)
    assert response == {"a": {"b": None}}
    assert not waiter.done()
    second.set_result(1)
    assert await waiter
    assert response == {"a": {"b": 2}}


async def test_one_failure_ends_the_execution_and_later_values_are_ignored() -> None:
    execution = new_execution()
    response: dict[str, Any] = {"a": None, "b": None}
    loop = asyncio.get_running_loop()
    failing, late = loop.create_future(), loop.create_future()
    execution.complete_value(Deferred(failing, asyncio.Future.result), response, "a", unchanged)
    execution.complete_value(Deferred(late, asyncio.Future.result), response, "b", unchanged)
    failing.set_exception(ValueError("no"))
    assert not await execution.wait()
    late.set_result(1)
    await asyncio.sleep(0)
    assert response == {"a": None, "b": None}


async def test_a_cancelled_load_is_a_failure_and_does_not_cancel_the_waiter() -> None:
    execution, response = new_execution(), {"a": None}
    load = asyncio.get_running_loop().create_future()
    execution.complete_value(Deferred(load, asyncio.Future.result), response, "a", unchanged)
    load.cancel()
    assert not await execution.wait()


async def test_cancelling_the_wait_ends_the_executions_tasks_and_no_load() -> None:
    execution = new_execution()
    response: dict[str, Any] = {"a": None, "b": None}
    load: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    ended = []

    async def walk() -> None:
        try:
            await asyncio.shield(load)
        finally:
            ended.append(True)

    execution.complete_value(walk(), response, "a", unchanged)
    execution.complete_value(Deferred(load, asyncio.Future.result), response, "b", unchanged)
    waiting = asyncio.create_task(execution.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    for _ in range(5):
        await asyncio.sleep(0)
    assert ended == [True]
    assert not load.done()


async def test_a_value_that_starts_no_loads_is_completed_after_those_that_do() -> None:
    execution = new_execution()
    response: dict[str, Any] = {"leaf": None, "at_hand": None, "more": None}
    loop = asyncio.get_running_loop()
    leaf, more = loop.create_future(), loop.create_future()
    seen = asyncio.Event()

    def see(value: Any, _: PlanExecution) -> Any:
        seen.set()
        return value

    execution.complete_value(Deferred(leaf, asyncio.Future.result), response, "leaf", see, starts_loads=False)
    execution.complete_value(Deferred(more, asyncio.Future.result), response, "more", unchanged)
    execution.complete_value(1, response, "at_hand", unchanged, starts_loads=False)
    leaf.set_result(2)
    await asyncio.sleep(0)
    assert response == {"leaf": None, "at_hand": None, "more": None}
    await asyncio.wait_for(seen.wait(), 5)
    assert response == {"leaf": 2, "at_hand": 1, "more": None}
    more.set_result(3)
    assert await execution.wait()
    assert response["more"] == 3


async def test_no_value_is_postponed_if_nothing_else_is_pending() -> None:
    execution = new_execution()
    response: dict[str, Any] = {"a": None, "b": None}
    load = asyncio.get_running_loop().create_future()
    execution.complete_value(1, response, "a", unchanged, starts_loads=False)
    assert response["a"] == 1
    execution.complete_value(Deferred(load, asyncio.Future.result), response, "b", unchanged, starts_loads=False)
    load.set_result(2)
    await asyncio.sleep(0)
    assert response["b"] == 2
    assert await execution.wait()


async def test_postponed_values_are_completed_with_the_last_one() -> None:
    execution = new_execution()
    response: dict[str, Any] = {"a": None, "b": None}
    loads = [asyncio.get_running_loop().create_future() for _ in response]
    for name, load in zip(response, loads, strict=True):
        execution.complete_value(Deferred(load, asyncio.Future.result), response, name, unchanged, starts_loads=False)
    for load in loads:
        load.set_result(1)
    await asyncio.sleep(0)
    assert response == {"a": 1, "b": 1}
    assert await execution.wait()


async def test_postponed_values_are_dropped_if_the_execution_fails() -> None:
    execution = new_execution()
    response: dict[str, Any] = {"a": None, "b": None}
    loads = [asyncio.get_running_loop().create_future() for _ in response]
    execution.complete_value(Deferred(loads[0], asyncio.Future.result), response, "a", unchanged, starts_loads=False)
    execution.complete_value(Deferred(loads[1], asyncio.Future.result), response, "b", unchanged)
    loads[0].set_result(1)
    await asyncio.sleep(0)
    loads[1].set_exception(ValueError("no"))
    assert not await execution.wait()
    assert response == {"a": None, "b": None}
