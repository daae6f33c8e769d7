"""An attempt waits for exactly what was not at hand, and ends when all of it is shown or something is unusual."""

import asyncio
from typing import Any

from schema.engine.attempt import PlanExecution
from schema.engine.deferred import Deferred
from schema.engine.plans import PositionPlans


def attempt() -> PlanExecution:
    nothing: Any = None
    return PlanExecution(nothing, PositionPlans())


def as_it_is(value: Any, _: PlanExecution) -> Any:
    return value


async def test_values_at_hand_are_put_in_their_places_at_once() -> None:
    running, shown = attempt(), {"a": None}
    running.settle(1, shown, "a", as_it_is)
    assert shown == {"a": 1}
    assert not running.waiting
    assert await running.shown()


async def test_values_under_way_are_put_there_when_they_come_in_whatever_order() -> None:
    running, shown = attempt(), [None, None]
    loads = [asyncio.get_running_loop().create_future() for _ in shown]
    for index, load in enumerate(loads):
        running.settle(Deferred(load, asyncio.Future.result), shown, index, as_it_is)
    whole = asyncio.ensure_future(running.shown())
    for index in (1, 0):
        assert not whole.done()
        loads[index].set_result(index)
        await asyncio.sleep(0)
    assert await whole
    assert shown == [0, 1]


async def test_what_follows_from_an_answer_is_waited_for_too() -> None:
    running, shown = attempt(), {"a": None}
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()

    def show(value: Any, attempt: PlanExecution) -> dict[str, Any]:
        inner: dict[str, Any] = {"b": None}
        attempt.settle(Deferred(second, lambda load: load.result() + value), inner, "b", as_it_is)
        return inner

    running.settle(Deferred(first, asyncio.Future.result), shown, "a", show)
    whole = asyncio.ensure_future(running.shown())
    first.set_result(1)
    await asyncio.sleep(0)
    assert shown == {"a": {"b": None}}
    assert not whole.done()
    second.set_result(1)
    assert await whole
    assert shown == {"a": {"b": 2}}


async def test_one_failure_ends_it_and_what_comes_afterwards_changes_nothing() -> None:
    running = attempt()
    shown: dict[str, Any] = {"a": None, "b": None}
    loop = asyncio.get_running_loop()
    failing, late = loop.create_future(), loop.create_future()
    running.settle(Deferred(failing, asyncio.Future.result), shown, "a", as_it_is)
    running.settle(Deferred(late, asyncio.Future.result), shown, "b", as_it_is)
    failing.set_exception(ValueError("no"))
    assert not await running.shown()
    late.set_result(1)
    await asyncio.sleep(0)
    assert shown == {"a": None, "b": None}


async def test_a_load_that_is_cancelled_is_a_failure_and_no_cancellation() -> None:
    running, shown = attempt(), {"a": None}
    load = asyncio.get_running_loop().create_future()
    running.settle(Deferred(load, asyncio.Future.result), shown, "a", as_it_is)
    load.cancel()
    assert not await running.shown()


async def test_who_stops_waiting_ends_the_tasks_of_the_attempt_and_no_load() -> None:
    running = attempt()
    shown: dict[str, Any] = {"a": None, "b": None}
    load: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    ended = []

    async def walk() -> None:
        try:
            await asyncio.shield(load)
        finally:
            ended.append(True)

    running.settle(walk(), shown, "a", as_it_is)
    running.settle(Deferred(load, asyncio.Future.result), shown, "b", as_it_is)
    waiting = asyncio.create_task(running.shown())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    for _ in range(5):
        await asyncio.sleep(0)
    assert ended == [True]
    assert not load.done()


async def test_what_leads_to_nothing_is_shown_once_what_leads_on_has_left() -> None:
    running = attempt()
    shown: dict[str, Any] = {"leaf": None, "at_hand": None, "more": None}
    loop = asyncio.get_running_loop()
    leaf, more = loop.create_future(), loop.create_future()
    seen = asyncio.Event()

    def see(value: Any, _: PlanExecution) -> Any:
        seen.set()
        return value

    running.settle(Deferred(leaf, asyncio.Future.result), shown, "leaf", see, leads_on=False)
    running.settle(Deferred(more, asyncio.Future.result), shown, "more", as_it_is)
    running.settle(1, shown, "at_hand", as_it_is, leads_on=False)
    leaf.set_result(2)
    await asyncio.sleep(0)
    assert shown == {"leaf": None, "at_hand": None, "more": None}
    await asyncio.wait_for(seen.wait(), 5)
    assert shown == {"leaf": 2, "at_hand": 1, "more": None}
    more.set_result(3)
    assert await running.shown()
    assert shown["more"] == 3


async def test_where_nothing_else_is_awaited_nothing_is_put_off() -> None:
    running = attempt()
    shown: dict[str, Any] = {"a": None, "b": None}
    load = asyncio.get_running_loop().create_future()
    running.settle(1, shown, "a", as_it_is, leads_on=False)
    assert shown["a"] == 1
    running.settle(Deferred(load, asyncio.Future.result), shown, "b", as_it_is, leads_on=False)
    load.set_result(2)
    await asyncio.sleep(0)
    assert shown["b"] == 2
    assert await running.shown()


async def test_what_was_put_off_is_shown_with_the_last_that_arrives() -> None:
    running = attempt()
    shown: dict[str, Any] = {"a": None, "b": None}
    loads = [asyncio.get_running_loop().create_future() for _ in shown]
    for name, load in zip(shown, loads, strict=True):
        running.settle(Deferred(load, asyncio.Future.result), shown, name, as_it_is, leads_on=False)
    for load in loads:
        load.set_result(1)
    await asyncio.sleep(0)
    assert shown == {"a": 1, "b": 1}
    assert await running.shown()


async def test_what_was_put_off_is_dropped_with_the_attempt() -> None:
    running = attempt()
    shown: dict[str, Any] = {"a": None, "b": None}
    loads = [asyncio.get_running_loop().create_future() for _ in shown]
    running.settle(Deferred(loads[0], asyncio.Future.result), shown, "a", as_it_is, leads_on=False)
    running.settle(Deferred(loads[1], asyncio.Future.result), shown, "b", as_it_is)
    loads[0].set_result(1)
    await asyncio.sleep(0)
    loads[1].set_exception(ValueError("no"))
    assert not await running.shown()
    assert shown == {"a": None, "b": None}
