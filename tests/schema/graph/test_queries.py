from typing import Any

import pytest

from gateway.upstream.dialects import DIALECTS, DialectName
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import (
    AssistantKey,
    MessageFileKey,
    MessageKey,
    NodeKey,
    RunKey,
    RunStepKey,
    ThreadKey,
    to_global_id,
)
from schema.contract.kinds import MessagePageKey
from schema.contract.paging import Window
from tests.schema.builders import (
    THREAD,
    called_functions,
    conversation,
    conversation_with_files,
    execute,
    paths_and_codes,
    query_data,
)
from tests.support.fake_threads_api import V1, FakeThreadsApi
from tests.support.wire_samples import thread

NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"
KEYS: list[NodeKey] = [
    THREAD,
    MessageKey("thread_1", "msg_1"),
    RunKey("thread_1", "run_1"),
    RunStepKey("thread_1", "run_1", "step_1"),
    AssistantKey("asst_1"),
]


@pytest.mark.parametrize("key", KEYS)
async def test_node_returns_an_object_of_any_type(key: NodeKey) -> None:
    api = conversation()
    name = type(key).__name__.removesuffix("Key")
    assert await query_data(api, NODE, {"id": to_global_id(key)}) == {
        "node": {"__typename": name, "id": to_global_id(key)}
    }
    assert len(api.calls) == 1


async def test_node_finds_a_file_of_a_message() -> None:
    file_id = to_global_id(MessageFileKey("thread_1", "msg_1", "file-2"))
    data = await query_data(conversation_with_files(), NODE, {"id": file_id})
    assert data == {"node": {"__typename": "MessageFile", "id": file_id}}


@pytest.mark.parametrize("key", [*KEYS, MessageFileKey("thread_1", "msg_1", "file-1")])
async def test_an_object_that_is_not_there_is_null_without_an_error(key: NodeKey) -> None:
    assert await query_data(FakeThreadsApi(capabilities=V1), NODE, {"id": to_global_id(key)}) == {"node": None}


@pytest.mark.parametrize("fields", ["createdAt", "id messages { nodes { id } }"])
async def test_the_error_of_a_missing_object_holds_nothing_of_the_operation(fields: str) -> None:
    """A traceback would hold frames, and these the error again: a cycle, with all of the operation in it."""
    missing = GatewayError(ErrorCode.NOT_FOUND, "No thread found with id 'thread_9'.")
    fail: dict[Any, GatewayError] = {
        ThreadKey("thread_9"): missing,
        MessagePageKey("thread_9", None, Window(20, "asc")): missing,
    }
    found = await query_data(FakeThreadsApi(fail=fail), f'{{ thread(id: "thread_9") {{ {fields} }} }}')
    assert found == {"thread": None}
    assert missing.__traceback__ is None


async def test_node_is_only_found_by_a_global_id() -> None:
    result = await execute(conversation(), NODE, {"id": "thread_1"})
    assert paths_and_codes(result) == [(["node"], "BAD_USER_INPUT")]


async def test_nodes_keep_their_order_with_null_for_what_is_not_there() -> None:
    ids = [to_global_id(key) for key in [*KEYS[::-1], ThreadKey("gone"), KEYS[0], RunKey("thread_1", "gone")]]
    data = await query_data(conversation(), "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ids})
    assert [node and node["id"] for node in data["nodes"]] == [*ids[:5], None, ids[6], None]


async def test_threads_by_ids_take_both_kinds_of_id_keep_their_order_and_are_one_call() -> None:
    api = FakeThreadsApi(threads={ThreadKey(f"thread_{n}"): thread(f"thread_{n}") for n in range(3)})
    ids = ["thread_2", "gone", to_global_id(ThreadKey("thread_0")), "thread_2"]
    data = await query_data(
        api, "query ($ids: [ID!]!) { threadsByIds(ids: $ids) { upstreamId createdAt } }", {"ids": ids}
    )
    assert [found and found["upstreamId"] for found in data["threadsByIds"]] == [
        "thread_2",
        None,
        "thread_0",
        "thread_2",
    ]
    assert api.calls == [("get_threads", (ThreadKey("thread_2"), ThreadKey("gone"), ThreadKey("thread_0")))]


@pytest.mark.parametrize("field", ["nodes", "threadsByIds"])
async def test_more_than_a_hundred_ids_are_refused(field: str) -> None:
    document = f"query ($ids: [ID!]!) {{ {field}(ids: $ids) {{ id }} }}"
    global_id = to_global_id(THREAD)
    assert len((await query_data(conversation(), document, {"ids": [global_id] * 100}))[field]) == 100
    api = conversation()
    result = await execute(api, document, {"ids": [global_id] * 101})
    assert paths_and_codes(result) == [([field], "BAD_USER_INPUT")]
    assert "'ids': expected at most 100 ids, got 101" in str(result.errors)
    assert api.calls == []
    assert await query_data(api, document, {"ids": []}) == {field: []}


async def test_one_failing_node_is_null_and_its_error_says_which() -> None:
    api = conversation()
    api.fail[KEYS[1]] = GatewayError(ErrorCode.UPSTREAM_TIMEOUT, "Late.")
    ids = [to_global_id(key) for key in KEYS[:3]]
    result = await execute(api, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ids})
    assert result.data == {"nodes": [{"id": ids[0]}, None, {"id": ids[2]}]}
    assert paths_and_codes(result) == [(["nodes", 1], "UPSTREAM_TIMEOUT")]


@pytest.mark.parametrize("field", ["nodes", "threadsByIds"])
async def test_a_damaged_id_is_an_error_at_its_own_place_only(field: str) -> None:
    ids = [to_global_id(THREAD), "dam/aged", to_global_id(THREAD)]
    document = f"query ($ids: [ID!]!) {{ {field}(ids: $ids) {{ id }} assistants {{ nodes {{ id }} }} }}"
    result = await execute(conversation(), document, {"ids": ids})
    assert result.data is not None
    assert result.data[field] == [{"id": ids[0]}, None, {"id": ids[0]}]
    assert result.data["assistants"]["nodes"]
    assert paths_and_codes(result) == [([field, 1], "BAD_USER_INPUT")]


@pytest.mark.parametrize(
    ("field", "key"),
    [("thread", KEYS[1]), ("message", KEYS[2]), ("run", KEYS[1]), ("assistant", KEYS[0]), ("run", KEYS[3])],
)
async def test_a_global_id_of_another_type_is_refused(field: str, key: NodeKey) -> None:
    api = conversation()
    result = await execute(api, f"query ($id: ID!) {{ {field}(id: $id) {{ id }} }}", {"id": to_global_id(key)})
    assert result.data == {field: None}
    assert paths_and_codes(result) == [([field], "BAD_USER_INPUT")]
    assert result.errors is not None
    expected = f"Argument 'id': expected the global ID of a {field.capitalize()}, not of a"
    assert result.errors[0].message.startswith(expected)
    assert api.calls == []


@pytest.mark.parametrize("field", ["message", "run"])
async def test_an_upstream_id_that_is_not_enough_is_refused(field: str) -> None:
    result = await execute(conversation(), f'{{ {field}(id: "{field}_1") {{ id }} }}')
    assert paths_and_codes(result) == [([field], "BAD_USER_INPUT")]


@pytest.mark.parametrize("hostile", ["", "..", "../assistants", "a/b", "thréad", "x" * 10_000, "a\n", "%2e%2e", " "])
async def test_a_hostile_id_never_reaches_the_upstream(hostile: str) -> None:
    api = conversation()
    document = """
        query ($id: ID!) {
            thread(id: $id) { id }
            message(id: $id) { id }
            run(id: $id) { id }
            assistant(id: $id) { id }
            node(id: $id) { id }
        }
    """
    result = await execute(api, document, {"id": hostile})
    assert [code for _, code in paths_and_codes(result)] == ["BAD_USER_INPUT"] * 5
    assert api.calls == []


async def test_a_number_is_an_id_as_everywhere_in_graphql() -> None:
    api = conversation()
    assert await query_data(api, "{ thread(id: 5) { id } }") == {"thread": None}
    assert api.calls == [("get_threads", (ThreadKey("5"),))]


async def test_an_id_that_the_upstream_refuses_is_reported_by_the_graphql_argument() -> None:
    api = conversation()
    refusal = GatewayError(ErrorCode.BAD_USER_INPUT, "Invalid 'thread_id': 'x'.", argument="thread_id")
    api.fail[ThreadKey("x")] = refusal
    result = await execute(api, '{ thread(id: "x") { createdAt } threadsByIds(ids: ["x", "thread_1"]) { id } }')
    assert [(error.path, error.extensions and error.extensions["argument"]) for error in result.errors or []] == [
        (["thread"], "id"),
        (["threadsByIds", 0], "ids"),
    ]
    assert result.data is not None
    assert result.data["threadsByIds"][1] == {"id": to_global_id(THREAD)}


async def test_the_assistants_and_their_failure() -> None:
    api = conversation()
    document = "{ assistants(last: 5) { nodes { upstreamId name model } } }"
    assert (await query_data(api, document))["assistants"]["nodes"] == [
        {"upstreamId": "asst_1", "name": None, "model": "gpt-4o-mini"}
    ]
    assert called_functions(api) == ["list_assistants"]
    result = await execute(api, "{ a: assistants(first: 0) { nodes { id } } b: assistants(first: 1) { nodes { id } } }")
    assert paths_and_codes(result) == [(["a"], "BAD_USER_INPUT")]
    data: Any = result.data
    assert len(data["b"]["nodes"]) == 1


@pytest.mark.parametrize(
    ("dialect", "lists_runs", "updates_messages", "replays_streams", "message_times"),
    [
        ("openai-v1", True, True, False, "EXACT"),
        ("openai-v2", True, True, False, "EXACT"),
        ("azure-openai", True, True, False, "EXACT"),
        ("azure-foundry", True, True, False, "EXACT"),
        ("lenient", True, True, False, "EXACT"),
        ("openai-responses", False, False, True, "OBSERVED"),
        ("foundry-responses", True, False, True, "OBSERVED"),
        ("lenient-responses", False, False, False, "OBSERVED"),
    ],
)
async def test_a_frontend_can_adapt_to_each_dialect(
    dialect: DialectName, lists_runs: bool, updates_messages: bool, replays_streams: bool, message_times: str
) -> None:
    capabilities = DIALECTS[dialect].capabilities
    document = "{ upstream { dialect version listsRuns updatesMessages replaysStreams messageTimes } }"
    assert await query_data(FakeThreadsApi(capabilities=capabilities), document) == {
        "upstream": {
            "dialect": dialect.upper().replace("-", "_"),
            "version": capabilities.version.upper(),
            "listsRuns": lists_runs,
            "updatesMessages": updates_messages,
            "replaysStreams": replays_streams,
            "messageTimes": message_times,
        }
    }


async def test_the_upstreams_capabilities_cost_no_call() -> None:
    api = conversation_with_files()
    fields = "dialect version streaming deletesMessages listsThreads messageFiles"
    document = f"{{ upstream {{ {fields} listsRuns updatesMessages replaysStreams messageTimes }} }}"
    assert await query_data(api, document) == {
        "upstream": {
            "dialect": "OPENAI_V1",
            "version": "V1",
            "streaming": True,
            "deletesMessages": False,
            "listsThreads": False,
            "messageFiles": True,
            "listsRuns": True,
            "updatesMessages": True,
            "replaysStreams": False,
            "messageTimes": "EXACT",
        }
    }
    assert api.calls == []
