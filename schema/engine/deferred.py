"""A value that will be computed from a load in flight, without a task that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from types import CoroutineType
from typing import Any, Generic, TypeVar, cast

LoadedT = TypeVar("LoadedT")
ValueT = TypeVar("ValueT")


class Deferred(Generic[ValueT]):
    """A value that `finish` computes when a load is done or has failed. Cancelling a waiter leaves the load running.

    `finish` may return a coroutine, if the value needs further loads.
    """

    __slots__ = ("finish", "load")

    def __init__(self, load: asyncio.Future[Any], finish: Callable[[asyncio.Future[Any]], ValueT]) -> None:
        """Defer until `load` is done. `finish` gets the finished load, and may raise its error."""
        self.load = load
        self.finish = finish

    def __await__(self) -> Generator[Any, None, ValueT]:
        """Wait for the load, then compute the value."""
        if not self.load.done():
            yield from asyncio.wait([self.load]).__await__()
        value: Any = self.finish(self.load)
        if type(value) is CoroutineType:
            value = yield from value.__await__()
        return cast("ValueT", value)


def then(load: asyncio.Future[LoadedT], finish: Callable[[asyncio.Future[LoadedT]], ValueT]) -> ValueT:
    """Compute a value from a load: now if the load is done, else as a `Deferred`, which GraphQL execution awaits."""
    return finish(load) if load.done() else cast("ValueT", Deferred(load, finish))


def deferred_error(error: Exception) -> Any:
    """Make a `Deferred` that raises: for one failed item of a list, so that the other items stay."""
    load = asyncio.get_running_loop().create_future()
    load.set_exception(error)
    load.exception()  # marks it as retrieved, since there may be no waiter
    return Deferred(load, asyncio.Future.result)
