"""Each mutation sends one write, clears the loaders, and returns refusals as data; faults stay errors."""

from typing import Any

import pytest
from graphql import GraphQLError
from strawberry.types.execution import ExecutionResult

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, to_global_id
from schema.contract.wire import RunObject
from schema.contract.writes import AnyWrite
from tests.schema.builders import THREAD, conversation, execute, query_data
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import run

CREATE_MESSAGE = """mutation ($input: CreateMessageInput!) { createMessage(input: $input) {
    message { text } thread { messages { nodes { text } } } userErrors { code field } clientMutationId } }"""
HELLO = {"threadId": "thread_1", "content": [{"text": "hello"}], "clientMutationId": "mark"}


def only_error(result: ExecutionResult) -> GraphQLError:
    assert result.errors is not None
    (error,) = result.errors
    return error


def calls(api: FakeThreadsApi) -> list[str]:
    return [name for name, _ in api.calls]


async def test_a_write_is_sent_once_and_later_reads_are_not_memoised() -> None:
    api = conversation(2)
    payload = (await query_data(api, CREATE_MESSAGE, {"input": HELLO}))["createMessage"]
    assert [node["text"] for node in payload["thread"]["messages"]["nodes"]] == ["number 1", "number 2", "hello"]
    assert (payload["message"], payload["clientMutationId"]) == ({"text": "hello"}, "mark")
    assert calls(api) == ["create_message", "list_messages"]


async def test_a_refusal_has_the_client_mutation_id_and_no_object() -> None:
    api = conversation()
    api.fail_writes["create_message"] = GatewayError(ErrorCode.ACTIVE_RUN, "A run is active.")
    data = await query_data(api, CREATE_MESSAGE, {"input": HELLO})
    assert data["createMessage"] == {
        "message": None,
        "thread": None,
        "userErrors": [{"code": "ACTIVE_RUN", "field": None}],
        "clientMutationId": "mark",
    }


@pytest.mark.parametrize(
    "code",
    [ErrorCode.UPSTREAM_TIMEOUT, ErrorCode.UPSTREAM_UNREACHABLE, ErrorCode.UNAUTHENTICATED, ErrorCode.RATE_LIMITED],
)
async def test_a_fault_is_an_error_and_the_write_is_not_sent_again(code: ErrorCode) -> None:
    api = conversation()
    api.fail_writes["create_message"] = GatewayError(code, "Why.", retryable=False)
    result = await execute(api, CREATE_MESSAGE, {"input": HELLO})
    error = only_error(result)
    assert error.extensions == {"code": code.value, "retryable": False}
    assert error.path == ["createMessage"]
    assert calls(api) == ["create_message"]


async def test_all_errors_of_an_input_are_reported_together_and_nothing_is_sent() -> None:
    api = conversation()
    bad = {"threadId": "thread_1", "content": [{"text": ""}, {"text": "x" * 256_001}], "metadata": {"k" * 65: ""}}
    data = await query_data(api, CREATE_MESSAGE, {"input": bad})
    assert [(error["code"], error["field"]) for error in data["createMessage"]["userErrors"]] == [
        ("INVALID_VALUE", ["content", "0", "text"]),
        ("TOO_LONG", ["content", "1", "text"]),
        ("TOO_LONG", ["metadata"]),
    ]
    assert calls(api) == []


async def test_graphql_itself_enforces_one_of() -> None:
    api = conversation()
    both = {"threadId": "thread_1", "content": [{"text": "a", "imageFile": {"fileId": "file-a"}}]}
    result = await execute(api, CREATE_MESSAGE, {"input": both})
    error = only_error(result)
    assert "Exactly one" in error.message or "exactly one" in error.message
    assert calls(api) == []


async def test_a_started_run_without_its_thread_is_an_error_that_says_so() -> None:
    class Forgetful(FakeThreadsApi):
        async def write(self, operation: AnyWrite, key: Any, body: Any) -> Any:
            return RunObject(id="run_9", created_at=1, status="queued")

    query = """mutation { createThreadAndRun(input: { assistantId: "asst_1" }) { run { id } userErrors { code } } }"""
    result = await execute(Forgetful(), query)
    error = only_error(result)
    assert error.extensions == {"code": "UPSTREAM_INVALID_RESPONSE", "retryable": False}
    assert "the write has taken place" in error.message


async def test_outputs_are_only_sent_to_a_run_that_waits_for_them() -> None:
    api = conversation()
    query = """mutation ($id: ID!) { submitToolOutputs(input: {
        runId: $id, toolOutputs: [{ callId: "call_1", output: "" }] }) { userErrors { code message } } }"""
    data = await query_data(api, query, {"id": to_global_id(RunKey(THREAD.thread_id, "run_1"))})
    (error,) = data["submitToolOutputs"]["userErrors"]
    assert error["code"] == "WRONG_STATE"
    assert "got one with status" in error["message"]
    assert calls(api) == ["get_runs"]


@pytest.mark.parametrize(
    ("answered", "codes"),
    [
        (["call_0", "call_0", "call_1"], []),
        (["call_0", "call_1"], ["INVALID_VALUE"]),  # the upstream's own refusal
        (["call_0", "call_0", "call_0", "call_1"], ["INVALID_VALUE"]),
        (["call_0", "call_0"], ["MISSING_TOOL_OUTPUT"]),
    ],
)
async def test_each_of_two_calls_with_the_same_id_may_have_an_output(answered: list[str], codes: list[str]) -> None:
    sent = [
        {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for call_id in ("call_0", "call_0", "call_1")
    ]
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": sent}}
    key = RunKey("thread_1", "run_1")
    waiting = run(key.run_id, thread_id=key.thread_id, status="requires_action", required_action=action)
    api = FakeThreadsApi(runs={key: waiting})
    query = (
        """mutation ($input: SubmitToolOutputsInput!) { submitToolOutputs(input: $input) { userErrors { code } } }"""
    )
    outputs = [{"callId": call_id, "output": "x"} for call_id in answered]
    data = await query_data(api, query, {"input": {"runId": to_global_id(key), "toolOutputs": outputs}})
    assert [error["code"] for error in data["submitToolOutputs"]["userErrors"]] == codes


async def test_a_null_clears_in_an_update_and_is_ignored_in_a_creation() -> None:
    seen: list[dict[str, Any]] = []

    class Recording(FakeThreadsApi):
        async def write(self, operation: AnyWrite, key: Any, body: Any) -> Any:
            seen.append(body.to_wire())
            return await super().write(operation, key, body)

    api = Recording()
    created = await query_data(
        api, 'mutation { createAssistant(input: { model: "m", name: null }) { assistant { upstreamId } } }'
    )
    made = created["createAssistant"]["assistant"]["upstreamId"]
    query = "mutation ($id: ID!) { updateAssistant(input: { assistantId: $id, name: null }) { userErrors { code } } }"
    await execute(api, query, {"id": made})
    assert seen == [{"model": "m"}, {"name": None}]


CREATE_RUN = """mutation ($input: CreateRunInput!) { createRun(input: $input) { userErrors { code } run { status }
    messages { role text thread { id } run { id } } } }"""
ADDED = [{"content": [{"text": "a"}, {"text": " b "}]}, {"role": "ASSISTANT", "content": [{"text": "c"}]}]


async def create_run(api: FakeThreadsApi, document: str = CREATE_RUN, **values: Any) -> Any:
    values = {"threadId": "thread_1", "assistantId": "asst_1"} | values
    return (await query_data(api, document, {"input": values}))["createRun"]


async def test_the_messages_that_a_run_added_are_shown_in_order_for_one_call() -> None:
    api = conversation()
    api.runs.clear()
    made = await create_run(api, additionalMessages=ADDED)
    assert [(one["role"], one["text"], one["run"]) for one in made["messages"]] == [
        ("USER", "a\n b ", None),
        ("ASSISTANT", "c", None),
    ]
    assert calls(api) == ["create_run", "list_messages"]


async def test_messages_of_a_run_cost_no_call_if_they_are_not_selected_or_there_are_none() -> None:
    for document, values, messages in (
        (CREATE_RUN.replace("messages {", "messages @skip(if: true) {"), {"additionalMessages": ADDED}, None),
        (CREATE_RUN, {}, []),
        (CREATE_RUN, {"additionalMessages": []}, []),
    ):
        api = conversation()
        api.runs.clear()
        assert (await create_run(api, document, **values)).get("messages") == messages
        assert calls(api) == ["create_run"]


async def test_messages_of_a_run_that_cannot_be_told_are_null() -> None:
    class Forgetful(FakeThreadsApi):
        async def write(self, operation: AnyWrite, key: Any, body: Any) -> Any:
            return RunObject(id="run_9", created_at=1, status="queued", thread_id="thread_1")

    api = Forgetful(threads=conversation().threads, messages=conversation().messages)
    made = await create_run(api, additionalMessages=ADDED)
    assert (made["userErrors"], made["run"], made["messages"]) == ([], {"status": "QUEUED"}, None)


async def test_a_refused_run_has_no_messages() -> None:
    api = conversation()
    made = await create_run(api, assistantId="asst_unknown", additionalMessages=ADDED)
    assert (made["userErrors"], made["messages"]) == ([{"code": "NOT_FOUND"}], None)
