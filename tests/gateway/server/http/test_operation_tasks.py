import asyncio

import pytest

from gateway.server.http.operation_tasks import OperationStoppedError, OperationTasks


class Gate:
    """An operation that says when it has begun and how it ended, and ends when it is let."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.opened = asyncio.Event()
        self.outcome = "none"

    async def pass_through(self) -> str:
        self.started.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.outcome = "cancelled"
            raise
        self.outcome = "finished"
        return "answer"


async def test_an_operations_result_and_its_exception_reach_the_waiter() -> None:
    operations, gate = OperationTasks(), Gate()
    gate.opened.set()
    assert await operations.run(gate.pass_through(), shield=False) == "answer"

    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await operations.run(fails(), shield=False)
    assert len(operations) == 0


async def test_an_operation_ends_when_its_caller_leaves() -> None:
    operations, gate = OperationTasks(), Gate()
    waiter = asyncio.create_task(operations.run(gate.pass_through(), shield=False))
    await gate.started.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert gate.outcome == "cancelled"
    assert len(operations) == 0


async def test_an_operation_that_writes_goes_on_when_its_caller_leaves() -> None:
    operations, gate = OperationTasks(), Gate()
    waiter = asyncio.create_task(operations.run(gate.pass_through(), shield=True))
    await gate.started.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert len(operations) == 1
    gate.opened.set()
    await operations.stop(10)
    assert gate.outcome == "finished"


async def test_what_goes_on_without_its_caller_is_shown_once() -> None:
    operations, gate, left = OperationTasks(), Gate(), list[asyncio.Task[str]]()
    waiter = asyncio.create_task(operations.run(gate.pass_through(), shield=True, on_abandoned=left.append))
    await gate.started.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    (task,) = left
    gate.opened.set()
    assert await task == "answer"
    assert await operations.run(gate.pass_through(), shield=True, on_abandoned=left.append) == "answer"
    assert left == [task]


async def test_stopping_waits_for_what_is_under_way() -> None:
    operations, gate = OperationTasks(), Gate()
    waiter = asyncio.create_task(operations.run(gate.pass_through(), shield=False))
    await gate.started.wait()
    stopping = asyncio.create_task(operations.stop(10))
    await asyncio.sleep(0)
    assert operations.is_stopping
    gate.opened.set()
    assert await waiter == "answer"
    await stopping


async def test_nothing_starts_any_more_once_it_stops() -> None:
    operations, gate = OperationTasks(), Gate()
    await operations.stop(0)
    with pytest.raises(OperationStoppedError) as refused:
        await operations.run(gate.pass_through(), shield=False)
    assert not refused.value.started
    assert not gate.started.is_set()


async def test_stopping_ends_what_takes_too_long_and_says_so_to_its_waiter() -> None:
    operations, gate = OperationTasks(), Gate()
    waiter = asyncio.create_task(operations.run(gate.pass_through(), shield=True))
    await gate.started.wait()
    await operations.stop(0)
    with pytest.raises(OperationStoppedError) as ended:
        await waiter
    assert ended.value.started
    assert gate.outcome == "cancelled"


async def test_whoever_asked_is_told_once_at_the_beginning_of_the_stop() -> None:
    operations, told = OperationTasks(), []
    operations.on_stop(lambda: told.append(operations.is_stopping))
    await operations.stop(0)
    await operations.stop(0)
    assert told == [True]
