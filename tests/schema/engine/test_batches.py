import asyncio
from collections.abc import Sequence

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import Results
from schema.engine.batches import BatchRunner, ThreadBarrier


async def upper(keys: Sequence[str]) -> Results[str]:
    return [key.upper() for key in keys]


async def hang(_: Sequence[str]) -> Results[str]:
    await asyncio.Event().wait()
    return []


def codes(results: list[str | BaseException]) -> list[object]:
    return [result.code if isinstance(result, GatewayError) else result for result in results]


async def test_a_batch_returns_a_value_or_an_error_for_each_key() -> None:
    assert await BatchRunner(60).run_batch(upper, ["a", "b"]) == ["A", "B"]
    assert codes(await BatchRunner(0).run_batch(hang, ["a", "b"])) == [ErrorCode.UPSTREAM_TIMEOUT] * 2


async def test_closing_ends_batches_in_flight_and_later_ones() -> None:
    batches = BatchRunner(60)
    running = asyncio.create_task(batches.run_batch(hang, ["a"]))
    await asyncio.sleep(0)
    await batches.aclose()
    assert codes(await running) == [ErrorCode.INTERNAL]
    assert codes(await batches.run_batch(upper, ["a"])) == [ErrorCode.INTERNAL]


def test_the_pages_of_a_thread_are_released_when_the_last_one_arrives() -> None:
    barrier, released = ThreadBarrier(["a", "b", "a", None]), []
    barrier.add_page("a", lambda: released.append("a1"))
    barrier.add_page(None, lambda: released.append("assistants"))
    assert released == ["assistants"]
    barrier.add_page("a", lambda: released.append("a2"))
    assert released == ["assistants", "a1", "a2"]
