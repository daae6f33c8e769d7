import asyncio

import pytest

from gateway.server.http.operation_runner import OperationStoppedError, OperationTasks


class Gate:
    """An operation that says when it has started and how it ended, and waits until the gate is opened."""

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


async def test_an_operations_result_and_its_exception_reach_the_caller() -> None:
    operations, gate = OperationTasks(), Gate()
    gate.opened.set()
    assert await operations.run(gate.pass_through(), shield=False) == "answer"

    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await operations.run(fails(), shield=False)
    assert len(operations) == 0


async def test_an_operation_is_cancelled_with_its_caller() -> None:
    operations, gate = OperationTasks(), Gate()
    caller = asyncio.create_task(operations.run(gate.pass_through(), shield=False))
    await gate.started.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert gate.outcome == "cancelled"
    assert len(operations) == 0


async def test_a_shielded_operation_goes_on_without_its_caller() -> None:
    operations, gate = OperationTasks(), Gate()
    caller = asyncio.create_task(operations.run(gate.pass_through(), shield=True))
    await gate.started.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert len(operations) == 1
    gate.opened.set()
    await operations.stop(10)
    assert gate.outcome == "finished"


async def test_an_abandoned_operation_is_reported_once() -> None:
    operations, gate, abandoned = OperationTasks(), Gate(), list[asyncio.Task[str]]()
    caller = asyncio.create_task(operations.run(gate.pass_through(), shield=True, on_abandoned=abandoned.append))
    await gate.started.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    (task,) = abandoned
    gate.opened.set()
    assert await task == "answer"
    assert await operations.run(gate.pass_through(), shield=True, on_abandoned=abandoned.append) == "answer"
    assert abandoned == [task]


async def test_stopping_waits_for_operations_in_flight() -> None:
    operations, gate = OperationTasks(), Gate()
    caller = asyncio.create_task(operations.run(gate.pass_through(), shield=False))
    await gate.started.wait()
    stopping = asyncio.create_task(operations.stop(10))
    await asyncio.sleep(0)
    assert operations.is_stopping
    gate.opened.set()
    assert await caller == "answer"
    await stopping


async def test_no_operation_starts_after_the_stop() -> None:
    operations, gate = OperationTasks(), Gate()
    await operations.stop(0)
    with pytest.raises(OperationStoppedError) as refused:
        await operations.run(gate.pass_through(), shield=False)
    assert not refused.value.started
    assert not gate.started.is_set()


async def test_stopping_cancels_slow_operations_and_their_callers_learn_it() -> None:
    operations, gate = OperationTasks(), Gate()
    caller = asyncio.create_task(operations.run(gate.pass_through(), shield=True))
    await gate.started.wait()
    await operations.stop(0)
    with pytest.raises(OperationStoppedError) as stopped:
        await caller
    assert stopped.value.started
    assert gate.outcome == "cancelled"


async def test_a_stop_callback_runs_once_when_the_stop_begins() -> None:
    operations, calls = OperationTasks(), []
    operations.on_stop(lambda: calls.append(operations.is_stopping))
    await operations.stop(0)
    await operations.stop(0)
    assert calls == [True]
