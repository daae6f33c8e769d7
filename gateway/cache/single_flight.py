"""Single flight: identical reads in flight in one process share one call.

A flight is known by its scope, its cache key and the versions under which it began, so a read that begins after a
write never joins a flight from before it. A batch is the one task that fetches several flights at once; it is
cancelled when no caller waits for any of its flights any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from gateway.background_tasks import BackgroundTasks
from gateway.cache.cache_keys import CacheKey


class FlightKey(NamedTuple):
    """The identity of a flight; reads with equal keys share it."""

    scope: str
    cache_key: CacheKey
    versions: tuple[str, ...]


OnFlightResult: TypeAlias = Callable[[FlightKey, Any], None]
FetchFlights: TypeAlias = Callable[[list[FlightKey], OnFlightResult], Awaitable[None]]
"""Fetches flights, and calls the second argument for each as soon as its result is known."""


@dataclass(slots=True, eq=False)
class _Flight:
    result: asyncio.Future[Any]
    batch: _Batch
    listeners: list[OnFlightResult] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Batch:
    """Flights that are fetched together; `in_flight` are those of all batches."""

    in_flight: dict[FlightKey, _Flight]
    flights: dict[FlightKey, _Flight] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    waiters: int = 0

    async def run(self, fetch: FetchFlights) -> None:
        failure: BaseException = asyncio.CancelledError()
        try:
            await fetch(list(self.flights), self.end_flight)
            failure = RuntimeError("expected a result for every flight, got none for some")
        except Exception as error:
            failure = error
        finally:
            self.leave()
            for flight in self.flights.values():
                if not flight.result.done():
                    _set_failure(flight.result, failure)
            # Cycles would hold it for the garbage collector: each flight has the batch, and the task's error has the
            # frame of this method.
            self.flights.clear()
            self.task = None
            del failure

    def end_flight(self, key: FlightKey, result: Any) -> None:
        """Give the result of a flight to its waiters. Later reads begin another flight."""
        flight = self.flights[key]
        self._remove(key, flight)
        if not flight.result.done():
            flight.result.set_result(result)
            for listener in flight.listeners:
                listener(key, result)

    def leave(self) -> None:
        """Let nobody join any of the flights any more."""
        for key, flight in self.flights.items():
            self._remove(key, flight)

    def _remove(self, key: FlightKey, flight: _Flight) -> None:
        if self.in_flight.get(key) is flight:
            del self.in_flight[key]


class SingleFlight:
    """The reads in flight of all scopes; owns their tasks until they end."""

    def __init__(self) -> None:
        self._in_flight: dict[FlightKey, _Flight] = {}
        self._tasks = BackgroundTasks()

    async def run(
        self, keys: Collection[FlightKey], fetch: FetchFlights, on_result: OnFlightResult | None = None
    ) -> dict[FlightKey, Any]:
        """Return the results of all keys: join the flights that exist, and `fetch` the others in one batch.

        If the caller is cancelled, other waiters still get their results. `on_result` is called for each result as
        soon as it is known.

        Raises:
            Exception: the error of `fetch`, if a flight has no result yet when it fails.
        """
        new_keys = [key for key in keys if key not in self._in_flight]
        if new_keys:
            self._start_batch(new_keys, fetch)
        flights = {key: self._in_flight[key] for key in keys}
        batches = {flight.batch for flight in flights.values()}
        for batch in batches:
            batch.waiters += 1
        if on_result is not None:
            for flight in flights.values():
                flight.listeners.append(on_result)
        try:
            await asyncio.wait([flight.result for flight in flights.values()])
        finally:
            if on_result is not None:
                for flight in flights.values():
                    flight.listeners.remove(on_result)
            cancelled = [task for batch in batches if (task := _remove_waiter(batch)) is not None]
            if cancelled:
                await asyncio.wait(cancelled)
        return {key: flight.result.result() for key, flight in flights.items()}

    async def wait_until_idle(self) -> None:
        """Wait until no read is in flight and every batch has ended."""
        await self._tasks.wait()

    async def close(self) -> None:
        """Cancel the reads in flight; their waiters get a `CancelledError`."""
        await self._tasks.aclose()

    def _start_batch(self, keys: list[FlightKey], fetch: FetchFlights) -> None:
        batch = _Batch(self._in_flight)
        loop = asyncio.get_running_loop()
        for key in keys:
            self._in_flight[key] = batch.flights[key] = _Flight(loop.create_future(), batch)
        batch.task = self._tasks.start(batch.run(fetch))


def _remove_waiter(batch: _Batch) -> asyncio.Task[None] | None:
    """Remove one waiter. Returns the batch's task, which is cancelled, if it was the last one."""
    batch.waiters -= 1
    if batch.waiters or batch.task is None or all(flight.result.done() for flight in batch.flights.values()):
        return None
    batch.leave()
    batch.task.cancel()
    return batch.task


def _set_failure(future: asyncio.Future[Any], failure: BaseException) -> None:
    if isinstance(failure, asyncio.CancelledError):
        future.cancel()
    else:
        future.set_exception(failure)
        future.exception()  # marks it as retrieved, since there may be no waiter any more
