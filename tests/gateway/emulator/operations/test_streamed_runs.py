"""The order of a stream's events, for each of the three streaming operations and each possible course of a run."""

from typing import Any

import pytest

from tests.gateway.emulator.api_client import START, TIME_TOOL, WEATHER_TOOL, Api, Event, event_names

BEGINNING = ["run.created", "run.queued", "run.in_progress"]
STEP = ["run.step.created", "run.step.in_progress"]
WRITING = [*STEP, "message.created", "message.in_progress", "message.delta"]
WRITTEN = ["message.completed", "run.step.completed"]
CALLED = [*STEP, "run.step.delta", "run.step.completed"]
ENDED = ["run.completed", "done"]


def data_from(events: list[Event], name: str) -> list[Any]:
    return [data for got, data in events if got == name]


async def until_waiting(api: Api) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Start a run, and return its path, its state once it waits, and a body with the tool outputs."""
    events = await api.streamed_run("Weather in Kyoto?", tools=[WEATHER_TOOL, TIME_TOOL])
    (run,) = data_from(events, "thread.run.requires_action")
    calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = [{"tool_call_id": call["id"], "output": f"out of {call['function']['name']}"} for call in calls]
    return f"/threads/{run['thread_id']}/runs/{run['id']}", run, {"tool_outputs": outputs}


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_simple_run(api: Api, version: str) -> None:
    events = await api.using(version=version).streamed_run()
    assert event_names(events) == [*BEGINNING, *WRITING, *WRITTEN, *ENDED]
    deltas = [data["delta"]["content"][0]["text"]["value"] for data in data_from(events, "thread.message.delta")]
    (message,) = data_from(events, "thread.message.completed")
    assert "".join(deltas) == message["content"][0]["text"]["value"]
    assert ("file_ids" in message, "attachments" in message) == (version == "v1", version == "v2")


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_thread_and_its_run_begin_with_the_thread(api: Api, version: str) -> None:
    client = api.using(version=version)
    body = {
        "assistant_id": await client.new_assistant(),
        "thread": {"messages": [{"role": "user", "content": "Hi"}], "metadata": {"a": "b"}},
    }
    events = await client.streamed("/threads/runs", body)
    assert event_names(events) == ["created", *BEGINNING, *WRITING, *WRITTEN, *ENDED]
    thread = events[0][1]
    assert (thread["object"], thread["metadata"]) == ("thread", {"a": "b"})
    assert events[1][1]["thread_id"] == thread["id"]
    assert (await client.ok("GET", f"/threads/{thread['id']}"))["id"] == thread["id"]


async def test_function_calls_end_the_stream_with_an_open_step(api: Api) -> None:
    events = await api.streamed_run("Weather in Kyoto?", tools=[WEATHER_TOOL, TIME_TOOL])
    assert event_names(events) == [*BEGINNING, *STEP, "run.step.delta", "run.requires_action", "done"]
    (run,) = data_from(events, "thread.run.requires_action")
    called: dict[int, Any] = {}
    for data in data_from(events, "thread.run.step.delta"):
        (call,) = data["delta"]["step_details"]["tool_calls"]
        if "id" in call:
            called[call["index"]] = call
        else:
            called[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    wanted = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    for call, want in zip(called.values(), wanted, strict=True):
        del call["index"], call["function"]["output"]
        assert call == want


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_the_stream_after_outputs_begins_with_the_step_that_waited(api: Api, version: str) -> None:
    path, waiting, body = await until_waiting(api)
    api.clock.advance(20)
    events = await api.using(version=version).streamed(f"{path}/submit_tool_outputs", body)
    assert event_names(events) == ["run.step.completed", *BEGINNING[1:], *WRITING, *WRITTEN, *ENDED]
    step, queued, running = events[0][1], events[1][1], events[2][1]
    calls = step["step_details"]["tool_calls"]
    assert [call["function"]["output"] for call in calls] == ["out of get_weather", "out of get_time"]
    assert (step["status"], step["usage"] is not None) == ("completed", True)
    assert (queued["required_action"], queued["started_at"]) == (None, waiting["started_at"])
    assert running["started_at"] > waiting["started_at"]
    (done,) = data_from(events, "thread.run.completed")
    assert done["usage"]["completion_tokens"] > step["usage"]["completion_tokens"]


async def test_the_interpreter_shows_its_code_and_then_its_outputs(api: Api) -> None:
    events = await api.streamed_run("Draw a chart", tools=[{"type": "code_interpreter"}])
    assert event_names(events) == [*BEGINNING, *CALLED, *WRITING, *WRITTEN, *ENDED]
    deltas = [
        data["delta"]["step_details"]["tool_calls"][0]["code_interpreter"]
        for data in data_from(events, "thread.run.step.delta")
    ]
    tool_step, _ = data_from(events, "thread.run.step.completed")
    whole = tool_step["step_details"]["tool_calls"][0]["code_interpreter"]
    assert "".join(delta.get("input", "") for delta in deltas) == whole["input"]
    outputs = [{**one, "index": place} for place, one in enumerate(whole["outputs"])]
    assert [one for delta in deltas for one in delta.get("outputs", [])] == outputs
    image = data_from(events, "thread.message.delta")[0]["delta"]["content"][0]
    assert (image["index"], image["type"]) == (0, "image_file")


@pytest.mark.parametrize("includes_content", [False, True])
async def test_a_search_is_one_delta_and_its_answer_has_a_citation(api: Api, includes_content: bool) -> None:
    attached = [{"file_id": "file-1", "tools": [{"type": "file_search"}]}]
    question = {"role": "user", "content": "Days of leave?", "attachments": attached}
    thread_id = (await api.ok("POST", "/threads", {"messages": [question]}))["id"]
    content = "step_details.tool_calls%5B%2A%5D.file_search.results%5B%2A%5D.content"
    query = f"?include[]={content}" if includes_content else ""
    body = {"assistant_id": await api.new_assistant(tools=[{"type": "file_search"}])}
    events = await api.streamed(f"/threads/{thread_id}/runs{query}", body)
    assert event_names(events) == [*BEGINNING, *CALLED, *WRITING, *WRITTEN, *ENDED]
    (delta,) = data_from(events, "thread.run.step.delta")
    assert delta["delta"]["step_details"]["tool_calls"][0]["file_search"]["results"] == []
    (result,) = data_from(events, "thread.run.step.completed")[0]["step_details"]["tool_calls"][0]["file_search"][
        "results"
    ]
    assert ("content" in result) is includes_content
    citation = data_from(events, "thread.message.delta")[-1]["delta"]["content"][0]["text"]["annotations"][0]
    (message,) = data_from(events, "thread.message.completed")
    text = message["content"][0]["text"]
    assert (citation["index"], citation["file_citation"]) == (0, {"file_id": "file-1", "quote": ""})
    assert text["value"][citation["start_index"] : citation["end_index"]] == citation["text"]
    assert len(text["annotations"]) == 1


@pytest.mark.parametrize(("version", "name"), [("v2", "run.incomplete"), ("v1", "run.completed")])
async def test_a_limit_of_tokens_leaves_the_message_incomplete_and_completes_its_step(
    api: Api, version: str, name: str
) -> None:
    events = await api.using(version=version).streamed_run(metadata={"emulator": "incomplete"})
    assert event_names(events) == [*BEGINNING, *WRITING, "message.incomplete", "run.step.completed", name, "done"]
    (message,) = data_from(events, "thread.message.incomplete")
    assert message["incomplete_details"] == {"reason": "max_tokens"}
    run = events[-2][1]
    assert (run["status"], run["incomplete_details"]) == ("incomplete", {"reason": "max_completion_tokens"})


@pytest.mark.parametrize(
    ("scenario", "middle", "code"),
    [
        ("fail", [*WRITING, "message.incomplete", "run.step.failed"], "server_error"),
        ("rate_limit", [], "rate_limit_exceeded"),
        ("tool_error", [*STEP, "run.step.delta", "run.step.failed"], "tool_user_error"),
    ],
)
async def test_a_failure_ends_the_open_step_and_message_before_the_run(
    api: Api, scenario: str, middle: list[str], code: str
) -> None:
    events = await api.streamed_run(metadata={"emulator": scenario})
    assert event_names(events) == [*BEGINNING, *middle, "run.failed", "done"]
    assert events[-2][1]["last_error"]["code"] == code


async def test_a_run_that_is_stuck_expires(api: Api) -> None:
    events = await api.streamed_run(metadata={"emulator": "stuck"}, seconds=600)
    assert event_names(events) == [*BEGINNING, "run.expired", "done"]


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_cancellation_by_another_request_is_seen(api: Api, version: str) -> None:
    client = api.using(version=version)
    thread_id = await client.new_thread("What is a heron?")
    body = {"assistant_id": await client.new_assistant()}
    async with client.stream(f"/threads/{thread_id}/runs", body) as stream:
        _, run = await stream.next()
        api.clock.advance(1.5)
        await stream.until("thread.message.delta")
        await client.ok("POST", f"/threads/{thread_id}/runs/{run['id']}/cancel")
        seen = event_names(await stream.until("thread.run.cancelling"))
        assert seen[-1] == "run.cancelling"
        api.clock.advance(1)
        rest = await stream.rest()
    assert event_names(rest) == ["run.step.cancelled", "message.incomplete", "run.cancelled", "done"]
    assert rest[1][1]["incomplete_details"] == {"reason": "run_cancelled"}
    assert rest[2][1]["cancelled_at"] == START + 2


async def test_a_refused_stream_is_an_ordinary_json_response(api: Api) -> None:
    path = await api.new_run()
    thread_path, _, run_id = path.partition("/runs/")
    for refused, body, message in (
        (f"{thread_path}/runs", {"assistant_id": "asst_X"}, "No assistant found"),
        (f"{thread_path}/runs", {"assistant_id": await api.new_assistant()}, f"already has an active run {run_id}"),
        ("/threads/runs", {}, "Missing required parameter: 'assistant_id'"),
        (f"{path}/submit_tool_outputs", {"tool_outputs": []}, 'Runs in status "queued" do not accept'),
    ):
        reply = await api.call("POST", refused, {**body, "stream": True})
        assert reply.status in {400, 404}
        assert reply.headers["Content-Type"].startswith("application/json")
        assert message in reply.json["error"]["message"]


async def test_stream_false_or_null_returns_no_stream(api: Api) -> None:
    for stream in (False, None):
        path = await api.new_run(stream=stream)
        assert (await api.ok("GET", path))["status"] == "queued"


async def test_the_last_objects_of_a_stream_equal_those_of_rest(api: Api) -> None:
    events = await api.streamed_run()
    (run,) = data_from(events, "thread.run.completed")
    path = f"/threads/{run['thread_id']}/runs/{run['id']}"
    assert await api.ok("GET", path) == {**run, "tool_resources": {}}
    (step,) = data_from(events, "thread.run.step.completed")
    assert (await api.ok("GET", f"{path}/steps"))["data"] == [step]
    (message,) = data_from(events, "thread.message.completed")
    read = await api.ok("GET", f"/threads/{run['thread_id']}/messages/{message['id']}")
    left_out = {"status", "incomplete_details", "incomplete_at", "completed_at"}
    assert read == {key: value for key, value in message.items() if key not in left_out}
