"""References to one object share its part of the response, which counts as often as it stands there."""

from typing import Any

import pytest

from schema.contract.cost import ExecutionBounds
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageKey, RunKey
from schema.engine import plan_execution
from schema.engine.context import Context
from tests.schema.builders import SCHEMA, conversation, execute, paths_and_codes
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import assistant, message, run

FIELDS = "messages(first: 100) { nodes { id run { id status steps { nodes { id } } } assistant { id } } }"
DOCUMENT = f'{{ thread(id: "thread_1") {{ {FIELDS} }} }}'


def messages_of_runs(run_ids: list[str]) -> FakeThreadsApi:
    """Make `thread_1` with one message of each of these runs."""
    api = conversation(0)
    for number, run_id in enumerate(run_ids):
        key = MessageKey("thread_1", f"msg_{number:02}")
        wire = message(key.message_id, created_at=number, run_id=run_id, assistant_id="asst_1", role="assistant")
        api.messages[key] = wire
        api.runs[RunKey("thread_1", run_id)] = run(run_id, model="gpt-4")
    return api


async def execute_counted(api: FakeThreadsApi, **bounds: Any) -> tuple[Any, Context]:
    context = Context(api, bounds=ExecutionBounds(**bounds))
    result = await SCHEMA.execute(DOCUMENT, context_value=context)
    await context.aclose()
    return result, context


@pytest.mark.compiled
async def test_a_part_that_stands_often_is_counted_as_often() -> None:
    same, same_context = await execute_counted(messages_of_runs(["run_00"] * 30))
    other, other_context = await execute_counted(messages_of_runs([f"run_{number:02}" for number in range(30)]))
    assert same.errors is other.errors is None
    runs = [node["run"] for node in same.data["thread"]["messages"]["nodes"]]
    assert runs == [{"id": runs[0]["id"], "status": "COMPLETED", "steps": {"nodes": []}}] * 30
    assert len({id(one) for one in runs}) == 1
    for size in ("byte_count", "object_count"):
        assert getattr(same_context.answer_size, size) == getattr(other_context.answer_size, size) > 60


async def test_shared_parts_are_held_to_the_size_of_the_response() -> None:
    _, context = await execute_counted(messages_of_runs(["run_00"] * 100))
    byte_count = context.answer_size.byte_count
    for limit, refused in ((byte_count, False), (byte_count - 1, True), (byte_count // 3, True)):
        result, _ = await execute_counted(messages_of_runs(["run_00"] * 100), max_answer_bytes=limit)
        assert (result.data is None) is refused


async def test_an_object_that_is_missing_or_fails_is_so_wherever_it_stands() -> None:
    gone = messages_of_runs(["run_00"] * 3)
    del gone.runs[RunKey("thread_1", "run_00")]
    result = await execute(gone, DOCUMENT)
    assert result.errors is None
    assert [node["run"] for node in (result.data or {})["thread"]["messages"]["nodes"]] == [None] * 3
    failing = messages_of_runs(["run_00"] * 3)
    failing.fail[RunKey("thread_1", "run_00")] = GatewayError(ErrorCode.UPSTREAM_FAILED, "Failed.")
    result = await execute(failing, DOCUMENT)
    paths = [["thread", "messages", "nodes", index, "run"] for index in range(3)]
    assert sorted(paths_and_codes(result), key=repr) == [(path, "UPSTREAM_FAILED") for path in paths]


@pytest.mark.parametrize("run_ids", [["run_00"] * 4, ["run_00", "run_01"] * 2])
async def test_a_part_that_waits_for_loads_is_complete_wherever_it_stands(run_ids: list[str]) -> None:
    api = messages_of_runs(run_ids)
    api.assistants[AssistantKey("asst_1")] = assistant("asst_1", name="Ada")
    selected = "messages(first: 100) { nodes { run { id assistant { name } } } }"
    result = await execute(api, f'{{ thread(id: "thread_1") {{ {selected} }} }}')
    runs = [node["run"] for node in (result.data or {})["thread"]["messages"]["nodes"]]
    assert [one["assistant"] for one in runs] == [{"name": "Ada"}] * 4
    assert len({one["id"] for one in runs}) == len(set(run_ids))


LISTS = [
    "id createdAt messages(first: 3) { nodes { id text } }",
    "messages { edges { cursor node { run { status steps { nodes { id } } } } } } activeRun { id }",
    "runs { nodes { messages(first: 2) { nodes { text assistant { name } thread { runs { nodes { model } } } } } } }",
    "messages(first: 100) { pageInfo { endCursor } nodes { ...M run { ...R } } } runs { nodes { ...R } }",
    "messages(first: 150) { nodes { text content { __typename } run { thread { metadata } } } }",
]
NESTED = (
    "fragment M on Message { text run { ...R } thread { id metadata } } fragment R on Run { status assistant { name } }"
)
"""Fragments that stand in many places, one within the other."""


async def execute_aliases(count: int, selection: str, *, as_fragment: bool) -> tuple[Any, Context]:
    """Select the same of one thread under aliases: by one fragment, or written out each time, which shares less."""
    written = "...T" if as_fragment else selection
    unused = "" if "...M" in selection else "m: messages(first: 1) { nodes { ...M } }"
    last = f't: thread(id: "thread_1") {{ id {unused} }}'
    aliases = " ".join(f't{number}: thread(id: "thread_1") {{ {written} }}' for number in range(count))
    fragment = f"fragment T on Thread {{ {selection} }}" if as_fragment else ""
    document = f"{{ {aliases} {last} }} {fragment} {NESTED}"
    context = Context(messages_of_runs([f"run_{number % 3}" for number in range(30)]))
    result = await SCHEMA.execute(document, context_value=context)
    await context.aclose()
    assert result.errors is None
    return result.data, context


@pytest.mark.parametrize("selection", LISTS)
@pytest.mark.parametrize("turn_bytes", [plan_execution.TURN_BYTES, 500])
async def test_one_fragment_under_many_aliases_is_as_the_same_written_out(
    selection: str, turn_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_execution, "TURN_BYTES", turn_bytes)
    for count in (1, 4):
        shared, shared_context = await execute_aliases(count, selection, as_fragment=True)
        written_out, context = await execute_aliases(count, selection, as_fragment=False)
        assert shared == written_out
        for size in ("byte_count", "object_count"):
            assert getattr(shared_context.answer_size, size) == getattr(context.answer_size, size)


@pytest.mark.compiled
async def test_the_lists_of_one_thread_under_many_aliases_are_completed_once() -> None:
    shared, _ = await execute_aliases(6, LISTS[1], as_fragment=True)
    lists = {id(shared[f"t{number}"]["messages"]) for number in range(6)}
    assert len(lists) <= 2  # the first is completed before it is known that there are more
