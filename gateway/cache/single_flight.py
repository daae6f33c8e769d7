"""Identical reads under way in one process are one call: who comes later gets on board.

A flight is known by its principal, its place and the versions under which it began, so a read that begins after a
write never boards one that began before. Its crew is the one task that asks for several flights at once; it is
ended when all passengers of all its flights have left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from gateway.cache.cache_keys import CacheKey

ResultT = TypeVar("ResultT")


class FlightKey(NamedTuple):
    """What makes two reads the same."""

    scope: str
    place: CacheKey
    versions: tuple[str, ...]


Land: TypeAlias = Callable[[FlightKey, ResultT], None]


@dataclass(slots=True, eq=False)
class _Crew:
    passengers: int = 0
    task: asyncio.Task[None] | None = None
    flights: dict[FlightKey, _Flight] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Flight:
    landed: asyncio.Future[object]
    crew: _Crew
    watches: list[_Watch] = field(default_factory=list)


class SingleFlight(Generic[ResultT]):
    """The reads under way of all principals; owns their tasks until they are over."""

    def __init__(self) -> None:
        self._boarding: dict[FlightKey, _Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def fly(
        self,
        wanted: Collection[FlightKey],
        lead: Callable[[list[FlightKey], Land[ResultT]], Awaitable[None]],
        *,
        on_leading: Callable[[FlightKey], None] = lambda _: None,
        on_landing: Callable[[FlightKey, ResultT], None] | None = None,
    ) -> dict[FlightKey, ResultT]:
        """Get the results of all wanted; `lead` asks for those not under way and lands each as soon as it is here.

        `on_leading` is told which are asked for here, `on_landing` of each result when it is here. When the caller
        is cancelled, others still get their results.
        Raises what `lead` raised before it landed one.
        """
        if not wanted:
            return {}
        own = [key for key in wanted if key not in self._boarding]
        for key in own:
            on_leading(key)
        if own:
            self._start(own, lead)
        boarded = {key: self._boarding[key] for key in wanted}
        crews = {flight.crew for flight in boarded.values()}
        for crew in crews:
            crew.passengers += 1
        watch = None
        if on_landing is not None:
            watch = _Watch(on_landing)
            for flight in boarded.values():
                flight.watches.append(watch)
        try:
            await asyncio.wait([flight.landed for flight in boarded.values()])
        finally:
            if watch is not None:
                watch.end()
            abandoned = [task for crew in crews if (task := self._leave(crew)) is not None]
            if abandoned:
                await asyncio.wait(abandoned)
        return {key: flight.landed.result() for key, flight in boarded.items()}  # type: ignore[misc]

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """End what is under way; those on board get a `CancelledError`."""
        for task in self._tasks:
            task.cancel()
        await self.settled()

    def _start(
        self,
        own: list[FlightKey],
        lead: Callable[[list[FlightKey], Land[ResultT]], Awaitable[None]],
    ) -> None:
        crew = _Crew()
        loop = asyncio.get_running_loop()
        for key in own:
            self._boarding[key] = crew.flights[key] = _Flight(loop.create_future(), crew)
        crew.task = asyncio.create_task(self._fly(crew, own, lead))
        self._tasks.add(crew.task)
        crew.task.add_done_callback(self._tasks.discard)

    async def _fly(
        self, crew: _Crew, own: list[FlightKey], lead: Callable[[list[FlightKey], Land[ResultT]], Awaitable[None]]
    ) -> None:
        def on_result(key: FlightKey, result: ResultT) -> None:
            flight = crew.flights[key]
            self._take_off_board(key, flight)
            if not flight.landed.done():
                flight.landed.set_result(result)
                for watch in flight.watches:
                    watch.tell(key, result)

        failure: BaseException = asyncio.CancelledError()
        try:
            await lead(own, on_result)
            failure = RuntimeError("expected a result for every flight, got none for some")
        except Exception as error:
            failure = error
        finally:
            for key, flight in crew.flights.items():
                self._take_off_board(key, flight)
                if not flight.landed.done():
                    _fail(flight.landed, failure)

    def _leave(self, crew: _Crew) -> asyncio.Task[None] | None:
        """One passenger less; gives the task that is cancelled because it was the last."""
        crew.passengers -= 1
        if crew.passengers or crew.task is None or all(flight.landed.done() for flight in crew.flights.values()):
            return None
        for key, flight in crew.flights.items():
            self._take_off_board(key, flight)
        crew.task.cancel()
        return crew.task

    def _take_off_board(self, key: FlightKey, flight: _Flight) -> None:
        if self._boarding.get(key) is flight:
            del self._boarding[key]


class _Watch:
    """A passenger who is told of each flight that lands, until it leaves."""

    def __init__(self, tell: Callable[[FlightKey, Any], None]) -> None:
        self.tell = tell

    def end(self) -> None:
        """Tell of no more."""
        self.tell = _tell_nobody


def _tell_nobody(_: FlightKey, __: object) -> None:
    pass


def _fail(future: asyncio.Future[object], failure: BaseException) -> None:
    if isinstance(failure, asyncio.CancelledError):
        future.cancel()
    else:
        future.set_exception(failure)
        future.exception()  # nobody may be on board any more
