"""Slow work before the first call of an operation is done in the worker thread, not on the event loop."""

import asyncio
import threading
from functools import partial
from typing import Any

import pytest
from graphql import DocumentNode, ValidationRule, build_schema
from strawberry.types.arguments import convert_arguments

from schema.engine.context import Context
from schema.engine.documents import MAX_INLINE_CHARACTERS, DocumentCache, DocumentReader
from schema.engine.variable_limits import MAX_INLINE_VALUES, MAX_INPUT_VALUES, count_values
from schema.engine.worker_thread import FairWork, WorkerThread
from schema.operations import operation_budget
from schema.operations.call_prediction import predict_calls
from schema.operations.upper_bounds import find_upper_bounds
from tests.schema.builders import SCHEMA, conversation

CREATE = (
    "mutation($messages: [NewMessageInput!]) { createThread(input: {messages: $messages}) { userErrors { code } } }"
)

LONG = [(5_000, False, True), (300, True, True)]


@pytest.fixture
async def worker() -> Any:
    worker = WorkerThread()
    yield worker
    worker.close()


async def test_computations_run_in_one_other_thread_and_raise_to_their_caller(worker: WorkerThread) -> None:
    threads = await asyncio.gather(*(worker.run(threading.get_ident, 1) for _ in range(5)))
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0, 1)


def begun(work: FairWork, names: dict[asyncio.Future[None], str], count: int) -> str:
    """Return the names of the next computations, in their order."""
    return "".join(names[turn] for _ in range(count) if (turn := work.take()) is not None)


async def test_callers_that_wait_get_the_same_work_done() -> None:
    work, names = FairWork(), dict[asyncio.Future[None], str]()

    def add(caller: str, size: int, count: int = 1) -> None:
        for _ in range(count):
            turn = asyncio.get_running_loop().create_future()
            names[turn] = caller
            work.add(caller, size, turn)

    add("a", 1_000, count=5)
    add("b", 1_000, count=5)
    add("c", 100, count=30)
    first = begun(work, names, 24)
    assert (first.count("a"), first.count("b"), first.count("c")) == (2, 2, 20)
    add("d", 100)
    add("e", 5_000)
    assert "d" in begun(work, names, 3)
    assert begun(work, names, 100).count("e") == 1
    add("a", 1_000)
    add("f", 999)
    assert begun(work, names, 3) == "fa"  # nothing is held against a caller that waits no longer


async def test_a_long_computation_does_not_wait_for_all_short_ones_of_others() -> None:
    work, names = FairWork(), dict[asyncio.Future[None], str]()
    for number in range(100):
        turn = asyncio.get_running_loop().create_future()
        names[turn] = "short "
        work.add("many", 100, turn)
        if number == 50:
            long = asyncio.get_running_loop().create_future()
            names[long] = "long "
            work.add("one", 1_000, long)
    assert begun(work, names, 11).split() == ["short"] * 10 + ["long"]


async def test_the_computations_of_callers_that_left_do_not_count() -> None:
    work, names = FairWork(), dict[asyncio.Future[None], str]()
    for caller, size in (("a", 1), ("b", 5), ("a", 10)):
        turn = asyncio.get_running_loop().create_future()
        names[turn] = f"{caller}{size}"
        work.add(caller, size, turn)
    next(iter(names)).cancel()
    assert begun(work, names, 3) == "b5a10"


async def test_a_callers_long_documents_do_not_delay_anothers_short_one(worker: WorkerThread) -> None:
    go_on, ran = threading.Event(), list[str]()
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(worker.run(go_on.wait, 1_000, "many"))]
    await asyncio.sleep(0)
    runs = [("many", 1_000)] * 20 + [("few", 1_500)]
    tasks += [asyncio.create_task(worker.run(partial(ran.append, name), size, name)) for name, size in runs]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*tasks)
    assert ran.index("few") == 1


async def test_of_those_that_wait_the_smallest_runs_first_and_of_equal_ones_the_first(worker: WorkerThread) -> None:
    go_on, ran = threading.Event(), list[str]()
    blocking = asyncio.create_task(worker.run(go_on.wait, 1))
    await asyncio.sleep(0)
    sizes = {"large": 100, "small": 2, "middle": 50, "second middle": 50}
    waiting = [asyncio.create_task(worker.run(partial(ran.append, name), size)) for name, size in sizes.items()]
    await asyncio.sleep(0)
    waiting[1].cancel()
    waiting.append(asyncio.create_task(worker.run(partial(ran.append, "late"), 3)))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(blocking, *waiting, return_exceptions=True)
    assert ran == ["late", "middle", "second middle", "large"]


async def test_those_that_wait_are_cancelled_with_the_worker(worker: WorkerThread) -> None:
    go_on = threading.Event()
    running = asyncio.create_task(worker.run(go_on.wait, 1))
    waiting = asyncio.create_task(worker.run(lambda: 1, 1))
    await asyncio.sleep(0)
    worker.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    assert await running


async def test_a_computation_that_has_not_begun_is_dropped_with_its_caller(worker: WorkerThread) -> None:
    begun, go_on, ran = threading.Event(), threading.Event(), []

    def block() -> None:
        begun.set()
        go_on.wait()

    first = asyncio.create_task(worker.run(block, 1))
    second = asyncio.create_task(worker.run(lambda: ran.append("second"), 1))
    await asyncio.to_thread(begun.wait)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go_on.set()
    await first
    await worker.run(lambda: ran.append("third"), 1)
    assert ran == ["third"]


def recording(threads: list[int]) -> type[ValidationRule]:
    class Record(ValidationRule):
        def enter_document(self, node: DocumentNode, *_: Any) -> None:
            threads.append(threading.get_ident())

    return Record


async def test_a_long_or_invalid_document_is_read_in_the_worker_thread_and_a_valid_one_once() -> None:
    threads: list[int] = []
    schema = build_schema("type Query { a: Int }")
    documents = DocumentReader(schema, DocumentCache(100_000), max_tokens=1_000, rules=[recording(threads)])
    here = threading.get_ident()
    long = "{ a " + " " * MAX_INLINE_CHARACTERS + "}"
    short = await documents.read("{ a }")
    assert await documents.read("{ a }") is short
    assert await documents.read(long) is await documents.read(long)
    assert [thread == here for thread in threads] == [True, False]
    invalid = await documents.read("{ aa }")
    assert [error.message for error in invalid.errors] == ["Cannot query field 'aa' on type 'Query'. Did you mean 'a'?"]
    assert [thread == here for thread in threads[2:]] == [True, False]
    documents.worker.close()


@pytest.mark.parametrize(("length", "reports_cost", "in_worker"), [(1, True, False), (4_000, False, False), *LONG])
async def test_a_document_is_prepared_in_the_worker_thread_if_that_takes_long(
    monkeypatch: pytest.MonkeyPatch, length: int, reports_cost: bool, in_worker: bool
) -> None:
    threads = []

    def recorded(*arguments: Any) -> Any:
        threads.append(threading.get_ident())
        return find_upper_bounds(*arguments)

    def recorded_prediction(*arguments: Any) -> Any:
        threads[:] = [threading.get_ident()]
        return predict_calls(*arguments)

    monkeypatch.setattr(operation_budget, "find_upper_bounds", recorded)
    monkeypatch.setattr(operation_budget, "predict_calls", recorded_prediction)
    document = '{ thread(id: "thread_1") { upstreamId' + " " * length + "} }"
    context = Context(conversation(1), reports_cost=reports_cost)
    result = await SCHEMA.execute(document, context_value=context)
    assert result.data == {"thread": {"upstreamId": "thread_1"}}
    assert [thread != threading.get_ident() for thread in threads] == [in_worker]


@pytest.mark.parametrize(("count", "is_long"), [(32, False), (1_000, True)])
async def test_a_long_input_is_converted_in_the_worker_thread(
    monkeypatch: pytest.MonkeyPatch, count: int, is_long: bool
) -> None:
    in_thread: list[Any] = []
    run = WorkerThread.run

    async def recorded(worker: WorkerThread, compute: Any, size: int, caller: str) -> Any:
        in_thread.append(compute.func if isinstance(compute, partial) else compute)
        return await run(worker, compute, size, caller)

    monkeypatch.setattr(WorkerThread, "run", recorded)
    messages = [{"content": {"text": "a"}}] * count
    result = await SCHEMA.execute(CREATE, {"messages": messages}, Context(conversation(1)))
    assert (result.data, result.errors) == (
        {"createThread": {"userErrors": [{"code": "TOO_MANY"}] if is_long else []}},
        None,
    )
    assert [function is convert_arguments for function in in_thread] == ([False, True] if is_long else [])


@pytest.mark.parametrize(
    ("variables", "are_many"),
    [
        ({}, False),
        ({"a": [1] * (MAX_INLINE_VALUES - 1)}, False),
        ({"a": [1] * MAX_INLINE_VALUES}, True),
        ({"a": {"b": [{"c": 1}] * 300}}, True),
        ({"a": "x" * 100_000}, False),
    ],
)
def test_values_are_counted_at_any_depth(variables: dict[str, Any], are_many: bool) -> None:
    assert (count_values(variables) > MAX_INLINE_VALUES) is are_many


def test_values_are_counted_no_further_than_to_the_limit() -> None:
    assert [count_values({"a": [1] * count}) for count in (7, 20_000)] == [8, MAX_INPUT_VALUES + 1]


async def test_a_worker_that_was_closed_starts_anew() -> None:
    worker = WorkerThread()
    for _ in range(2):
        assert await worker.run(lambda: 1, 1) == 1
        worker.close()
