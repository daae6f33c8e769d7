import asyncio
from collections.abc import Callable

import pytest

from gateway.run_log.store.listeners import Listeners


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
def listeners() -> Listeners[str]:
    return Listeners()


async def test_a_listener_is_called_after_it_was_told_and_not_from_within(listeners: Listeners[str]) -> None:
    heard: list[str] = []
    listeners.add_listener("a", lambda: heard.append("a"))
    listeners.add_listener("b", lambda: heard.append("b"))
    listeners.notify("a")
    assert heard == []
    await turns()
    assert heard == ["a"]


async def test_many_pieces_of_news_are_one_call(listeners: Listeners[str]) -> None:
    heard: list[str] = []
    listeners.add_listener("a", lambda: heard.append("a"))
    for _ in range(10):
        listeners.notify("a")
    await turns()
    listeners.notify_all()
    await turns()
    assert heard == ["a", "a"]


async def test_who_left_hears_nothing_even_of_news_on_their_way(listeners: Listeners[str]) -> None:
    heard: list[str] = []
    stop = listeners.add_listener("a", lambda: heard.append("first"))
    listeners.add_listener("a", lambda: heard.append("second"))
    listeners.notify("a")
    stop()
    stop()
    await turns()
    assert heard == ["second"]
    assert "a" in listeners


async def test_the_last_who_leaves_takes_the_name_along(listeners: Listeners[str]) -> None:
    listeners.add_listener("a", lambda: None)()
    listeners.notify("a")
    await turns()
    assert "a" not in listeners
    assert listeners.names == set()


async def test_a_listener_may_stop_another(listeners: Listeners[str]) -> None:
    heard: list[str] = []
    stops: list[Callable[[], None]] = []

    def first() -> None:
        heard.append("first")
        stops[1]()

    stops += [listeners.add_listener("a", first), listeners.add_listener("a", lambda: heard.append("second"))]
    listeners.notify("a")
    await turns()
    assert heard == ["first"]


async def test_what_one_raises_keeps_nobody_else_from_hearing(listeners: Listeners[str]) -> None:
    heard: list[str] = []
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

    def breaks() -> None:
        raise RuntimeError

    listeners.add_listener("a", breaks)
    listeners.add_listener("a", lambda: heard.append("second"))
    listeners.notify("a")
    await turns()
    assert heard == ["second"]
    assert len(reported) == 1


async def test_nobody_is_called_after_the_end(listeners: Listeners[str]) -> None:
    heard: list[str] = []
    listeners.add_listener("a", lambda: heard.append("a"))
    listeners.notify("a")
    listeners.close()
    listeners.notify_all()
    await turns()
    assert heard == []
