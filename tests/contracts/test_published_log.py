"""The contract of every event log for those that many write: the logs of viewers' lists."""

import asyncio

from gateway.run_log.store.event_log import LogName, ViewerKey
from tests.contracts.event_logs import MAX_ENTRIES, Begin, Logs, begin, logs, numbers, text, texts

__all__ = ["begin", "logs"]  # fixtures

LIST = LogName("scope", ViewerKey("viewer"))
OTHERS = LogName("scope", ViewerKey("another"))


async def test_each_process_publishes_without_a_lease_and_reads_what_all_published(logs: Logs) -> None:
    await logs.here.publish(LIST, [text("a"), text("b")])
    await logs.there.publish(LIST, [text("c")])
    await logs.here.publish(LIST, [])
    await logs.here.publish(OTHERS, [text("x")])
    for log in (logs.here, logs.there):
        reading = await log.read(LIST)
        assert (texts(reading), numbers(reading)) == (["a", "b", "c"], [1, 2, 3])
        assert texts(await log.read(OTHERS)) == ["x"]


async def test_what_is_published_at_the_same_time_is_in_one_order_for_all(logs: Logs) -> None:
    await asyncio.gather(
        *((logs.here if number % 2 else logs.there).publish(LIST, [text(str(number))]) for number in range(10))
    )
    here, there = await logs.here.read(LIST), await logs.there.read(LIST)
    assert texts(here) == texts(there)
    assert sorted(texts(here)) == sorted(map(str, range(10)))
    assert numbers(here) == list(range(1, 11))


async def test_a_published_log_keeps_its_latest_entries(begin: Begin) -> None:
    logs = await begin(600)
    for number in range(MAX_ENTRIES + 5):
        await logs.here.publish(LIST, [text(str(number))])
    reading = await logs.there.read(LIST)
    assert texts(reading) == [str(number) for number in range(5, MAX_ENTRIES + 5)]
    assert numbers(reading)[-1] == MAX_ENTRIES + 5


async def test_a_publication_notifies_those_who_listen(logs: Logs) -> None:
    notified = asyncio.Event()
    stop = logs.there.listen(LIST, notified.set)
    try:
        async with asyncio.timeout(10):
            while not notified.is_set():
                await logs.here.publish(LIST, [text("a")])
                await asyncio.sleep(0.01)
    finally:
        stop()
