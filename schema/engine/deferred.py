"""A value that follows from a load under way, without a task that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar, cast

LoadedT = TypeVar("LoadedT")
ValueT = TypeVar("ValueT")


class Deferred(Generic[ValueT]):
    """What `finish` makes of a load once it is done, in whatever way. Whoever waits for it cannot cancel the load."""

    __slots__ = ("finish", "load")

    def __init__(self, load: asyncio.Future[Any], finish: Callable[[asyncio.Future[Any]], ValueT]) -> None:
        """Follow a load; `finish` is given it when it is done, and may raise what it raised."""
        self.load = load
        self.finish = finish

    def __await__(self) -> Generator[Any, None, ValueT]:
        """Wait for the load."""
        if not self.load.done():
            yield from asyncio.wait([self.load]).__await__()
        return self.finish(self.load)


def then(load: asyncio.Future[LoadedT], finish: Callable[[asyncio.Future[LoadedT]], ValueT]) -> ValueT:
    """Give what follows from a load: at once where it is done, else as a `Deferred`, which GraphQL execution awaits."""
    return finish(load) if load.done() else cast("ValueT", Deferred(load, finish))


def deferred_error(error: Exception) -> Any:
    """Give a `Deferred` that raises, for one item of a list whose others are well."""
    load = asyncio.get_running_loop().create_future()
    load.set_exception(error)
    load.exception()  # nobody may wait for it
    return Deferred(load, asyncio.Future.result)
