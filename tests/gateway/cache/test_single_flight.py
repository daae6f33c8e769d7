import asyncio

import pytest

from gateway.cache.cache_keys import CacheKey
from gateway.cache.single_flight import FlightKey, OnFlightResult, SingleFlight
from tests.gateway.cache.upstream import until


def flight(name: str, version: str = "v1") -> FlightKey:
    return FlightKey("ann", CacheKey("g", name), (version,))


class GatedFetch:
    """A fetch that returns its results when the gate opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.fetched: list[list[str]] = []
        self.cancelled = 0

    async def __call__(self, keys: list[FlightKey], on_result: OnFlightResult) -> None:
        self.fetched.append([key.cache_key.name for key in keys])
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        for key in keys:
            on_result(key, f"<{key.cache_key.name}>")


async def test_identical_reads_in_flight_share_one_call() -> None:
    flights, fetch = SingleFlight(), GatedFetch()
    first = asyncio.create_task(flights.run([flight("a"), flight("b")], fetch))
    await until(lambda: bool(fetch.fetched))
    second = asyncio.create_task(flights.run([flight("b"), flight("c")], fetch))
    await until(lambda: len(fetch.fetched) == 2)
    fetch.gate.set()
    assert await first == {flight("a"): "<a>", flight("b"): "<b>"}
    assert await second == {flight("b"): "<b>", flight("c"): "<c>"}
    assert fetch.fetched == [["a", "b"], ["c"]]
    await flights.run([flight("a")], fetch)
    assert fetch.fetched[2:] == [["a"]]


async def test_a_read_that_begins_after_a_write_joins_no_flight_from_before_it() -> None:
    flights, fetch = SingleFlight(), GatedFetch()
    before = asyncio.create_task(flights.run([flight("a", "v1")], fetch))
    await until(lambda: bool(fetch.fetched))
    after = asyncio.create_task(flights.run([flight("a", "v2")], fetch))
    await until(lambda: len(fetch.fetched) == 2)
    fetch.gate.set()
    await asyncio.gather(before, after)


@pytest.mark.parametrize("leaver", [0, 1])
async def test_a_cancelled_caller_does_not_cancel_the_flight_of_others(leaver: int) -> None:
    flights, fetch = SingleFlight(), GatedFetch()
    callers = [asyncio.create_task(flights.run([flight("a")], fetch)) for _ in range(2)]
    await until(lambda: bool(fetch.fetched))
    callers[leaver].cancel()
    await asyncio.wait([callers[leaver]])
    assert callers[leaver].cancelled()
    fetch.gate.set()
    assert await callers[1 - leaver] == {flight("a"): "<a>"}
    assert fetch.cancelled == 0


async def test_a_fetch_is_cancelled_when_its_last_waiter_leaves() -> None:
    flights, fetch = SingleFlight(), GatedFetch()
    callers = [asyncio.create_task(flights.run([flight("a")], fetch)) for _ in range(2)]
    await until(lambda: bool(fetch.fetched))
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    assert fetch.cancelled == 1
    fetch.gate.set()
    assert await flights.run([flight("a")], fetch) == {flight("a"): "<a>"}
    assert len(fetch.fetched) == 2


async def test_an_error_of_the_fetch_reaches_all_waiters() -> None:
    gate = asyncio.Event()

    async def fetch(_: list[FlightKey], __: OnFlightResult) -> None:
        await gate.wait()
        raise ValueError("expected an upstream, got none")

    flights = SingleFlight()
    callers = [asyncio.create_task(flights.run([flight("a")], fetch)) for _ in range(2)]
    await asyncio.sleep(0)
    gate.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError]


async def test_a_fetch_that_leaves_out_a_flight_is_an_error_and_no_waiter_hangs() -> None:
    async def fetch(keys: list[FlightKey], on_result: OnFlightResult) -> None:
        on_result(keys[0], "<a>")

    with pytest.raises(RuntimeError, match="expected a result for every flight"):
        await SingleFlight().run([flight("a"), flight("b")], fetch)


async def test_results_do_not_wait_for_the_work_after_them() -> None:
    gate = asyncio.Event()

    async def fetch(keys: list[FlightKey], on_result: OnFlightResult) -> None:
        on_result(keys[0], "<a>")
        await gate.wait()

    flights = SingleFlight()
    assert await flights.run([flight("a")], fetch) == {flight("a"): "<a>"}
    gate.set()
    await flights.wait_until_idle()


async def test_each_waiter_gets_results_as_they_arrive_until_it_leaves() -> None:
    flights, first_results, second_results = SingleFlight(), [], []
    go_on, failed = asyncio.Event(), asyncio.Event()

    async def fetch(keys: list[FlightKey], on_result: OnFlightResult) -> None:
        on_result(keys[0], "here")
        await go_on.wait()
        on_result(keys[1], "later")
        await failed.wait()
        raise ZeroDivisionError

    keys = [flight("a"), flight("b"), flight("c")]
    first = asyncio.create_task(flights.run(keys, fetch, on_result=lambda key, _: first_results.append(key)))
    await until(lambda: bool(first_results))
    assert first_results == keys[:1]
    second = asyncio.create_task(flights.run(keys[1:], fetch, on_result=lambda key, _: second_results.append(key)))
    await asyncio.sleep(0)
    first.cancel()
    go_on.set()
    await until(lambda: bool(second_results))
    failed.set()
    with pytest.raises(ZeroDivisionError):
        await second
    assert (first_results, second_results) == (keys[:1], keys[1:2])


async def test_closing_cancels_the_reads_in_flight() -> None:
    flights, fetch = SingleFlight(), GatedFetch()
    caller = asyncio.create_task(flights.run([flight("a")], fetch))
    await until(lambda: bool(fetch.fetched))
    await flights.close()
    assert fetch.cancelled == 1
    with pytest.raises(asyncio.CancelledError):
        await caller
