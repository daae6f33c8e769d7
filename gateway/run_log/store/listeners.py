"""Callbacks by log name. The event loop calls each soon, and once for many notifications."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from gateway.run_log.store.event_log import StopListening

NameT = TypeVar("NameT", bound=Hashable)


class Listeners(Generic[NameT]):
    """Callbacks by name. A callback that fails affects neither the notifier nor the other callbacks."""

    def __init__(self) -> None:
        self._listeners_by_name: dict[NameT, dict[object, Callable[[], None]]] = {}
        self._scheduled: dict[NameT, asyncio.Handle] = {}

    def __contains__(self, name: NameT) -> bool:
        """Return whether `name` has a listener."""
        return name in self._listeners_by_name

    @property
    def names(self) -> set[NameT]:
        """All names that have a listener."""
        return set(self._listeners_by_name)

    def add_listener(self, name: NameT, on_notification: Callable[[], None]) -> StopListening:
        """Call `on_notification` for each notification, until the returned function is called."""
        listener_id = object()
        self._listeners_by_name.setdefault(name, {})[listener_id] = on_notification

        def stop() -> None:
            listeners = self._listeners_by_name.get(name, {})
            listeners.pop(listener_id, None)
            if not listeners:
                self._listeners_by_name.pop(name, None)

        return stop

    def notify(self, name: NameT) -> None:
        """Schedule the calls of all listeners of `name` in the next turn of the loop, never within this call."""
        if name in self._listeners_by_name and name not in self._scheduled:
            self._scheduled[name] = asyncio.get_running_loop().call_soon(self._call_listeners, name)

    def notify_all(self) -> None:
        """Notify the listeners of every name."""
        for name in self._listeners_by_name:
            self.notify(name)

    def close(self) -> None:
        """Remove all listeners and cancel all scheduled calls."""
        self._listeners_by_name.clear()
        for handle in self._scheduled.values():
            handle.cancel()
        self._scheduled.clear()

    def _call_listeners(self, name: NameT) -> None:
        del self._scheduled[name]
        listeners = self._listeners_by_name.get(name, {})
        for listener_id, on_notification in list(listeners.items()):
            # A listener may remove another one; an error of a listener is reported by the loop.
            if listener_id in listeners:
                asyncio.get_running_loop().call_soon(self._call_listener, listeners, listener_id, on_notification)

    @staticmethod
    def _call_listener(
        listeners: dict[object, Callable[[], None]], listener_id: object, on_notification: Callable[[], None]
    ) -> None:
        if listener_id in listeners:
            on_notification()
