"""Responses over HTTP: requests that the official SDK does not send, and fields that it does not check."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.emulator.clock import ManualClock
from gateway.emulator.response_objects import UNSTORED_SECONDS
from tests.gateway.emulator.api_client import Api
from tests.support.clocks import EagerClock
from tests.support.emulator import KEY, running_emulator

MODEL = {"model": "gpt-5-mini"}
BACKGROUND = {**MODEL, "background": True, "store": True}
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
DAY_SECONDS = 86_400


async def ended(api: Api, **fields: Any) -> Any:
    """Return a background response after its end."""
    made = await api.ok("POST", "/responses", {**BACKGROUND, **fields})
    api.clock.advance(60)
    return await api.ok("GET", f"/responses/{made['id']}")


async def new_conversation(api: Api, *items: Any) -> str:
    return str((await api.ok("POST", "/conversations", {"items": list(items)}))["id"])


async def item_types(api: Api, conversation_id: str) -> list[str]:
    page = await api.ok("GET", f"/conversations/{conversation_id}/items?order=asc&limit=100")
    return [item["type"] for item in page["data"]]


def events_of(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


async def stream_text(api: Api, path: str) -> str:
    async with api.client.get(f"/v1{path}", headers={"Authorization": f"Bearer {api.key}"}) as reply:
        return await reply.text()


async def test_every_option_is_shown_again(api: Api) -> None:
    options = {
        "instructions": "Be brief.",
        "metadata": {"a": "b"},
        "max_output_tokens": 500,
        "max_tool_calls": 3,
        "parallel_tool_calls": False,
        "temperature": 0.5,
        "top_p": 0.25,
        "top_logprobs": 2,
        "truncation": "auto",
        "tool_choice": "none",
        "user": "ada",
        "safety_identifier": "s",
        "prompt_cache_key": "p",
        "service_tier": "flex",
    }
    response = await ended(api, input="Hi?", **options)
    assert {name: response[name] for name in options} == options
    assert (response["store"], response["background"], response["model"]) == (True, True, "gpt-5-mini")
    formatted = await ended(api, input="Hi?", text={"format": {"type": "json_object"}}, reasoning={"effort": "low"})
    assert formatted["text"] == {"format": {"type": "json_object"}, "verbosity": "medium"}
    assert formatted["reasoning"] == {"effort": "low", "summary": None}


async def test_tools_are_shown_with_their_defaults(api: Api) -> None:
    tools = [
        {"type": "function", "name": "f"},
        {"type": "file_search", "vector_store_ids": ["vs_1"]},
        {"type": "code_interpreter", "container": "cntr_1"},
        {"type": "web_search"},
    ]
    response = await ended(api, input="Hi?", tools=tools, tool_choice={"type": "function", "name": "f"})
    assert response["tools"] == [
        {"type": "function", "description": None, "name": "f", "parameters": None, "strict": True},
        {
            "type": "file_search",
            "filters": None,
            "max_num_results": 20,
            "ranking_options": {"ranker": "auto", "score_threshold": 0.0},
            "vector_store_ids": ["vs_1"],
        },
        {"type": "code_interpreter", "container": "cntr_1"},
        {"type": "web_search"},
    ]
    assert response["tool_choice"] == {"type": "function", "name": "f"}
    assert [item["type"] for item in response["output"]] == ["function_call"]


@pytest.mark.parametrize(
    ("choice", "types"),
    [
        ("none", ["message"]),
        ({"type": "file_search"}, ["file_search_call", "message"]),
        ({"type": "code_interpreter"}, ["code_interpreter_call", "message"]),
        ({"type": "allowed_tools", "mode": "auto", "tools": []}, ["file_search_call", "function_call"]),
    ],
)
async def test_the_choice_of_a_tool_is_kept(api: Api, choice: Any, types: list[str]) -> None:
    tools = [
        WEATHER,
        {"type": "file_search", "vector_store_ids": ["vs_1"]},
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ]
    response = await ended(api, input="Hi?", tools=tools, tool_choice=choice)
    assert [item["type"] for item in response["output"]] == types


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({}, "model", "Missing required parameter: 'model'."),
        (MODEL, "input", "Missing required parameter: 'input'."),
        ({**MODEL, "input": 5}, "input", "Invalid type for 'input'"),
        ({**MODEL, "input": "Hi", "max_output_tokens": 15}, "max_output_tokens", "integer below minimum value"),
        ({**MODEL, "input": "Hi", "temperature": 3}, "temperature", "above maximum value"),
        ({**MODEL, "input": "Hi", "include": ["everything"]}, "include[0]", "Invalid value: 'everything'"),
        ({**MODEL, "input": "Hi", "thread": "t"}, "thread", "Unknown parameter: 'thread'."),
        ({**MODEL, "input": "Hi", "conversation": 5}, "conversation", "Invalid type for 'conversation'"),
        ({**MODEL, "input": "Hi", "previous_response_id": "run_1"}, "previous_response_id", "begins with 'resp'"),
        ({**MODEL, "input": "Hi", "metadata": {"emulator": "nap"}}, "metadata.emulator", "Invalid value: 'nap'"),
        ({**MODEL, "input": [{"content": "Hi"}]}, "input[0].role", "Missing required parameter"),
        (
            {**MODEL, "input": [{"role": "assistant", "content": [{"type": "input_text", "text": "Hi"}]}]},
            "input[0].content[0].type",
            "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
        ),
        (
            {**MODEL, "input": [{"role": "user", "content": [{"type": "output_text", "text": "Hi"}]}]},
            "input[0].content[0].type",
            "Supported values are: 'input_text', 'input_image', and 'input_file'.",
        ),
        (
            {**MODEL, "input": [{"type": "function_call_output", "call_id": "call_1", "output": "1"}]},
            "input",
            "No tool call found for function call output with call_id call_1.",
        ),
        (
            {**MODEL, "input": [{"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}]},
            "input",
            "No tool output found for function call call_1.",
        ),
    ],
)
async def test_a_bad_request_is_refused_in_the_apis_words(api: Api, body: Any, param: str, words: str) -> None:
    status, error = await api.error("POST", "/responses", body)
    assert (status, error["param"]) == (400, param)
    assert words in error["message"]


async def test_a_response_in_a_conversation_may_have_no_input(api: Api) -> None:
    conversation_id = await new_conversation(api, {"role": "user", "content": "What is a heron?"})
    for more in ({"input": list[Any]()}, dict[str, Any]()):
        response = await ended(api, conversation={"id": conversation_id}, **more)
        assert "What is a heron?" in response["output"][0]["content"][0]["text"]
    assert await item_types(api, conversation_id) == ["message"] * 3


async def test_instructions_may_be_items_and_are_not_carried_over(api: Api) -> None:
    first = await ended(api, input="Hi?", instructions=[{"role": "developer", "content": "Be brief."}])
    assert first["instructions"] == "Be brief."
    second = await ended(api, input="And?", previous_response_id=first["id"])
    assert second["instructions"] is None


async def test_the_context_of_a_chain_grows(api: Api) -> None:
    first = await ended(api, input="One " * 50)
    second = await ended(api, input="Two?", previous_response_id=first["id"])
    third = await ended(api, input="Three?", previous_response_id=second["id"])
    counts = [response["usage"]["input_tokens"] for response in (first, second, third)]
    assert counts == sorted(counts)
    assert len(set(counts)) == 3
    assert [response["conversation"] for response in (first, second, third)] == [None] * 3


async def test_a_reference_in_a_chain_finds_an_earlier_item(api: Api) -> None:
    first = await ended(api, input="One?")
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    second = await ended(api, input=[reference, {"role": "user", "content": "And?"}], previous_response_id=first["id"])
    inputs = (await api.ok("GET", f"/responses/{second['id']}/input_items?order=asc"))["data"]
    assert [item["role"] for item in inputs] == ["assistant", "user"]


async def test_input_items_come_in_pages(api: Api) -> None:
    texts = [{"role": "user", "content": str(number)} for number in range(3)]
    response = await ended(api, input=texts)
    path = f"/responses/{response['id']}/input_items"
    page = await api.ok("GET", f"{path}?limit=2")
    assert ([item["content"][0]["text"] for item in page["data"]], page["has_more"]) == (["2", "1"], True)
    rest = await api.ok("GET", f"{path}?after={page['last_id']}")
    assert ([item["content"][0]["text"] for item in rest["data"]], rest["has_more"]) == (["0"], False)
    assert (await api.error("GET", f"{path}?after=msg_none"))[0] == 404


async def test_approvals_are_asked_for_and_answered(api: Api) -> None:
    conversation_id = await new_conversation(api)
    asked = await ended(api, input="Search!", conversation=conversation_id, metadata={"emulator": "approval"})
    (request,) = asked["output"]
    assert (request["type"], request["server_label"]) == ("mcp_approval_request", "docs")
    decision = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    answered = await ended(api, input=[decision], conversation=conversation_id)
    assert "search_docs: Found 3 documents." in answered["output"][0]["content"][0]["text"]


async def test_a_response_that_is_not_stored_cannot_be_read() -> None:
    async with running_emulator(clock=EagerClock()) as emulator:
        conversation = await emulator.post("/conversations")
        body = {**MODEL, "input": "Hi?", "store": False}
        made = await emulator.post("/responses", {**body, "conversation": conversation["id"]})
        assert (made["status"], made["store"]) == ("completed", False)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with emulator.session.get(f"{emulator.url}/responses/{made['id']}", headers=headers) as reply:
            assert reply.status == 404
        body |= {"previous_response_id": made["id"]}
        async with emulator.session.post(f"{emulator.url}/responses", headers=headers, json=body) as reply:
            assert (reply.status, (await reply.json())["error"]["code"]) == (400, "previous_response_not_found")
        # Its items are in the conversation nevertheless.
        items = await emulator.get(f"/conversations/{conversation['id']}/items")
        assert items["first_id"] == made["output"][0]["id"]


@pytest.mark.parametrize(("store", "is_kept"), [(True, True), (None, False), (False, False)])
async def test_a_background_response_is_kept_only_if_it_was_stored_explicitly(
    api: Api, store: bool | None, is_kept: bool
) -> None:
    made = await api.ok("POST", "/responses", {**MODEL, "input": "Hi?", "background": True, "store": store})
    api.clock.advance(UNSTORED_SECONDS - 1)
    assert (await api.ok("GET", f"/responses/{made['id']}"))["status"] == "completed"
    api.clock.advance(1)
    assert (await api.call("GET", f"/responses/{made['id']}")).status == (200 if is_kept else 404)


async def test_a_stuck_response_locks_its_conversation_until_it_is_cancelled(api: Api) -> None:
    conversation_id = await new_conversation(api)
    body = {**BACKGROUND, "conversation": conversation_id, "input": "Hi?"}
    stuck = await api.ok("POST", "/responses", {**body, "metadata": {"emulator": "stuck"}})
    api.clock.advance(30 * DAY_SECONDS)
    assert (await api.ok("GET", f"/responses/{stuck['id']}"))["status"] == "in_progress"
    assert (await api.error("POST", "/responses", body))[1]["code"] == "conversation_locked"
    cancelled = await api.ok("POST", f"/responses/{stuck['id']}/cancel")
    assert (cancelled["status"], cancelled["error"], cancelled["completed_at"]) == ("cancelled", None, None)
    assert (await api.ok("POST", "/responses", body))["status"] == "queued"


async def test_a_cancelled_call_poisons_its_conversation(api: Api) -> None:
    conversation_id = await new_conversation(api)
    body = {**BACKGROUND, "conversation": conversation_id, "tools": [WEATHER]}
    made = await api.ok("POST", "/responses", {**body, "input": "Weather?"})
    api.clock.advance(1.45)
    cancelled = await api.ok("POST", f"/responses/{made['id']}/cancel")
    (call,) = cancelled["output"]
    assert (call["type"], call["status"]) == ("function_call", "incomplete")
    status, error = await api.error("POST", "/responses", {**body, "input": "Go on."})
    assert (status, error["message"]) == (400, f"No tool output found for function call {call['call_id']}.")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "cancelled"}
    await api.ok("POST", f"/conversations/{conversation_id}/items", {"items": [output]})
    assert (await api.ok("POST", "/responses", {**body, "input": "Go on."}))["status"] == "queued"


async def test_a_message_after_an_output_is_a_new_question(api: Api) -> None:
    first = await ended(api, input="Weather?", tools=[WEATHER])
    output = {"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "22"}
    question = {"role": "user", "content": "And tomorrow?"}
    second = await ended(api, input=[output, question], previous_response_id=first["id"], tools=[WEATHER])
    assert [item["type"] for item in second["output"]] == ["function_call"]


async def test_a_response_that_is_deleted_under_way_ends_its_stream_and_frees_its_conversation(api: Api) -> None:
    conversation_id = await new_conversation(api)
    body = {**BACKGROUND, "conversation": conversation_id, "input": "Hi?"}
    async with api.stream("/responses", body) as stream:
        name, created = await stream.next()
        assert name == "response.created"
        deleted = await api.ok("DELETE", f"/responses/{created['response']['id']}")
        assert deleted == {"id": created["response"]["id"], "object": "response", "deleted": True}
        text = (await stream.response.read()).decode()
    *_, last = events_of(text)
    assert (last["type"], last["message"]) == ("error", f"Response with id '{deleted['id']}' not found.")
    assert (await api.ok("POST", "/responses", body))["status"] == "queued"


async def test_a_foreground_response_that_is_deleted_while_it_is_awaited_is_not_found(api: Api) -> None:
    conversation_id = await new_conversation(api)
    headers = {"Authorization": f"Bearer {api.key}"}
    body = {**MODEL, "conversation": conversation_id, "input": "Hi?"}
    pending = asyncio.create_task(api.client.post("/v1/responses", headers=headers, json=body))
    url = "/openai/v1/responses"
    listed: list[Any] = []
    while not listed:
        listed = (await (await api.client.get(url, headers=headers)).json())["data"]
    assert listed[0]["status"] == "in_progress"
    await api.ok("DELETE", f"/responses/{listed[0]['id']}")
    reply = await pending
    assert (reply.status, (await reply.json())["error"]["message"]) == (
        404,
        f"Response with id '{listed[0]['id']}' not found.",
    )


async def test_only_a_streamed_background_response_can_be_read_as_a_stream(api: Api) -> None:
    plain = await ended(api, input="Hi?")
    status, error = await api.error("GET", f"/responses/{plain['id']}?stream=true")
    assert (status, error["param"]) == (400, "stream")
    async with api.stream("/responses", {**MODEL, "input": "Hi?"}) as stream:
        api.clock.advance(60)
        *_, last = events_of((await stream.response.read()).decode())
    assert last["type"] == "response.completed"
    assert (await api.error("GET", f"/responses/{last['response']['id']}?stream=true"))[0] == 400


async def test_a_stream_can_be_read_from_each_of_its_numbers(api: Api) -> None:
    async with api.stream("/responses", {**BACKGROUND, "input": "Hi?"}) as stream:
        api.clock.advance(60)
        whole = (await stream.response.read()).decode()
    events = events_of(whole)
    response_id = events[0]["response"]["id"]
    for number in range(-1, len(events) + 1):
        rest = await stream_text(api, f"/responses/{response_id}?stream=true&starting_after={number}")
        assert events_of(rest) == events[number + 1 :]
        assert rest.endswith("data: [DONE]\n\n")
    status, error = await api.error("GET", f"/responses/{response_id}?stream=true&starting_after=x")
    assert (status, error["param"]) == (400, "starting_after")


async def test_a_response_goes_on_over_a_restart(tmp_path: Path) -> None:
    clock, database = ManualClock(), str(tmp_path / "emulator.db")
    async with running_emulator(clock=clock, database=database) as emulator:
        made = await emulator.post("/responses", {**BACKGROUND, "input": "Hi?", "stream": False})
        assert made["status"] == "queued"
        clock.advance(1.5)
    clock.advance(DAY_SECONDS)
    async with running_emulator(clock=clock, database=database) as emulator:
        done = await emulator.get(f"/responses/{made['id']}")
    assert done["status"] == "completed"
    assert made["created_at"] < done["completed_at"] < made["created_at"] + 60
