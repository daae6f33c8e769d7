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
        self._groups: dict[NameT, dict[object, Callable[[], None]]] = {}
        self._due: dict[NameT, asyncio.Handle] = {}

    def __contains__(self, name: NameT) -> bool:
        """Whether anybody listens for `name`."""
        return name in self._groups

    @property
    def names(self) -> set[NameT]:
        """Every name that anybody listens for."""
        return set(self._groups)

    def add(self, name: NameT, on_news: Callable[[], None]) -> StopListening:
        """Have `on_news` called until what is given back is called."""
        ticket = object()
        self._groups.setdefault(name, {})[ticket] = on_news

        def stop() -> None:
            group = self._groups.get(name, {})
            group.pop(ticket, None)
            if not group:
                self._groups.pop(name, None)

        return stop

    def tell(self, name: NameT) -> None:
        """Have all listeners of `name` called in the loop's next turn, never from within this call."""
        if name in self._groups and name not in self._due:
            self._due[name] = asyncio.get_running_loop().call_soon(self._call, name)

    def tell_all(self) -> None:
        """Tell everybody."""
        for name in self._groups:
            self.tell(name)

    def close(self) -> None:
        """Call nobody any more."""
        self._groups.clear()
        for handle in self._due.values():
            handle.cancel()
        self._due.clear()

    def _call(self, name: NameT) -> None:
        del self._due[name]
        group = self._groups.get(name, {})
        for ticket, on_news in list(group.items()):
            # One may stop another, and what one raises is the loop's to report.
            if ticket in group:
                asyncio.get_running_loop().call_soon(self._call_one, group, ticket, on_news)

    @staticmethod
    def _call_one(group: dict[object, Callable[[], None]], ticket: object, on_news: Callable[[], None]) -> None:
        if ticket in group:
            on_news()
