import asyncio
from collections.abc import Sequence

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import Results
from schema.engine.batches import Arrivals, Batches


async def upper(keys: Sequence[str]) -> Results[str]:
    return [key.upper() for key in keys]


async def hang(_: Sequence[str]) -> Results[str]:
    await asyncio.Event().wait()
    return []


def codes(answers: list[str | BaseException]) -> list[object]:
    return [answer.code if isinstance(answer, GatewayError) else answer for answer in answers]


async def test_a_batch_gives_an_answer_or_an_error_for_each_key() -> None:
    assert await Batches(60).run(upper, ["a", "b"]) == ["A", "B"]
    assert codes(await Batches(0).run(hang, ["a", "b"])) == [ErrorCode.UPSTREAM_TIMEOUT] * 2


async def test_closing_ends_what_is_under_way_and_what_comes_after() -> None:
    batches = Batches(60)
    running = asyncio.create_task(batches.run(hang, ["a"]))
    await asyncio.sleep(0)
    await batches.aclose()
    assert codes(await running) == [ErrorCode.INTERNAL]
    assert codes(await batches.run(upper, ["a"])) == [ErrorCode.INTERNAL]


def test_what_is_expected_of_a_thread_is_given_out_when_the_last_of_it_arrives() -> None:
    arrivals, given = Arrivals(["a", "b", "a", None]), []
    arrivals.arrive("a", lambda: given.append("a1"))
    arrivals.arrive(None, lambda: given.append("assistants"))
    assert given == ["assistants"]
    arrivals.arrive("a", lambda: given.append("a2"))
    assert given == ["assistants", "a1", "a2"]
