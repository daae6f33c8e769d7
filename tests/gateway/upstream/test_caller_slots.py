import asyncio
import gc

import pytest

from gateway.upstream.caller_slots import CallerSlots, OperationSlots, SlotsByCaller
from gateway.upstream.fair_share import FairShare
from schema.contract.errors import ErrorCode, GatewayError


def make_slots(capacity: int, max_waiting: int | None = None) -> SlotsByCaller:
    return SlotsByCaller(FairShare(capacity, capacity, max_waiting))


async def waiting_task(slots: CallerSlots) -> asyncio.Task[None]:
    task = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    return task


async def test_a_caller_has_the_same_slots_while_it_uses_them() -> None:
    by_caller = make_slots(1)
    slots = by_caller.slots_for("a")
    assert by_caller.slots_for("a") is slots
    assert by_caller.slots_for("b") is not slots
    assert by_caller.slots_for(None) is not slots
    known = id(slots)
    del slots
    gc.collect()
    assert known not in map(id, by_caller._slots.values())


async def test_calls_start_in_their_order() -> None:
    slots = make_slots(1).slots_for(None)
    await slots.acquire()
    first, second = await waiting_task(slots), await waiting_task(slots)
    slots.release()
    await first
    assert not second.done()
    slots.release()
    await second


async def test_a_call_cancelled_while_it_waits_leaves_its_place() -> None:
    slots = make_slots(1).slots_for(None)
    await slots.acquire()
    first, second = await waiting_task(slots), await waiting_task(slots)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    slots.release()
    await second


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_a_call_cancelled_as_it_gets_its_slot_gives_it_back(*, cancelled_first: bool) -> None:
    by_caller = make_slots(1)
    slots = by_caller.slots_for(None)
    await slots.acquire()
    first, second = await waiting_task(slots), await waiting_task(slots)
    if cancelled_first:
        first.cancel()
        slots.release()
    else:
        slots.release()
        first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert first.cancelled()
    await second
    slots.release()
    assert by_caller._share.free == 1


async def test_one_call_too_many_is_refused_before_it_waits() -> None:
    by_caller = make_slots(1, max_waiting=3)
    slots, other = by_caller.slots_for("a"), by_caller.slots_for("b")
    async with slots:
        waiting = await waiting_task(slots)
        with pytest.raises(GatewayError) as refused:
            await slots.acquire()
        assert (refused.value.code, refused.value.retryable) == (ErrorCode.TOO_MANY_OPERATIONS, True)
        assert refused.value.message.endswith("it was not sent.")
        waiting_other = await waiting_task(other)
        assert not waiting_other.done()
    await waiting_other  # its caller has no other call
    other.release()
    await waiting
    slots.release()
    assert by_caller._share.free == 1


def operation_slots(limit: int, capacity: int = 10) -> OperationSlots:
    return OperationSlots(make_slots(capacity).slots_for(None), limit)


async def waiting_in(slots: OperationSlots) -> asyncio.Task[None]:
    assert not slots.try_acquire()
    task = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_an_operation_has_no_more_slots_than_its_limit() -> None:
    slots = operation_slots(2)
    assert slots.try_acquire()
    await slots.acquire()
    first, second = await waiting_in(slots), await waiting_in(slots)
    slots.release()
    await first
    assert not second.done()
    slots.release()
    await second


async def test_operations_of_a_caller_share_its_slots() -> None:
    of_caller = make_slots(1).slots_for(None)
    one, other = OperationSlots(of_caller, 5), OperationSlots(of_caller, 5)
    assert one.try_acquire()
    waiting = await waiting_in(other)
    one.release()
    await waiting


@pytest.mark.parametrize("limit", [1, 5])
async def test_a_cancelled_call_of_an_operation_leaves_its_place(limit: int) -> None:
    slots = operation_slots(limit, capacity=1)
    assert slots.try_acquire()
    first, second, third = await waiting_in(slots), await waiting_in(slots), await waiting_in(slots)
    first.cancel()
    slots.release()  # before the first has noticed
    await asyncio.gather(first, return_exceptions=True)
    await second
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)
    slots.release()
    assert slots.try_acquire()


async def test_a_call_cancelled_as_its_operation_lets_it_go_on_passes_its_place_on() -> None:
    slots = operation_slots(1)
    assert slots.try_acquire()
    first, second = await waiting_in(slots), await waiting_in(slots)
    slots.release()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await second


async def test_a_call_that_may_not_wait_gives_its_place_back() -> None:
    slots = OperationSlots(make_slots(1, max_waiting=0).slots_for(None), 2)
    assert slots.try_acquire()
    with pytest.raises(GatewayError):
        await slots.acquire()
    slots.release()
    assert slots.try_acquire()
