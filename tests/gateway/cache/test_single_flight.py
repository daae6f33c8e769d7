import asyncio

import pytest

from gateway.cache.cache_keys import CacheKey
from gateway.cache.single_flight import FlightKey, Land, SingleFlight
from tests.gateway.cache.upstream import until


def flight(name: str, version: str = "v1") -> FlightKey:
    return FlightKey("ann", CacheKey("g", name), (version,))


class Lead:
    """Lands its flights when the gate opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.led: list[list[str]] = []
        self.cancelled = 0

    async def __call__(self, keys: list[FlightKey], on_result: Land[str]) -> None:
        self.led.append([key.place.name for key in keys])
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        for key in keys:
            on_result(key, f"<{key.place.name}>")


async def test_identical_reads_under_way_are_one_call() -> None:
    flights, lead = SingleFlight[str](), Lead()
    first = asyncio.create_task(flights.fly([flight("a"), flight("b")], lead))
    await until(lambda: bool(lead.led))
    second = asyncio.create_task(flights.fly([flight("b"), flight("c")], lead))
    await until(lambda: len(lead.led) == 2)
    lead.gate.set()
    assert await first == {flight("a"): "<a>", flight("b"): "<b>"}
    assert await second == {flight("b"): "<b>", flight("c"): "<c>"}
    assert lead.led == [["a", "b"], ["c"]]
    await flights.fly([flight("a")], lead)
    assert lead.led[2:] == [["a"]]


async def test_the_caller_learns_which_it_leads() -> None:
    flights, lead = SingleFlight[str](), Lead()
    lead.gate.set()
    led: list[FlightKey] = []
    await flights.fly([flight("a")], lead, on_leading=led.append)
    assert led == [flight("a")]
    assert await flights.fly([], lead) == {}


async def test_a_read_that_begins_after_a_write_boards_nothing_that_began_before() -> None:
    flights, lead = SingleFlight[str](), Lead()
    before = asyncio.create_task(flights.fly([flight("a", "v1")], lead))
    await until(lambda: bool(lead.led))
    after = asyncio.create_task(flights.fly([flight("a", "v2")], lead))
    await until(lambda: len(lead.led) == 2)
    lead.gate.set()
    await asyncio.gather(before, after)


@pytest.mark.parametrize("leaver", [0, 1])
async def test_whoever_leaves_takes_nobody_along(leaver: int) -> None:
    flights, lead = SingleFlight[str](), Lead()
    callers = [asyncio.create_task(flights.fly([flight("a")], lead)) for _ in range(2)]
    await until(lambda: bool(lead.led))
    callers[leaver].cancel()
    await asyncio.wait([callers[leaver]])
    assert callers[leaver].cancelled()
    lead.gate.set()
    assert await callers[1 - leaver] == {flight("a"): "<a>"}
    assert lead.cancelled == 0


async def test_a_call_that_nobody_waits_for_any_more_is_ended() -> None:
    flights, lead = SingleFlight[str](), Lead()
    callers = [asyncio.create_task(flights.fly([flight("a")], lead)) for _ in range(2)]
    await until(lambda: bool(lead.led))
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    assert lead.cancelled == 1
    lead.gate.set()
    assert await flights.fly([flight("a")], lead) == {flight("a"): "<a>"}
    assert len(lead.led) == 2


async def test_what_the_leader_raises_reaches_all_on_board() -> None:
    gate = asyncio.Event()

    async def lead(_: list[FlightKey], __: Land[str]) -> None:
        await gate.wait()
        raise ValueError("expected an upstream, got none")

    flights = SingleFlight[str]()
    callers = [asyncio.create_task(flights.fly([flight("a")], lead)) for _ in range(2)]
    await asyncio.sleep(0)
    gate.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError]


async def test_a_leader_who_forgets_a_flight_leaves_nobody_waiting() -> None:
    async def lead(keys: list[FlightKey], on_result: Land[str]) -> None:
        on_result(keys[0], "<a>")

    with pytest.raises(RuntimeError, match="expected a result for every flight"):
        await SingleFlight[str]().fly([flight("a"), flight("b")], lead)


async def test_answers_do_not_wait_for_what_the_leader_does_afterwards() -> None:
    gate = asyncio.Event()

    async def lead(keys: list[FlightKey], on_result: Land[str]) -> None:
        on_result(keys[0], "<a>")
        await gate.wait()

    flights = SingleFlight[str]()
    assert await flights.fly([flight("a")], lead) == {flight("a"): "<a>"}
    gate.set()
    await flights.settled()


async def test_each_passenger_is_told_of_what_has_landed_while_it_waits_for_the_rest() -> None:
    flights, told, others = SingleFlight[str](), [], []
    go_on, failed = asyncio.Event(), asyncio.Event()

    async def lead(keys: list[FlightKey], on_result: Land[str]) -> None:
        on_result(keys[0], "here")
        await go_on.wait()
        on_result(keys[1], "later")
        await failed.wait()
        raise ZeroDivisionError

    keys = [flight("a"), flight("b"), flight("c")]
    first = asyncio.create_task(flights.fly(keys, lead, on_landing=lambda key, _: told.append(key)))
    await until(lambda: bool(told))
    assert told == keys[:1]
    second = asyncio.create_task(flights.fly(keys[1:], lead, on_landing=lambda key, _: others.append(key)))
    await asyncio.sleep(0)
    first.cancel()
    go_on.set()
    await until(lambda: bool(others))
    failed.set()
    with pytest.raises(ZeroDivisionError):
        await second
    assert (told, others) == (keys[:1], keys[1:2])


async def test_closing_ends_what_is_under_way() -> None:
    flights, lead = SingleFlight[str](), Lead()
    caller = asyncio.create_task(flights.fly([flight("a")], lead))
    await until(lambda: bool(lead.led))
    await flights.close()
    assert lead.cancelled == 1
    with pytest.raises(asyncio.CancelledError):
        await caller
