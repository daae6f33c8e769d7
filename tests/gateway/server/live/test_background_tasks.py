import asyncio
import logging

import pytest

from gateway.server.live.background_tasks import BackgroundTasks


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
