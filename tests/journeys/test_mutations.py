"""Tests every write of the REST API through the gateway. Refusals are data that a frontend can act on."""

from schema.contract.keys import AssistantKey, MessageKey, to_file_id, to_global_id
from tests.support.emulator import Emulator
from tests.support.faces import both_faces, both_faces_always, counts_calls, second_dialect, unmapped
from tests.support.gateway import Gateway
from tests.support.mutations import assistant, mutate, refusal, succeed, thread_with_question, waiting_run

pytestmark = both_faces


@unmapped
async def test_a_thread_is_created_with_its_first_messages_changed_and_deleted(
    emulator: Emulator, gateway: Gateway
) -> None:
    created = await succeed(
        gateway,
        "createThread",
        "thread { id upstreamId metadata messages { nodes { role text attachments { fileId tools } } } }",
        metadata={"topic": "tea"},
        messages=[
            {"content": [{"text": "Green or black?"}]},
            {"role": "ASSISTANT", "content": [{"text": "Green."}, {"text": "Really."}]},
            {
                "content": [{"text": "Read this."}],
                "attachments": [{"fileId": "file-abc123", "tools": ["FILE_SEARCH", "CODE_INTERPRETER"]}],
            },
        ],
        clientMutationId="7",
    )
    thread = created["thread"]
    assert created["clientMutationId"] == "7"
    assert thread["metadata"] == {"topic": "tea"}
    assert [(node["role"], node["text"]) for node in thread["messages"]["nodes"]] == [
        ("USER", "Green or black?"),
        ("ASSISTANT", "Green.\nReally."),
        ("USER", "Read this."),
    ]
    assert thread["messages"]["nodes"][2]["attachments"] == [
        {"fileId": to_file_id("file-abc123"), "tools": ["FILE_SEARCH", "CODE_INTERPRETER"]}
    ]

    updated = await succeed(
        gateway, "updateThread", "thread { metadata }", threadId=thread["id"], metadata={"topic": "coffee"}
    )
    assert updated["thread"] == {"metadata": {"topic": "coffee"}}
    assert (await emulator.get(f"/threads/{thread['upstreamId']}"))["metadata"] == {"topic": "coffee"}

    deleted = await succeed(gateway, "deleteThread", "deletedId", threadId=thread["upstreamId"])
    assert deleted["deletedId"] == thread["id"]
    assert await gateway.data("query ($id: ID!) { node(id: $id) { id } }", {"id": thread["id"]}) == {"node": None}


@unmapped
async def test_a_message_is_created_changed_and_deleted(emulator: Emulator, gateway: Gateway) -> None:
    thread_id = await thread_with_question(emulator)
    created = await succeed(
        gateway,
        "createMessage",
        "message { id upstreamId role content { __typename ... on ImageUrlContent { url detail } } } "
        "thread { upstreamId messages(last: 1) { nodes { id } } }",
        threadId=thread_id,
        content=[{"text": "Look:"}, {"imageUrl": {"url": "https://example.com/cat.png", "detail": "LOW"}}],
        metadata={"from": "web"},
    )
    message = created["message"]
    assert message["content"] == [
        {"__typename": "TextContent"},
        {"__typename": "ImageUrlContent", "url": "https://example.com/cat.png", "detail": "LOW"},
    ]
    assert created["thread"] == {"upstreamId": thread_id, "messages": {"nodes": [{"id": message["id"]}]}}

    updated = await succeed(
        gateway, "updateMessage", "message { metadata }", messageId=message["id"], metadata={"from": "app"}
    )
    assert updated["message"] == {"metadata": {"from": "app"}}

    deleted = await succeed(
        gateway, "deleteMessage", "deletedId thread { messages { nodes { text } } }", messageId=message["id"]
    )
    assert deleted["deletedId"] == message["id"]
    assert deleted["thread"]["messages"]["nodes"] == [{"text": "What is the weather?"}]


@unmapped
async def test_a_changed_message_shows_its_attachments_which_the_answer_to_the_change_lacks(
    emulator: Emulator, gateway: Gateway
) -> None:
    attached = {"file_id": "file-abc123", "tools": [{"type": "file_search"}]}
    message = {"role": "user", "content": "Read this.", "attachments": [attached]}
    thread_id = (await emulator.post("/threads", {"messages": [message]}))["id"]
    message_id = (await emulator.get(f"/threads/{thread_id}/messages"))["data"][0]["id"]
    key = to_global_id(MessageKey(thread_id, message_id))
    emulator.counts.reset()
    changed = await succeed(gateway, "updateMessage", "message { metadata }", messageId=key, metadata={"a": "b"})
    assert changed["message"] == {"metadata": {"a": "b"}}
    assert emulator.counts.by_operation == {"modifyMessage": 1}
    fields = "message { metadata attachments { fileId tools } }"
    changed = await succeed(gateway, "updateMessage", fields, messageId=key, metadata={"c": "d"})
    assert changed["message"]["metadata"] == {"c": "d"}
    assert changed["message"]["attachments"] == [{"fileId": to_file_id("file-abc123"), "tools": ["FILE_SEARCH"]}]
    assert emulator.counts.by_operation == {"modifyMessage": 2, "getMessage": 1}


@unmapped
async def test_a_run_is_started_with_all_its_options_changed_and_cancelled(
    emulator: Emulator, gateway: Gateway
) -> None:
    thread_id = await thread_with_question(emulator)
    created = await succeed(
        gateway,
        "createRun",
        """run { id status model instructions temperature topP maxPromptTokens maxCompletionTokens parallelToolCalls
             toolChoice responseFormat metadata truncationStrategy { type lastMessages }
             tools { __typename ... on FunctionTool { name strict parameters } } assistant { model } }
           messages { role text }
           thread { activeRun { id } messages { nodes { text } } }""",
        threadId=thread_id,
        assistantId=to_global_id(AssistantKey(await assistant(emulator))),
        model="gpt-4o-mini",
        instructions="Be brief.",
        additionalMessages=[{"content": [{"text": "In Celsius."}]}],
        tools=[{"function": {"name": "now", "strict": True}}, {"builtIn": "CODE_INTERPRETER"}],
        temperature=0.5,
        topP=0.9,
        maxPromptTokens=300,
        maxCompletionTokens=400,
        parallelToolCalls=False,
        toolChoice={"function": {"name": "now"}},
        responseFormat={"jsonSchema": {"name": "weather", "schema": {"type": "object"}, "strict": True}},
        truncationStrategy={"type": "LAST_MESSAGES", "lastMessages": 5},
        metadata={"a": "b"},
    )
    run = created["run"]
    assert created["messages"] == [{"role": "USER", "text": "In Celsius."}]
    assert run["status"] == "QUEUED"
    assert (run["model"], run["instructions"], run["assistant"]) == ("gpt-4o-mini", "Be brief.", {"model": "gpt-4o"})
    assert (run["temperature"], run["topP"], run["parallelToolCalls"]) == (0.5, 0.9, False)
    assert (run["maxPromptTokens"], run["maxCompletionTokens"]) == (300, 400)
    assert run["truncationStrategy"] == {"type": "LAST_MESSAGES", "lastMessages": 5}
    assert run["toolChoice"] == {"type": "function", "function": {"name": "now"}}
    assert run["responseFormat"]["json_schema"]["schema"] == {"type": "object"}
    assert [tool["__typename"] for tool in run["tools"]] == ["FunctionTool", "CodeInterpreterTool"]
    assert created["thread"]["activeRun"] == {"id": run["id"]}
    assert created["thread"]["messages"]["nodes"][-1] == {"text": "In Celsius."}

    updated = await succeed(gateway, "updateRun", "run { metadata }", runId=run["id"], metadata={"c": "d"})
    assert updated["run"] == {"metadata": {"c": "d"}}
    emulator.clock.advance(1.5)
    cancelled = await succeed(gateway, "cancelRun", "run { status }", runId=run["id"])
    assert cancelled["run"] == {"status": "CANCELLING"}
    emulator.clock.advance(5)
    read = await gateway.data("query ($id: ID!) { run(id: $id) { status isTerminal } }", {"id": run["id"]})
    assert read["run"] == {"status": "CANCELLED", "isTerminal": True}


@counts_calls
async def test_a_thread_and_its_run_are_created_in_one_call(emulator: Emulator, gateway: Gateway) -> None:
    assistant_id = await assistant(emulator)
    emulator.counts.reset()
    created = await succeed(
        gateway,
        "createThreadAndRun",
        "run { id status thread { id } } thread { id }",
        assistantId=assistant_id,
        thread={"messages": [{"content": [{"text": "Hello"}]}], "metadata": {"a": "b"}},
    )
    assert created["run"]["thread"] == created["thread"]
    assert emulator.counts.by_operation == {"createThreadAndRun": 1}


@both_faces_always
async def test_tool_outputs_are_submitted_and_the_run_goes_on(emulator: Emulator, gateway: Gateway) -> None:
    run, call_id = await waiting_run(emulator)
    run_id = to_global_id(run)
    waiting = await gateway.data(
        """query ($id: ID!) { run(id: $id) { requiredAction { ... on SubmitToolOutputsAction {
             toolCalls { callId name arguments parsedArguments } } } } }""",
        {"id": run_id},
    )
    (call,) = waiting["run"]["requiredAction"]["toolCalls"]
    assert (call["callId"], call["name"]) == (call_id, "get_weather")
    assert isinstance(call["parsedArguments"]["city"], str)

    submitted = await succeed(
        gateway,
        "submitToolOutputs",
        "run { status requiredAction { __typename } }",
        runId=run_id,
        toolOutputs=[{"callId": call_id, "output": "22 °C"}],
    )
    assert submitted["run"] == {"status": "QUEUED", "requiredAction": None}
    emulator.clock.advance(60)
    done = await gateway.data(
        """query ($id: ID!) { run(id: $id) { status messages { nodes { text } } steps { nodes { details {
             ... on ToolCallsDetails { toolCalls { ... on FunctionToolCall { output } } } } } } } }""",
        {"id": run_id},
    )
    assert done["run"]["status"] == "COMPLETED"
    assert done["run"]["steps"]["nodes"][0]["details"]["toolCalls"] == [{"output": "22 °C"}]
    assert len(done["run"]["messages"]["nodes"]) == 1


@counts_calls
async def test_outputs_that_are_missing_repeated_or_not_asked_for_are_refused_unsent(
    emulator: Emulator, gateway: Gateway
) -> None:
    run, call_id = await waiting_run(emulator)
    emulator.counts.reset()
    payload = await mutate(
        gateway,
        "submitToolOutputs",
        "run { id }",
        runId=to_global_id(run),
        toolOutputs=[{"callId": "call_other", "output": ""}],
    )
    assert payload["run"] is None
    assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [
        ("INVALID_VALUE", ["toolOutputs", "0", "callId"]),
        ("MISSING_TOOL_OUTPUT", ["toolOutputs"]),
    ]
    twice = await refusal(
        gateway,
        "submitToolOutputs",
        runId=to_global_id(run),
        toolOutputs=[{"callId": call_id, "output": "1"}, {"callId": call_id, "output": "2"}],
    )
    assert f'got "{call_id}" (again' in twice["message"]
    assert (twice["code"], twice["field"]) == ("INVALID_VALUE", ["toolOutputs", "1", "callId"])
    assert emulator.counts.by_operation == {"getRun": 2}


async def test_an_assistant_is_created_changed_and_deleted(gateway: Gateway) -> None:
    created = await succeed(
        gateway,
        "createAssistant",
        """assistant { id name model instructions temperature responseFormat toolResources { codeInterpreterFileIds }
             tools { __typename ... on FileSearchTool { maxNumResults } } }""",
        model="gpt-4o",
        name="Librarian",
        instructions="Cite your sources.",
        temperature=0.2,
        responseFormat={"type": "JSON_OBJECT"},
        tools=[{"fileSearch": {"maxNumResults": 7}}, {"builtIn": "CODE_INTERPRETER"}],
        toolResources={"codeInterpreter": {"fileIds": ["file-abc123"]}},
    )
    made = created["assistant"]
    assert (made["name"], made["model"], made["responseFormat"]) == ("Librarian", "gpt-4o", {"type": "json_object"})
    assert made["tools"] == [
        {"__typename": "FileSearchTool", "maxNumResults": 7},
        {"__typename": "CodeInterpreterTool"},
    ]
    assert made["toolResources"] == {"codeInterpreterFileIds": [to_file_id("file-abc123")]}

    updated = await succeed(
        gateway,
        "updateAssistant",
        "assistant { name instructions model }",
        assistantId=made["id"],
        name=None,
        instructions="Guess.",
    )
    assert updated["assistant"] == {"name": None, "instructions": "Guess.", "model": "gpt-4o"}
    deleted = await succeed(gateway, "deleteAssistant", "deletedId", assistantId=made["id"])
    assert deleted["deletedId"] == made["id"]
    assert await gateway.data("{ assistants { nodes { id } } }") == {"assistants": {"nodes": []}}


async def test_two_writes_in_one_operation_each_read_the_new_state(emulator: Emulator, gateway: Gateway) -> None:
    thread_id = await thread_with_question(emulator)
    fields = "thread { messages { nodes { text } } }"
    data = await gateway.data(
        f"""mutation ($id: ID!) {{
          a: createMessage(input: {{ threadId: $id, content: [{{ text: "one" }}] }}) {{ {fields} }}
          b: createMessage(input: {{ threadId: $id, content: [{{ text: "two" }}] }}) {{ {fields} }}
        }}""",
        {"id": thread_id},
    )
    texts = [[node["text"] for node in data[alias]["thread"]["messages"]["nodes"]] for alias in ("a", "b")]
    assert texts == [["What is the weather?", "one"], ["What is the weather?", "one", "two"]]


async def test_version_1_takes_files_and_refuses_what_it_does_not_have(emulator: Emulator, gateway_v1: Gateway) -> None:
    thread = await succeed(
        gateway_v1,
        "createThread",
        "thread { id messages { nodes { text fileIds } } }",
        messages=[{"content": [{"text": "Read this."}], "fileIds": ["file-abc123"]}],
    )
    assert thread["thread"]["messages"]["nodes"] == [{"text": "Read this.", "fileIds": [to_file_id("file-abc123")]}]
    image = await refusal(
        gateway_v1,
        "createMessage",
        threadId=thread["thread"]["id"],
        content=[{"imageUrl": {"url": "https://example.com/cat.png"}}],
    )
    resources = await refusal(gateway_v1, "createThread", toolResources={"codeInterpreter": {"fileIds": []}})
    assert [image["code"], resources["code"]] == ["UNSUPPORTED_BY_UPSTREAM"] * 2
    assert resources["field"] == ["toolResources"]
    key = to_global_id(MessageKey("thread_a", "msg_a"))
    delete = await refusal(gateway_v1, "deleteMessage", messageId=key)
    assert delete["code"] == "UNSUPPORTED_BY_UPSTREAM"


@second_dialect
async def test_an_assistants_files_are_its_file_ids_in_version_1(emulator: Emulator, gateway_v1: Gateway) -> None:
    created = await succeed(
        gateway_v1,
        "createAssistant",
        "assistant { id upstreamId fileIds tools { __typename } }",
        model="gpt-4o",
        tools=[{"builtIn": "RETRIEVAL"}],
        fileIds=["file-abc123"],
    )
    made = created["assistant"]
    assert (made["fileIds"], made["tools"]) == ([to_file_id("file-abc123")], [{"__typename": "RetrievalTool"}])
    updated = await succeed(
        gateway_v1, "updateAssistant", "assistant { fileIds }", assistantId=made["id"], fileIds=["file-def456"]
    )
    assert updated["assistant"]["fileIds"] == [to_file_id("file-def456")]
    files = (await emulator.get(f"/assistants/{made['upstreamId']}/files"))["data"]
    assert [file["id"] for file in files] == ["file-def456"]
