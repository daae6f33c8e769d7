"""The upstream calls of a query, how many of them run at the same time, and the reach of one failure."""

import asyncio
from typing import Any

import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageKey, RunKey, RunStepKey, ThreadKey, to_global_id
from schema.contract.kinds import MessagePageKey, RunPageKey, RunStepPageKey
from schema.contract.paging import Window
from schema.engine.context import Context
from schema.root import build_schema
from tests.schema.builders import (
    THREAD,
    GatedThreadsApi,
    called_functions,
    conversation,
    conversation_with_files,
    execute,
    paths_and_codes,
    query_data,
    run_ready_tasks,
)
from tests.support.wire_samples import message

RUN = RunKey("thread_1", "run_1")
DOWN = GatewayError(ErrorCode.UPSTREAM_FAILED, "Down.", upstream_request_id="req_1")


async def calls_before_any_answer(
    document: str, variables: dict[str, Any] | None = None
) -> tuple[list[str], list[str]]:
    """Return the calls that a query starts before any answer, and all calls that it makes."""
    api = GatedThreadsApi(conversation())
    running = asyncio.ensure_future(execute(api, document, variables))
    await run_ready_tasks()
    at_once = called_functions(api)
    api.gate.set()
    assert (await running).errors is None
    return at_once, called_functions(api)


async def test_a_thread_with_its_messages_is_two_calls_that_start_together() -> None:
    at_once, all_calls = await calls_before_any_answer(
        '{ thread(id: "thread_1") { createdAt messages(last: 2) { nodes { text } } } }'
    )
    assert at_once == all_calls == ["get_threads", "list_messages"]


async def test_all_lists_of_a_thread_start_with_it() -> None:
    at_once, all_calls = await calls_before_any_answer(
        """
        {
            thread(id: "thread_1") {
                metadata
                ...Lists
                activeRun { status }
            }
        }
        fragment Lists on Thread { messages { nodes { id } } ... on Node { ... on Thread { runs { nodes { id } } } } }
        """
    )
    assert at_once == all_calls == ["get_threads", "list_messages", "list_runs"]


async def test_a_thread_of_which_only_lists_are_selected_is_not_fetched() -> None:
    document = """
        {
            thread(id: "thread_1") {
                __typename id upstreamId messages { nodes { id thread { id } } } runs { nodes { id } }
            }
        }
    """
    at_once, all_calls = await calls_before_any_answer(document)
    assert at_once == all_calls == ["list_messages", "list_runs"]


async def test_skipped_fields_cost_no_call() -> None:
    document = """
        query ($all: Boolean!) {
            thread(id: "thread_1") { messages { nodes { id } } ...Rest @include(if: $all) metadata @include(if: $all) }
        }
        fragment Rest on Thread { runs { nodes { id } } }
    """
    assert await calls_before_any_answer(document, {"all": False}) == (["list_messages"],) * 2
    at_once, _ = await calls_before_any_answer(document, {"all": True})
    assert at_once == ["get_threads", "list_messages", "list_runs"]


async def test_a_run_with_its_steps_and_messages_is_one_round_trip() -> None:
    document = "query ($id: ID!) { run(id: $id) { status steps { nodes { type } } messages { nodes { text } } } }"
    at_once, all_calls = await calls_before_any_answer(document, {"id": to_global_id(RUN)})
    assert at_once == all_calls == ["get_runs", "list_messages", "list_run_steps"]


async def test_loads_below_a_reference_with_a_known_key_start_at_once() -> None:
    at_once, all_calls = await calls_before_any_answer(
        """
        query ($id: ID!) { run(id: $id) {
          steps { nodes { id } } thread { metadata messages { nodes { id } } } } }
        """,
        {"id": to_global_id(RUN)},
    )
    assert at_once == all_calls == ["get_threads", "list_messages", "list_run_steps"]


async def test_a_page_deeper_in_the_query_is_cut_from_the_longer_one_above_it() -> None:
    api = conversation(5)
    data = await query_data(
        api,
        """{ thread(id: "thread_1") { messages(last: 4) { nodes {
             thread { messages(last: 2) { nodes { upstreamId } pageInfo { hasPreviousPage } } } } } } }""",
    )
    inner = data["thread"]["messages"]["nodes"][0]["thread"]["messages"]
    assert inner == {"nodes": [{"upstreamId": "msg_4"}, {"upstreamId": "msg_5"}], "pageInfo": {"hasPreviousPage": True}}
    assert called_functions(api) == ["list_messages"]


async def test_a_longer_page_of_a_completely_loaded_list_costs_no_call() -> None:
    api = conversation(3)
    data = await query_data(
        api,
        """{ thread(id: "thread_1") { messages(first: 5) { nodes {
             thread { messages(first: 50) { nodes { upstreamId } pageInfo { hasNextPage } } } } } } }""",
    )
    inner = data["thread"]["messages"]["nodes"][0]["thread"]["messages"]
    assert (len(inner["nodes"]), inner["pageInfo"]) == (3, {"hasNextPage": False})
    assert called_functions(api) == ["list_messages"]


async def test_a_reference_of_which_only_the_key_is_selected_costs_no_call() -> None:
    api = conversation()
    document = """
        {
            thread(id: "thread_1") {
                messages { nodes { run { __typename id upstreamId thread { id } } assistant { id } } }
            }
        }
    """
    data = await query_data(api, document)
    assert data["thread"]["messages"]["nodes"][1]["run"]["id"] == to_global_id(RUN)
    assert called_functions(api) == ["list_messages"]


async def test_the_same_thread_under_twenty_aliases_is_one_call() -> None:
    api = conversation()
    aliases = " ".join(f't{number}: thread(id: "thread_1") {{ metadata createdAt }}' for number in range(20))
    assert len(await query_data(api, f"{{ {aliases} }}")) == 20
    assert api.calls == [("get_threads", (THREAD,))]


async def test_a_global_id_and_an_upstream_id_of_one_thread_are_one_call() -> None:
    api = conversation()
    document = 'query ($id: ID!) { a: thread(id: $id) { metadata } b: thread(id: "thread_1") { metadata } }'
    await query_data(api, document, {"id": to_global_id(THREAD)})
    assert api.key_count == 1


async def test_one_list_under_aliases_of_several_lengths_is_one_call_for_each_direction() -> None:
    api = conversation(messages=9)
    document = """
        {
            thread(id: "thread_1") {
                a: messages(first: 2) { nodes { upstreamId } }
                b: messages(first: 5) { nodes { upstreamId } }
                c: messages(last: 2) { nodes { upstreamId } }
                d: messages(last: 1) { nodes { upstreamId } pageInfo { hasPreviousPage } }
            }
        }
    """
    found = (await query_data(api, document))["thread"]
    assert [[node["upstreamId"][-1] for node in found[alias]["nodes"]] for alias in "abcd"] == [
        ["1", "2"], ["1", "2", "3", "4", "5"], ["8", "9"], ["9"],
    ]  # fmt: skip
    assert found["d"]["pageInfo"]["hasPreviousPage"] is True
    ((name, windows),) = api.calls
    assert name == "list_messages"
    assert {key.window for key in windows if isinstance(key, MessagePageKey)} == {Window(5, "asc"), Window(2, "desc")}


async def test_the_active_run_and_the_newest_runs_share_a_page() -> None:
    api = conversation()
    await query_data(api, '{ thread(id: "thread_1") { activeRun { id } runs(last: 5) { nodes { id } } } }')
    assert api.calls == [("list_runs", (RunPageKey("thread_1", Window(5, "desc")),))]


async def test_an_assistant_that_many_refer_to_is_one_call() -> None:
    api = conversation(messages=9)
    document = """
        {
            thread(id: "thread_1") {
                messages { nodes { assistant { model } run { assistant { model } } } }
                runs { nodes { assistant { model } } }
            }
        }
    """
    await query_data(api, document)
    assert sum(len(keys) for name, keys in api.calls if name == "get_assistants") == 1


async def test_listed_objects_are_not_fetched_again() -> None:
    api = conversation()
    document = """
        {
            thread(id: "thread_1") {
                runs { nodes { status steps { nodes { run { status } details { ...Wrote } } } } }
            }
        }
        fragment Wrote on MessageCreationDetails { message { id } }
    """
    await query_data(api, document)
    assert called_functions(api) == ["list_run_steps", "list_runs"]


async def test_the_steps_of_all_runs_are_one_call_of_the_port() -> None:
    api = conversation()
    for number in range(2, 6):
        api.runs[RunKey("thread_1", f"run_{number}")] = type(api.runs[RUN])(f"run_{number}", number, status="completed")
    await query_data(api, '{ thread(id: "thread_1") { runs { nodes { steps(first: 1) { nodes { id } } } } } }')
    assert [len(keys) for name, keys in api.calls if name == "list_run_steps"] == [5]


@pytest.mark.parametrize(
    "selection", ["createdAt", "messages { nodes { id } }", "id", "activeRun { id }", "__typename"]
)
async def test_a_thread_that_is_not_there_is_null_without_an_error_by_every_route(selection: str) -> None:
    document = f'{{ thread(id: "gone") {{ {selection} }} }}'
    assert await query_data(conversation(), document) == {"thread": None}


@pytest.mark.parametrize("selection", ["status", "steps { nodes { id } }", "id", "messages { nodes { id } }"])
async def test_a_run_that_is_not_there_is_null_without_an_error_by_every_route(selection: str) -> None:
    # The list of its messages is a filtered list of the thread: an empty page proves nothing.
    document = f"query ($id: ID!) {{ run(id: $id) {{ {selection} }} }}"
    data = await query_data(conversation(), document, {"id": to_global_id(RunKey("thread_1", "gone"))})
    assert data == {"run": None}


async def test_a_page_behind_a_cursor_that_is_gone_does_not_make_its_thread_null() -> None:
    api = conversation()
    behind = MessagePageKey("thread_1", None, Window(20, "asc", "msg_9"))
    api.fail[behind] = GatewayError(ErrorCode.NOT_FOUND, "No message found with id 'msg_9'.")
    document = 'query ($after: String) { thread(id: "thread_1") { id messages(after: $after) { nodes { id } } } }'
    page = await query_data(conversation(messages=9), '{ thread(id: "thread_1") { messages { edges { cursor } } } }')
    cursor = page["thread"]["messages"]["edges"][-1]["cursor"]
    result = await execute(api, document, {"after": cursor})
    assert result.data == {"thread": {"id": to_global_id(THREAD), "messages": None}}
    assert paths_and_codes(result) == [(["thread", "messages"], "NOT_FOUND")]


async def test_a_reference_to_a_missing_object_is_null_without_an_error() -> None:
    api = conversation()
    api.messages[MessageKey("thread_1", "msg_1")] = message(created_at=1, run_id="gone", assistant_id="gone")
    api.messages.pop(MessageKey("thread_1", "msg_2"))
    document = """
        query ($run: ID!) {
            thread(id: "thread_1") {
                messages(first: 1) { nodes { run { status } assistant { model } } }
            }
            run(id: $run) { steps { nodes { details { ...Wrote } } } }
        }
        fragment Wrote on MessageCreationDetails { message { text } }
    """
    data = await query_data(api, document, {"run": to_global_id(RUN)})
    assert data["thread"]["messages"]["nodes"] == [{"run": None, "assistant": None}]
    assert data["run"]["steps"]["nodes"][1]["details"] == {"message": None}


async def test_a_reference_that_is_empty_is_null() -> None:
    api = conversation()
    data = await query_data(
        api, '{ thread(id: "thread_1") { messages(first: 1) { nodes { run { status } assistant { model } } } } }'
    )
    assert data["thread"]["messages"]["nodes"] == [{"run": None, "assistant": None}]
    assert called_functions(api) == ["list_messages"]


async def test_a_failing_page_of_runs_does_not_affect_the_messages() -> None:
    api = conversation()
    api.fail[RunPageKey("thread_1", Window(20, "asc"))] = DOWN
    result = await execute(
        api, '{ thread(id: "thread_1") { runs { nodes { id } } messages { nodes { upstreamId } } metadata } }'
    )
    assert result.data is not None
    assert result.data["thread"]["runs"] is None
    assert len(result.data["thread"]["messages"]["nodes"]) == 3
    assert paths_and_codes(result) == [(["thread", "runs"], "UPSTREAM_FAILED")]
    (error,) = result.errors or []
    assert error.extensions == {"code": "UPSTREAM_FAILED", "retryable": True, "upstreamRequestId": "req_1"}


async def test_an_error_of_the_page_that_proves_a_thread_does_not_affect_the_thread() -> None:
    api = conversation()
    api.fail[MessagePageKey("thread_1", None, Window(20, "asc"))] = DOWN
    result = await execute(
        api, '{ thread(id: "thread_1") { messages { nodes { id } } runs { nodes { upstreamId } } } }'
    )
    assert result.data == {"thread": {"messages": None, "runs": {"nodes": [{"upstreamId": "run_1"}]}}}
    assert paths_and_codes(result) == [(["thread", "messages"], "UPSTREAM_FAILED")]


@pytest.mark.parametrize(
    ("reference", "key"), [("thread", THREAD), ("run", RUN), ("assistant", AssistantKey("asst_1"))]
)
async def test_a_failing_reference_does_not_affect_its_message(reference: str, key: Any) -> None:
    api = conversation()
    api.fail[key] = DOWN
    document = f"query ($id: ID!) {{ message(id: $id) {{ upstreamId {reference} {{ createdAt }} text }} }}"
    result = await execute(api, document, {"id": to_global_id(MessageKey("thread_1", "msg_2"))})
    assert result.data == {"message": {"upstreamId": "msg_2", reference: None, "text": "number 2"}}
    assert paths_and_codes(result) == [(["message", reference], "UPSTREAM_FAILED")]


@pytest.mark.parametrize(("reference", "key"), [("thread", THREAD), ("run", RUN)])
async def test_a_failing_reference_does_not_affect_its_step(reference: str, key: Any) -> None:
    api = conversation()
    api.fail[key] = DOWN
    document = f"query ($id: ID!) {{ node(id: $id) {{ ... on RunStep {{ type {reference} {{ createdAt }} }} }} }}"
    result = await execute(api, document, {"id": to_global_id(RunStepKey("thread_1", "run_1", "step_1"))})
    assert result.data == {"node": {"type": "TOOL_CALLS", reference: None}}


async def test_a_failing_page_of_steps_affects_only_its_own_run() -> None:
    api = conversation()
    api.runs[RunKey("thread_1", "run_2")] = type(api.runs[RUN])("run_2", 1, status="completed")
    api.fail[RunStepPageKey("thread_1", "run_1", Window(20, "asc"))] = DOWN
    result = await execute(api, '{ thread(id: "thread_1") { runs { nodes { upstreamId steps { nodes { id } } } } } }')
    assert result.data is not None
    assert result.data["thread"]["runs"]["nodes"] == [
        {"upstreamId": "run_2", "steps": {"nodes": []}},
        {"upstreamId": "run_1", "steps": None},
    ]
    assert paths_and_codes(result) == [(["thread", "runs", "nodes", 1, "steps"], "UPSTREAM_FAILED")]


async def test_bad_arguments_are_reported_by_their_own_field_and_start_no_load() -> None:
    api = conversation()
    result = await execute(
        api,
        '{ thread(id: "thread_1") { a: messages(first: 0) { nodes { id } } b: runs { nodes { upstreamId } } } }',
    )
    assert result.data == {"thread": {"a": None, "b": {"nodes": [{"upstreamId": "run_1"}]}}}
    assert paths_and_codes(result) == [(["thread", "a"], "BAD_USER_INPUT")]
    assert called_functions(api) == ["list_runs"]


async def test_a_list_that_the_upstream_does_not_support_affects_no_other_field() -> None:
    document = "query ($id: ID!) { message(id: $id) { text files { nodes { id } } } }"
    result = await execute(conversation(), document, {"id": to_global_id(MessageKey("thread_1", "msg_1"))})
    assert result.data == {"message": {"text": "number 1", "files": None}}
    assert paths_and_codes(result) == [(["message", "files"], "UNSUPPORTED_BY_UPSTREAM")]


async def test_a_message_of_which_only_files_are_selected_is_proved_by_them() -> None:
    api = conversation_with_files()
    document = "query ($id: ID!) { message(id: $id) { files { nodes { upstreamId message { upstreamId } } } } }"
    data = await query_data(api, document, {"id": to_global_id(MessageKey("thread_1", "msg_1"))})
    assert [node["message"]["upstreamId"] for node in data["message"]["files"]["nodes"]] == ["msg_1", "msg_1"]
    assert called_functions(api) == ["list_message_files"]
    gone = await query_data(api, document, {"id": to_global_id(MessageKey("thread_1", "gone"))})
    assert gone == {"message": None}


async def test_a_cancelled_operation_leaves_no_task_behind() -> None:
    api = GatedThreadsApi(conversation())
    context = Context(api)
    running = asyncio.ensure_future(
        build_schema().execute(
            '{ thread(id: "thread_1") { metadata messages { nodes { id } } runs { nodes { id } } } }',
            context_value=context,
        )
    )
    await run_ready_tasks()
    running.cancel()
    await asyncio.wait([running])
    await context.aclose()
    assert running.cancelled()


async def test_unknown_threads_are_told_apart_from_known_ones_in_one_document() -> None:
    api = conversation()
    api.threads[ThreadKey("thread_2")] = api.threads[THREAD]
    data = await query_data(
        api,
        '{ a: thread(id: "thread_1") { metadata } b: thread(id: "gone") { id } c: thread(id: "thread_2") { id } }',
    )
    assert [data[alias] is None for alias in "abc"] == [False, True, False]
