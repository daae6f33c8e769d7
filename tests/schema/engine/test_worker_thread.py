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
from schema.engine.variable_limits import MAX_INLINE_VALUES, has_many_values
from schema.engine.worker_thread import WorkerThread
from schema.operations import gateway_schema
from schema.operations.operation_budget import enforce_budget
from tests.schema.builders import SCHEMA, conversation, execute

CREATE = (
    "mutation($messages: [NewMessageInput!]) { createThread(input: {messages: $messages}) { userErrors { code } } }"
)


@pytest.fixture
async def worker() -> Any:
    worker = WorkerThread()
    yield worker
    worker.close()


async def test_computations_run_in_one_other_thread_and_raise_to_their_caller(worker: WorkerThread) -> None:
    threads = await asyncio.gather(*(worker.run(threading.get_ident) for _ in range(5)))
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)


async def test_a_computation_that_has_not_begun_is_dropped_with_its_caller(worker: WorkerThread) -> None:
    begun, go_on, ran = threading.Event(), threading.Event(), []

    def block() -> None:
        begun.set()
        go_on.wait()

    first = asyncio.create_task(worker.run(block))
    second = asyncio.create_task(worker.run(lambda: ran.append("second")))
    await asyncio.to_thread(begun.wait)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go_on.set()
    await first
    await worker.run(lambda: ran.append("third"))
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


@pytest.mark.parametrize("is_long", [False, True])
async def test_a_long_document_is_prepared_in_the_worker_thread(monkeypatch: pytest.MonkeyPatch, is_long: bool) -> None:
    threads = []

    def recorded(*arguments: Any) -> None:
        threads.append(threading.get_ident())
        enforce_budget(*arguments)

    monkeypatch.setattr(gateway_schema, "enforce_budget", recorded)
    spaces = " " * (MAX_INLINE_CHARACTERS if is_long else 1)
    result = await execute(conversation(1), '{ thread(id: "thread_1") { upstreamId' + spaces + "} }")
    assert result.data == {"thread": {"upstreamId": "thread_1"}}
    assert [thread == threading.get_ident() for thread in threads] == [not is_long]


@pytest.mark.parametrize(("count", "is_long"), [(32, False), (1_000, True)])
async def test_a_long_input_is_converted_in_the_worker_thread(
    monkeypatch: pytest.MonkeyPatch, count: int, is_long: bool
) -> None:
    in_thread: list[Any] = []
    run = WorkerThread.run

    async def recorded(worker: WorkerThread, compute: Any) -> Any:
        in_thread.append(compute.func if isinstance(compute, partial) else compute)
        return await run(worker, compute)

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
    assert has_many_values(variables) is are_many


async def test_a_worker_that_was_closed_starts_anew() -> None:
    worker = WorkerThread()
    for _ in range(2):
        assert await worker.run(lambda: 1) == 1
        worker.close()
