import asyncio
from collections.abc import Callable

import pytest

from gateway.run_log.store.listeners import Listeners


async def run_loop() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
def listeners() -> Listeners[str]:
    return Listeners()


async def test_a_listener_is_called_after_notify_and_not_within_it(listeners: Listeners[str]) -> None:
    calls: list[str] = []
    listeners.add_listener("a", lambda: calls.append("a"))
    listeners.add_listener("b", lambda: calls.append("b"))
    listeners.notify("a")
    assert calls == []
    await run_loop()
    assert calls == ["a"]


async def test_many_notifications_are_one_call(listeners: Listeners[str]) -> None:
    calls: list[str] = []
    listeners.add_listener("a", lambda: calls.append("a"))
    for _ in range(10):
        listeners.notify("a")
    await run_loop()
    listeners.notify_all()
    await run_loop()
    assert calls == ["a", "a"]


async def test_a_removed_listener_is_not_called_even_if_scheduled(listeners: Listeners[str]) -> None:
    calls: list[str] = []
    stop = listeners.add_listener("a", lambda: calls.append("first"))
    listeners.add_listener("a", lambda: calls.append("second"))
    listeners.notify("a")
    stop()
    stop()
    await run_loop()
    assert calls == ["second"]
    assert "a" in listeners


async def test_the_last_removal_removes_the_name(listeners: Listeners[str]) -> None:
    listeners.add_listener("a", lambda: None)()
    listeners.notify("a")
    await run_loop()
    assert "a" not in listeners
    assert listeners.names == set()


async def test_a_listener_can_remove_another(listeners: Listeners[str]) -> None:
    calls: list[str] = []
    stops: list[Callable[[], None]] = []

    def first() -> None:
        calls.append("first")
        stops[1]()

    stops += [listeners.add_listener("a", first), listeners.add_listener("a", lambda: calls.append("second"))]
    listeners.notify("a")
    await run_loop()
    assert calls == ["first"]


async def test_an_error_of_one_listener_does_not_stop_the_others(listeners: Listeners[str]) -> None:
    calls: list[str] = []
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

    def breaks() -> None:
        raise RuntimeError

    listeners.add_listener("a", breaks)
    listeners.add_listener("a", lambda: calls.append("second"))
    listeners.notify("a")
    await run_loop()
    assert calls == ["second"]
    assert len(reported) == 1


async def test_no_listener_is_called_after_close(listeners: Listeners[str]) -> None:
    calls: list[str] = []
    listeners.add_listener("a", lambda: calls.append("a"))
    listeners.notify("a")
    listeners.close()
    listeners.notify_all()
    await run_loop()
    assert calls == []
