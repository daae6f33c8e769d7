"""Responses that a model answers: the request that it gets, and the stream of its answer."""

import asyncio
import json
from typing import Any

from aiohttp import web

from gateway.emulator.http.api_endpoint import SERVICES
from gateway.emulator.model.model_runs import ModelRuns
from tests.gateway.emulator.api_client import Api
from tests.gateway.emulator.model.chat_server import ChatServer, call, chunk, completion, finish, usage, words
from tests.support.emulator import add_files

MODEL = {"model": "gpt-5-mini"}
BACKGROUND = {**MODEL, "background": True, "store": True}
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}


async def ended(api: Api, model_runs: ModelRuns, **fields: Any) -> Any:
    made = await api.ok("POST", "/responses", {**BACKGROUND, **fields})
    await model_runs.wait_until_idle()
    return await api.ok("GET", f"/responses/{made['id']}")


async def test_the_answer_is_streamed_as_it_comes(api: Api, model: ChatServer) -> None:
    go_on = asyncio.Event()
    model.will_stream(chunk(role="assistant", content=""), *words("Hel"), go_on, *words("lo"), finish(), usage(11, 2))
    async with api.stream("/responses", {**BACKGROUND, "input": "Hi"}) as stream:
        begun = await stream.until("response.output_text.delta")
        response_id = begun[0][1]["response"]["id"]
        assert begun[-1][1]["delta"] == "Hel"
        assert (await api.ok("GET", f"/responses/{response_id}"))["status"] == "in_progress"
        go_on.set()
        rest = await stream.until("response.completed")
    numbers = [event["sequence_number"] for _, event in [*begun, *rest]]
    assert numbers == list(range(len(numbers)))
    done = rest[-1][1]["response"]
    assert done["output"][0]["content"][0]["text"] == "Hello"
    assert (done["usage"]["input_tokens"], done["usage"]["output_tokens"]) == (11, 2)
    assert await api.ok("GET", f"/responses/{response_id}") == done


async def test_the_model_gets_the_items_of_the_conversation(
    api: Api, app: web.Application, model: ChatServer, model_runs: ModelRuns
) -> None:
    add_files(app[SERVICES].store, api.key, "file-1")
    items = [
        {"role": "developer", "content": "You are a heron."},
        {"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, image("https://example.com/1")]},
        {"role": "assistant", "content": "A fish."},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at":1}'},
        {"type": "function_call", "call_id": "call_2", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "A pike."},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "Nothing."}]},
        {"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]},
    ]
    conversation = await api.ok("POST", "/conversations", {"items": items})
    model.will_answer(completion({"content": "Yes."}))
    response = await ended(
        api,
        model_runs,
        conversation=conversation["id"],
        input="Sure?",
        instructions="Be brief.",
        tools=[WEATHER],
        text={"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True}},
        max_output_tokens=100,
    )
    assert response["output"][0]["content"][0]["text"] == "Yes."
    sent = model.requests[-1].body
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}},
        {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
    ]
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "You are a heron."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/1", "detail": "low"}},
            ],
        },
        {"role": "assistant", "content": "A fish."},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "A pike."},
        {"role": "tool", "tool_call_id": "call_2", "content": "Nothing."},
        {"role": "user", "content": "Sure?"},
    ]
    assert sent["tools"][0]["function"] == {
        "name": "get_weather",
        "parameters": WEATHER["parameters"],
        "strict": True,
    }
    schema = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert sent["max_completion_tokens"] == 100


def image(url: str) -> dict[str, Any]:
    return {"type": "input_image", "image_url": url, "detail": "low"}


async def test_calls_complete_a_response_and_their_outputs_go_to_the_model(
    api: Api, model: ChatServer, model_runs: ModelRuns
) -> None:
    model.will_stream(
        call(0, '{"city":', id="call_1", name="get_weather"), call(0, arguments='"Rome"}'), finish("tool_calls")
    )
    first = await ended(api, model_runs, input="Weather in Rome?", tools=[WEATHER])
    (item,) = first["output"]
    assert first["status"] == "completed"
    assert (item["call_id"], item["status"], json.loads(item["arguments"])) == ("call_1", "completed", {"city": "Rome"})
    assert first["usage"]["total_tokens"] > 0
    model.will_answer(completion({"content": "Sunny."}))
    output = {"type": "function_call_output", "call_id": "call_1", "output": "sun"}
    second = await ended(api, model_runs, input=[output], previous_response_id=first["id"], tools=[WEATHER])
    assert second["output"][0]["content"][0]["text"] == "Sunny."
    assert [message["role"] for message in model.requests[-1].body["messages"]] == ["user", "assistant", "tool"]


async def test_the_same_call_id_twice_in_a_conversation_is_made_new(
    api: Api, model: ChatServer, model_runs: ModelRuns
) -> None:
    conversation = await api.ok("POST", "/conversations")
    model.will_stream(call(0, "{}", id="call_1", name="get_weather"), finish("tool_calls"))
    first = await ended(api, model_runs, input="One?", conversation=conversation["id"], tools=[WEATHER])
    output = {"type": "function_call_output", "call_id": "call_1", "output": "sun"}
    model.will_stream(call(0, "{}", id="call_1", name="get_weather"), finish("tool_calls"))
    second = await ended(api, model_runs, input=[output], conversation=conversation["id"], tools=[WEATHER])
    assert first["output"][0]["call_id"] == "call_1"
    assert second["output"][0]["call_id"] != "call_1"


async def test_a_failing_model_fails_the_response(api: Api, model: ChatServer, model_runs: ModelRuns) -> None:
    model.will_answer(b"{}", 500)
    response = await ended(api, model_runs, input="Hi?")
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
    assert response["error"]["message"] == "The model answered with status 500."


async def test_a_cancelled_response_ends_the_request(api: Api, model: ChatServer, model_runs: ModelRuns) -> None:
    model.will_stream(*words("Hel"), asyncio.Event())
    async with api.stream("/responses", {**BACKGROUND, "input": "Hi"}) as stream:
        events = await stream.until("response.output_text.delta")
        response_id = events[0][1]["response"]["id"]
        cancelled = await api.ok("POST", f"/responses/{response_id}/cancel")
        await model_runs.wait_until_idle()
    assert cancelled["status"] == "cancelled"
    assert cancelled["output"][0]["content"][0]["text"] == "Hel"
    assert await api.ok("GET", f"/responses/{response_id}") == cancelled


async def test_scenarios_follow_their_scripts_also_with_a_model(api: Api, model: ChatServer) -> None:
    made = await api.ok("POST", "/responses", {**BACKGROUND, "input": "Hi?", "metadata": {"emulator": "refusal"}})
    api.clock.advance(60)
    response = await api.ok("GET", f"/responses/{made['id']}")
    assert response["output"][0]["content"][0]["type"] == "refusal"
    assert model.requests == []
