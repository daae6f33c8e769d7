import asyncio
import logging

import pytest

from gateway.background_tasks import BackgroundTasks, end_tasks, wait_for_first


async def test_a_task_is_counted_until_it_ends() -> None:
    tasks, released = BackgroundTasks(), asyncio.Event()

    async def wait() -> None:
        await released.wait()

    task = tasks.start(wait())
    await tasks.wait(0)
    assert (len(tasks), task.done()) == (1, False)
    released.set()
    await tasks.wait(10)
    assert (len(tasks), task.done()) == (0, True)


async def test_closing_cancels_running_tasks_and_waits_for_them() -> None:
    tasks = BackgroundTasks()

    async def forever() -> None:
        await asyncio.Event().wait()

    task = tasks.start(forever())
    await tasks.aclose()
    assert task.cancelled()
    await tasks.wait(0)


async def test_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tasks = BackgroundTasks()

    async def fails() -> None:
        raise ValueError("why")

    tasks.start(fails())
    await tasks.wait(10)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "why" in str(record.exc_info[1])


async def test_a_failure_that_the_owner_awaits_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    tasks = BackgroundTasks(logs_errors=False)

    async def fails() -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        await tasks.start(fails())
    assert caplog.records == []


async def test_waiting_goes_on_for_tasks_that_a_task_starts() -> None:
    tasks, ended = BackgroundTasks(), []

    async def work(more: int) -> None:
        await asyncio.sleep(0)
        if more:
            tasks.start(work(more - 1))
        ended.append(more)

    tasks.start(work(2))
    await tasks.wait()
    assert ended == [2, 1, 0]


async def test_tasks_are_ended_in_any_state() -> None:
    async def fails() -> None:
        raise ValueError("why")

    running, failed = asyncio.create_task(asyncio.Event().wait()), asyncio.create_task(fails())
    await asyncio.wait([failed])
    await end_tasks(running, None, failed)
    assert running.cancelled()
    await end_tasks()


async def test_the_first_of_several_ends_the_others_and_its_error_is_raised() -> None:
    cancelled = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("why")

    await wait_for_first(forever(), asyncio.sleep(0))
    with pytest.raises(ValueError, match="why"):
        await wait_for_first(fails(), forever())
    assert len(cancelled) == 2
