"""Who wants to hear of which log: each is called soon, by the loop, and once for many pieces of news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from gateway.run_log.store.event_log import StopListening

NameT = TypeVar("NameT", bound=Hashable)


class Listeners(Generic[NameT]):
    """Listeners by name. What a listener does or raises touches neither who tells nor who else listens."""

    def __init__(self) -> None:
        self._listeners_by_name: dict[NameT, dict[object, Callable[[], None]]] = {}
        self._scheduled: dict[NameT, asyncio.Handle] = {}

    def __contains__(self, name: NameT) -> bool:
        """Whether anybody listens for `name`."""
        return name in self._listeners_by_name

    @property
    def names(self) -> set[NameT]:
        """Every name that anybody listens for."""
        return set(self._listeners_by_name)

    def add_listener(self, name: NameT, on_notification: Callable[[], None]) -> StopListening:
        """Have `on_notification` called until what is given back is called."""
        listener_id = object()
        self._listeners_by_name.setdefault(name, {})[listener_id] = on_notification

        def stop() -> None:
            listeners = self._listeners_by_name.get(name, {})
            listeners.pop(listener_id, None)
            if not listeners:
                self._listeners_by_name.pop(name, None)

        return stop

    def notify(self, name: NameT) -> None:
        """Have all listeners of `name` called in the loop's next turn, never from within this call."""
        if name in self._listeners_by_name and name not in self._scheduled:
            self._scheduled[name] = asyncio.get_running_loop().call_soon(self._call_listeners, name)

    def notify_all(self) -> None:
        """Tell everybody."""
        for name in self._listeners_by_name:
            self.notify(name)

    def close(self) -> None:
        """Call nobody any more."""
        self._listeners_by_name.clear()
        for handle in self._scheduled.values():
            handle.cancel()
        self._scheduled.clear()

    def _call_listeners(self, name: NameT) -> None:
        del self._scheduled[name]
        listeners = self._listeners_by_name.get(name, {})
        for listener_id, on_notification in list(listeners.items()):
            # One may stop another, and what one raises is the loop's to report.
            if listener_id in listeners:
                asyncio.get_running_loop().call_soon(self._call_listener, listeners, listener_id, on_notification)

    @staticmethod
    def _call_listener(
        listeners: dict[object, Callable[[], None]], listener_id: object, on_notification: Callable[[], None]
    ) -> None:
        if listener_id in listeners:
            on_notification()
