"""Tests that the options of a mutation can be read back, and so can parts that only some servers send."""

from typing import Any

import pytest

from schema.graph.scalars import global_file_id
from tests.support.emulator import Emulator
from tests.support.faces import both_faces
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import succeed, thread_with_question
from tests.support.scripted_upstream import ScriptedResponse, response, scripted_upstream

TOOLS = "tools { __typename ... on FileSearchTool { maxNumResults ranker scoreThreshold } }"
RESOURCES = "toolResources { codeInterpreterFileIds vectorStoreIds other { type raw } }"
SEARCH = {"maxNumResults": 7, "rankingOptions": {"scoreThreshold": 0.25, "ranker": "AUTO"}}
SHOWN_SEARCH = {"__typename": "FileSearchTool", "maxNumResults": 7, "ranker": "AUTO", "scoreThreshold": 0.25}


@both_faces
async def test_an_assistants_and_a_runs_options_are_read_as_they_were_written(
    face: str, emulator: Emulator, gateway: Gateway
) -> None:
    resources = {"fileSearch": {"vectorStoreIds": ["vs_1"]}}
    made = await succeed(
        gateway,
        "createAssistant",
        f"assistant {{ id reasoningEffort {TOOLS} {RESOURCES} }}",
        model="o3",
        reasoningEffort="HIGH",
        tools=[{"fileSearch": SEARCH}],
        toolResources=resources,
    )
    shown = {"codeInterpreterFileIds": [], "vectorStoreIds": ["vs_1"], "other": []}
    assistant_id = made["assistant"].pop("id")
    assert made["assistant"] == {"reasoningEffort": "HIGH", "tools": [SHOWN_SEARCH], "toolResources": shown}

    own_search = {"maxNumResults": 3, "rankingOptions": {"scoreThreshold": 0.5, "ranker": "DEFAULT_2024_08_21"}}
    started = await succeed(
        gateway,
        "createRun",
        f"run {{ id reasoningEffort {TOOLS} {RESOURCES} }}",
        threadId=await thread_with_question(emulator),
        assistantId=assistant_id,
        reasoningEffort="LOW",
        tools=[{"fileSearch": own_search}],
    )
    run_id = started["run"].pop("id")
    shown_search = SHOWN_SEARCH | {"maxNumResults": 3, "ranker": "DEFAULT_2024_08_21", "scoreThreshold": 0.5}
    assert started["run"] == {"reasoningEffort": "LOW", "tools": [shown_search], "toolResources": shown}

    emulator.clock.advance(60)
    query = f"""query ($id: ID!) {{ run(id: $id) {{
        reasoningEffort {RESOURCES}
        steps {{ nodes {{ expiresAt details {{ ... on ToolCallsDetails {{ toolCalls {{ ... on FileSearchToolCall {{
            ranker scoreThreshold results {{ attributes content passages {{ type text }} }}
        }} }} }} }} }} }}
    }} }}"""
    run = (await gateway.data(query, {"id": run_id}))["run"]
    assert (run["reasoningEffort"], run["toolResources"]) == ("LOW", shown)
    assert {step["expiresAt"] is not None for step in run["steps"]["nodes"]} == {face == "assistants"}
    (call,) = run["steps"]["nodes"][0]["details"]["toolCalls"]
    assert call["scoreThreshold"] == (0.5 if face == "assistants" else None)
    assert call["results"]
    for result in call["results"]:
        assert result["attributes"] == {}
        assert result["passages"] == [{"type": "text", "text": text} for text in result["content"]]


async def test_version_1_has_none_of_them(emulator: Emulator, gateway_v1: Gateway) -> None:
    made = await succeed(
        gateway_v1, "createAssistant", f"assistant {{ id reasoningEffort {RESOURCES} }}", model="gpt-4"
    )
    assistant_id = made["assistant"].pop("id")
    assert made["assistant"] == {"reasoningEffort": None, "toolResources": None}
    fields = f"run {{ reasoningEffort {RESOURCES} steps {{ nodes {{ expiresAt }} }} }}"
    thread_id = await thread_with_question(emulator)
    started = await succeed(gateway_v1, "createRun", fields, threadId=thread_id, assistantId=assistant_id)
    assert started["run"] == {"reasoningEffort": None, "toolResources": None, "steps": {"nodes": []}}


@pytest.mark.parametrize("dialect", ["openai-v2", "azure-foundry", "lenient"])
async def test_resources_and_sources_of_unknown_kinds_keep_their_json(dialect: str) -> None:
    search = {"indexes": [{"index_connection_id": "c", "index_name": "laws"}]}
    source = {"type": "uri_asset", "uri": "azureml://data/laws"}
    resources = {
        "file_search": {"vector_store_ids": ["vs_1"]},
        "azure_ai_search": search,
        "mcp": [{"server_label": "s"}],
    }
    shown = {
        "vectorStoreIds": ["vs_1"],
        "other": [{"type": "azure_ai_search", "raw": search}, {"type": "mcp", "raw": [{"server_label": "s"}]}],
    }
    run = {"id": "r", "object": "thread.run", "created_at": 1, "status": "queued", "tool_resources": resources}
    run["reasoning_effort"] = "extreme"
    tools = [{"type": "file_search"}]
    message = {"id": "m", "object": "thread.message", "created_at": 1, "role": "user", "content": []}
    message["attachments"] = [{"data_source": source, "tools": tools}, {"file_id": "file-1", "tools": tools}]
    routes: dict[str, Any] = {
        "/threads/t": {"id": "t", "object": "thread", "created_at": 1, "tool_resources": resources},
        "/threads/t/runs": {"data": [run]},
        "/threads/t/messages": {"data": [message]},
    }
    document = """{ thread(id: "t") {
        toolResources { vectorStoreIds other { type raw } }
        runs { nodes { reasoningEffort toolResources { vectorStoreIds other { type raw } } } }
        messages { nodes { attachments { fileId tools otherSource { type raw } } } }
    } }"""

    def route(request: Any) -> ScriptedResponse:
        return response(body=routes[request.target.partition("?")[0].removeprefix("/v1")])

    async with scripted_upstream() as upstream:
        upstream.default_response = route
        async with running_gateway(upstream.url, upstream_dialect=dialect) as gateway:
            found = (await gateway.data(document))["thread"]
    assert found["toolResources"] == shown
    assert found["runs"]["nodes"] == [{"reasoningEffort": "UNRECOGNIZED", "toolResources": shown}]
    assert found["messages"]["nodes"][0]["attachments"] == [
        {"fileId": None, "tools": ["FILE_SEARCH"], "otherSource": {"type": "data_source", "raw": source}},
        {"fileId": global_file_id("file-1"), "tools": ["FILE_SEARCH"], "otherSource": None},
    ]
