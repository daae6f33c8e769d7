"""Single flight: identical reads in flight in one process share one call.

A flight is known by its principal, its cache key and the versions under which it began, so a read that begins after a
write never joins a flight from before it. A batch is the one task that fetches several flights at once; it is
cancelled when no caller waits for any of its flights any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from gateway.cache.cache_keys import CacheKey

ResultT = TypeVar("ResultT")


class FlightKey(NamedTuple):
    """The identity of a flight; reads with equal keys share it."""

    scope: str
    cache_key: CacheKey
    versions: tuple[str, ...]


OnFlightResult: TypeAlias = Callable[[FlightKey, ResultT], None]
FetchFlights: TypeAlias = Callable[[list[FlightKey], OnFlightResult[ResultT]], Awaitable[None]]
"""Fetches flights, and calls `on_result` for each as soon as its result is known."""


@dataclass(slots=True, eq=False)
class _Batch:
    waiters: int = 0
    task: asyncio.Task[None] | None = None
    flights: dict[FlightKey, _Flight] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Flight:
    result: asyncio.Future[object]
    batch: _Batch
    listeners: list[_Listener] = field(default_factory=list)


class SingleFlight(Generic[ResultT]):
    """The reads in flight of all principals; owns their tasks until they end."""

    def __init__(self) -> None:
        self._in_flight: dict[FlightKey, _Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(
        self,
        keys: Collection[FlightKey],
        fetch: FetchFlights[ResultT],
        *,
        on_start: Callable[[FlightKey], None] = lambda _: None,
        on_result: OnFlightResult[ResultT] | None = None,
    ) -> dict[FlightKey, ResultT]:
        """Return the results of all keys: join the flights that exist, and start the others in one batch.

        If the caller is cancelled, other waiters still get their results.

        Args:
            keys: The flights whose results are wanted.
            fetch: Fetches the flights that this call starts.
            on_start: Called for each flight that this call starts.
            on_result: Called for each result as soon as it is known.

        Raises:
            Exception: the error of `fetch`, if a flight has no result yet when it fails.
        """
        if not keys:
            return {}
        new_keys = [key for key in keys if key not in self._in_flight]
        for key in new_keys:
            on_start(key)
        if new_keys:
            self._start_batch(new_keys, fetch)
        flights = {key: self._in_flight[key] for key in keys}
        batches = {flight.batch for flight in flights.values()}
        for batch in batches:
            batch.waiters += 1
        listener = None
        if on_result is not None:
            listener = _Listener(on_result)
            for flight in flights.values():
                flight.listeners.append(listener)
        try:
            await asyncio.wait([flight.result for flight in flights.values()])
        finally:
            if listener is not None:
                listener.stop()
            cancelled = [task for batch in batches if (task := self._remove_waiter(batch)) is not None]
            if cancelled:
                await asyncio.wait(cancelled)
        return {key: flight.result.result() for key, flight in flights.items()}  # type: ignore[misc]

    async def wait_until_idle(self) -> None:
        """Wait until no read is in flight and every batch has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Cancel the reads in flight; their waiters get a `CancelledError`."""
        for task in self._tasks:
            task.cancel()
        await self.wait_until_idle()

    def _start_batch(self, keys: list[FlightKey], fetch: FetchFlights[ResultT]) -> None:
        batch = _Batch()
        loop = asyncio.get_running_loop()
        for key in keys:
            self._in_flight[key] = batch.flights[key] = _Flight(loop.create_future(), batch)
        batch.task = asyncio.create_task(self._run_batch(batch, keys, fetch))
        self._tasks.add(batch.task)
        batch.task.add_done_callback(self._tasks.discard)

    async def _run_batch(self, batch: _Batch, keys: list[FlightKey], fetch: FetchFlights[ResultT]) -> None:
        def on_result(key: FlightKey, result: ResultT) -> None:
            flight = batch.flights[key]
            self._remove_flight(key, flight)
            if not flight.result.done():
                flight.result.set_result(result)
                for listener in flight.listeners:
                    listener.on_result(key, result)

        failure: BaseException = asyncio.CancelledError()
        try:
            await fetch(keys, on_result)
            failure = RuntimeError("expected a result for every flight, got none for some")
        except Exception as error:
            failure = error
        finally:
            for key, flight in batch.flights.items():
                self._remove_flight(key, flight)
                if not flight.result.done():
                    _set_failure(flight.result, failure)

    def _remove_waiter(self, batch: _Batch) -> asyncio.Task[None] | None:
        """Remove one waiter. Returns the batch's task, which is cancelled, if it was the last one."""
        batch.waiters -= 1
        if batch.waiters or batch.task is None or all(flight.result.done() for flight in batch.flights.values()):
            return None
        for key, flight in batch.flights.items():
            self._remove_flight(key, flight)
        batch.task.cancel()
        return batch.task

    def _remove_flight(self, key: FlightKey, flight: _Flight) -> None:
        if self._in_flight.get(key) is flight:
            del self._in_flight[key]


class _Listener:
    """The `on_result` of a waiter; ignores results once the waiter has left."""

    def __init__(self, on_result: Callable[[FlightKey, Any], None]) -> None:
        self.on_result = on_result

    def stop(self) -> None:
        """Ignore further results."""
        self.on_result = _ignore_result


def _ignore_result(_: FlightKey, __: object) -> None:
    pass


def _set_failure(future: asyncio.Future[object], failure: BaseException) -> None:
    if isinstance(failure, asyncio.CancelledError):
        future.cancel()
    else:
        future.set_exception(failure)
        future.exception()  # marks it as retrieved, since there may be no waiter any more
