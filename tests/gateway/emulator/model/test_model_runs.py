"""Runs that a model answers, as REST and their streams show them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.model.model_client import ModelOptions
from gateway.emulator.model.model_runs import MODEL_RUNS, ModelRuns
from tests.gateway.emulator.api_client import START, TIME_TOOL, WEATHER_TOOL, Api, Event, event_names
from tests.gateway.emulator.model.chat_server import (
    ChatServer,
    Json,
    Piece,
    call,
    chunk,
    completion,
    finish,
    frame,
    usage,
    words,
)
from tests.gateway.emulator.model.conftest import KEY

Connect = Callable[[web.Application], Awaitable[TestClient[Any, Any]]]
BEGINNING = ["run.created", "run.queued", "run.in_progress"]
STEP = ["run.step.created", "run.step.in_progress"]
WRITING = [*STEP, "message.created", "message.in_progress", "message.delta"]
WRITTEN = ["message.completed", "run.step.completed"]
HELLO: list[Piece] = [chunk(role="assistant", content=""), *words("Hel", "lo"), finish(), usage(11, 2)]


def texts(events: list[Event]) -> list[str]:
    return [data["delta"]["content"][0]["text"]["value"] for name, data in events if name == "thread.message.delta"]


async def message_texts(api: Api, path: str) -> list[str]:
    thread_path = path.partition("/runs/")[0]
    messages = await api.ok("GET", f"{thread_path}/messages?order=asc")
    return [part["text"]["value"] for message in messages["data"] for part in message["content"]]


async def ended(api: Api, model_runs: ModelRuns, **fields: Any) -> tuple[str, Any]:
    """Return the path of a new run, and the run once no run waits for the model."""
    path = await api.new_run(**fields)
    await model_runs.wait_until_idle()
    return path, await api.ok("GET", path)


async def outputs_for(run: Json, *outputs: str) -> Json:
    calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    return {
        "tool_outputs": [
            {"tool_call_id": one["id"], "output": output} for one, output in zip(calls, outputs, strict=True)
        ]
    }


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_stream_shows_the_text_as_it_comes(api: Api, model: ChatServer, version: str) -> None:
    client, go_on = api.using(version=version), asyncio.Event()
    model.will_stream(*HELLO[:2], go_on, *HELLO[2:])
    thread_id, assistant_id = await client.new_thread("Hi"), await client.new_assistant()
    async with client.stream(f"/threads/{thread_id}/runs", {"assistant_id": assistant_id}) as stream:
        begun = await stream.until("thread.message.delta")
        assert event_names(begun) == [*BEGINNING, *WRITING]
        path = f"/threads/{thread_id}/runs/{begun[0][1]['id']}"
        assert (await client.ok("GET", path))["status"] == "in_progress"
        assert await message_texts(client, path) == ["Hi", "Hel"]
        go_on.set()
        rest = await stream.rest()
    assert event_names(rest) == ["message.delta", *WRITTEN, "run.completed", "done"]
    assert texts([*begun, *rest]) == ["Hel", "lo"]
    run = await client.ok("GET", path)
    assert (run["status"], run["started_at"], run["completed_at"]) == ("completed", START, START)
    assert (run["usage"]["prompt_tokens"], run["usage"]["completion_tokens"]) == (11, 2)
    assert "asks_model" not in run


async def test_the_model_gets_the_thread_and_the_key(api: Api, model: ChatServer, model_runs: ModelRuns) -> None:
    model.will_answer(completion({"content": "Hello"}))
    assistant_id = await api.new_assistant(model="gpt-4o", instructions="Be brief.")
    thread_id = await api.new_thread("One", "Two", "Three")
    more = {
        "assistant_id": assistant_id,
        "additional_instructions": "Be kind.",
        "truncation_strategy": {"type": "last_messages", "last_messages": 2},
        "temperature": 0.2,
    }
    await api.ok("POST", f"/threads/{thread_id}/runs", more)
    await model_runs.wait_until_idle()
    (request,) = model.requests
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert (request.body["model"], request.body["temperature"]) == ("gpt-4o", 0.2)
    assert [(one["role"], one["content"]) for one in request.body["messages"]] == [
        ("system", "Be brief.\nBe kind."),
        ("user", "Two"),
        ("user", "Three"),
    ]


async def test_several_calls_are_answered_in_one_request(api: Api, model: ChatServer, model_runs: ModelRuns) -> None:
    model.will_stream(
        *words("Let me see."),
        call(0, "", id="call_a", name="get_weather"),
        call(0, '{"city":'),
        call(1, "", id="call_b", name="get_time"),
        call(0, '"Oslo"}'),
        call(1, "{not json"),
        finish("tool_calls"),
        usage(20, 9),
    )
    model.will_stream(*HELLO)
    events = await api.streamed_run(tools=[WEATHER_TOOL, TIME_TOOL], seconds=0, tool_choice="required")
    assert event_names(events) == [
        *(*BEGINNING, *WRITING, *WRITTEN),
        *(*STEP, "run.step.delta", "run.requires_action", "done"),
    ]
    waiting = events[-2][1]
    calls = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert [(one["id"], one["function"]["arguments"]) for one in calls] == [
        ("call_a", '{"city":"Oslo"}'),
        ("call_b", "{not json"),
    ]
    path = f"/threads/{waiting['thread_id']}/runs/{waiting['id']}"
    api.clock.advance(5)
    body = await outputs_for(waiting, "4 degrees", "")
    events = await api.streamed(f"{path}/submit_tool_outputs", body, seconds=0)
    assert event_names(events) == [
        *("run.step.completed", *BEGINNING[1:], *WRITING, *WRITTEN),
        *("run.completed", "done"),
    ]
    assert (events[0][1]["usage"]["prompt_tokens"], events[0][1]["usage"]["completion_tokens"]) == (20, 9)
    run = await api.ok("GET", path)
    assert (run["usage"]["prompt_tokens"], run["usage"]["completion_tokens"]) == (31, 11)
    assert run["started_at"] == START + 5
    first, second = model.requests
    assert (first.body["tool_choice"], second.body.get("tool_choice")) == ("required", None)
    assistant, *outputs = second.body["messages"][1:]
    assert (assistant["content"], len(assistant["tool_calls"])) == ("Let me see.", 2)
    assert assistant["tool_calls"][1]["function"] == {"name": "get_time", "arguments": "{not json"}
    assert outputs == [
        {"role": "tool", "tool_call_id": "call_a", "content": "4 degrees"},
        {"role": "tool", "tool_call_id": "call_b", "content": ""},
    ]
    assert len(model_runs) == 0


@pytest.mark.parametrize(
    ("reason", "run_reason", "message_reason"),
    [("model_length", "max_completion_tokens", "max_tokens"), ("content_filter", "content_filter", "content_filter")],
)
async def test_an_answer_cut_short_is_incomplete(
    api: Api, model: ChatServer, reason: str, run_reason: str, message_reason: str
) -> None:
    model.will_stream(*words("Hel"), finish(reason))
    events = await api.streamed_run(seconds=0)
    assert event_names(events)[-4:] == ["message.incomplete", "run.step.completed", "run.incomplete", "done"]
    assert events[-4][1]["incomplete_details"] == {"reason": message_reason}
    run = events[-2][1]
    assert run["incomplete_details"] == {"reason": run_reason}
    assert run["usage"]["completion_tokens"] > 0


async def test_a_run_without_remaining_tokens_is_not_answered_again(
    api: Api, model: ChatServer, model_runs: ModelRuns
) -> None:
    model.will_stream(call(0, "{}", id="a", name="get_time"), finish("tool_calls"), usage(9, 256))
    path, waiting = await ended(api, model_runs, tools=[TIME_TOOL], max_completion_tokens=256)
    await api.ok("POST", f"{path}/submit_tool_outputs", await outputs_for(waiting, "noon"))
    await model_runs.wait_until_idle()
    assert (await api.ok("GET", path))["incomplete_details"] == {"reason": "max_completion_tokens"}
    assert len(model.requests) == 1


HALF_CALL = call(0, "{", id="a", name="f")
FAILURES: list[tuple[str, Callable[[ChatServer], None], str, str]] = [
    ("401", lambda model: model.will_answer({"error": KEY}, 401), "server_error", "refused the emulator's own key"),
    ("429", lambda model: model.will_answer({}, 429), "rate_limit_exceeded", "try again later"),
    ("500", lambda model: model.will_answer({"error": model.url}, 500), "server_error", "status 500"),
    ("reported", lambda model: model.will_stream({"error": {"message": KEY}}), "server_error", "in the middle"),
    ("garbled", lambda model: model.will_stream(*words("Hel"), b"data: {\n\n"), "server_error", "could not be read"),
    ("nameless", lambda model: model.will_stream(call(0, "{}", id="a")), "server_error", "could not be read"),
    ("cut", lambda model: model.will_stream(*words("Hel"), end="cut"), "server_error", "broke off"),
    ("error", lambda model: model.will_stream(*words("Hel"), finish("error")), "server_error", "in the middle"),
    ("whole", lambda model: model.will_answer(completion({"content": "H"}, "error")), "server_error", "in the middle"),
    ("bare", lambda model: model.will_stream(*words("Hel"), {"message": KEY}), "server_error", "in the middle"),
    ("event", lambda model: model.will_stream(*words("Hel"), b"event: error\n\n"), "server_error", "in the middle"),
    ("null", lambda model: model.will_stream(HALF_CALL, finish("null"), end="open"), "server_error", "broke off"),
    ("unfinished", lambda model: model.will_stream(*words("Hel"), end="open"), "server_error", "broke off"),
]


@pytest.mark.parametrize(("name", "answer", "code", "text"), FAILURES, ids=[one[0] for one in FAILURES])
async def test_a_failing_model_fails_the_run_without_naming_key_or_address(
    api: Api,
    model: ChatServer,
    model_runs: ModelRuns,
    caplog: pytest.LogCaptureFixture,
    name: str,
    answer: Callable[[ChatServer], None],
    code: str,
    text: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    answer(model)
    path, run = await ended(api, model_runs)
    assert (run["status"], run["last_error"]["code"], run["failed_at"]) == ("failed", code, START)
    assert text in run["last_error"]["message"]
    steps = (await api.ok("GET", f"{path}/steps"))["data"]
    assert {step["status"] for step in steps} <= {"failed"}
    page = await (await api.client.get("/")).text()
    shown = f"{run} {steps} {page} {caplog.text}"
    assert KEY not in shown
    assert model.url.removeprefix("http://") not in shown
    assert f"run {run['id']} failed: {run['last_error']['message']}" in caplog.text


async def test_a_failure_in_the_middle_ends_the_open_step_and_message(api: Api, model: ChatServer) -> None:
    model.will_stream(*words("Hel"), end="cut")
    events = await api.streamed_run(seconds=0)
    assert event_names(events)[-4:] == ["run.step.failed", "message.incomplete", "run.failed", "done"]
    assert events[-3][1]["incomplete_details"] == {"reason": "run_failed"}


async def test_text_before_a_failure_is_stored(api: Api, model: ChatServer, model_runs: ModelRuns) -> None:
    model.will_stream(b"".join([*map(frame, words("Hel", "lo")), b"data: {\n\n"]))
    path, run = await ended(api, model_runs)
    assert (run["status"], await message_texts(api, path)) == ("failed", ["What is a heron?", "Hello"])


async def test_an_unreachable_model_fails_the_run(aiohttp_client: Connect, clock: ManualClock) -> None:
    app = create_app(clock=clock, model=ModelOptions("http://127.0.0.1:1/v1"))
    api = Api(await aiohttp_client(app), clock)
    _, run = await ended(api, app[MODEL_RUNS])
    assert run["last_error"] == {"code": "server_error", "message": "The model could not be reached."}


async def test_a_silent_model_fails_the_run_after_the_timeout(
    api: Api, model: ChatServer, model_runs: ModelRuns
) -> None:
    model.will_stream(*words("Hel"), asyncio.Event())
    thread_id, assistant_id = await api.new_thread("Hi"), await api.new_assistant()
    async with api.stream(f"/threads/{thread_id}/runs", {"assistant_id": assistant_id}) as stream:
        await stream.until("thread.message.delta")
        api.clock.advance(30)
        rest = await stream.rest()
    assert rest[-2][1]["last_error"]["message"] == "The model did not answer within 30 seconds."
    await model.client_left.wait()
    await model_runs.wait_until_idle()


@pytest.mark.parametrize("how", ["cancel", "delete", "expire"])
async def test_a_cancelled_deleted_or_expired_run_ends_the_request(
    api: Api, model: ChatServer, model_runs: ModelRuns, how: str
) -> None:
    model.will_stream(*words("Hel"), asyncio.Event())
    thread_id, assistant_id = await api.new_thread("Hi"), await api.new_assistant()
    async with api.stream(f"/threads/{thread_id}/runs", {"assistant_id": assistant_id}) as stream:
        path = f"/threads/{thread_id}/runs/{(await stream.until('thread.message.delta'))[0][1]['id']}"
        match how:
            case "cancel":
                assert (await api.ok("POST", f"{path}/cancel"))["status"] == "cancelling"
                await stream.until("thread.run.cancelling")
                api.clock.advance(1)
                expected = ["run.step.cancelled", "message.incomplete", "run.cancelled", "done"]
            case "delete":
                await api.ok("DELETE", f"/threads/{thread_id}")
                expected = ["error", "done"]
            case _:
                api.clock.advance(600)
                expected = ["run.step.expired", "message.incomplete", "run.expired", "done"]
        assert event_names(await stream.rest()) == expected
    await model.client_left.wait()
    await model_runs.wait_until_idle()
    if how != "delete":
        assert await message_texts(api, path) == ["Hi", "Hel"]


async def test_requests_at_once_are_limited_and_other_runs_stay_queued(
    api: Api, model: ChatServer, model_runs: ModelRuns
) -> None:
    go_on = asyncio.Event()
    for _ in range(3):
        model.will_stream(*words("Hi"), go_on, finish())
    paths = [await api.new_run() for _ in range(4)]
    await model.next_request()
    await model.next_request()
    statuses = [(await api.ok("GET", path))["status"] for path in paths]
    assert statuses == ["in_progress", "in_progress", "queued", "queued"]
    await api.ok("POST", f"{paths[3]}/cancel")
    go_on.set()
    await model_runs.wait_until_idle()
    api.clock.advance(1)
    statuses = [(await api.ok("GET", path))["status"] for path in paths]
    assert statuses == ["completed", "completed", "completed", "cancelled"]
    assert len(model.requests) == 3


async def test_a_run_above_the_limit_of_waiting_runs_fails_at_once(
    model: ChatServer, aiohttp_client: Connect, clock: ManualClock
) -> None:
    app = create_app(clock=clock, model=ModelOptions(model.url, max_at_once=1, max_waiting=1))
    api = Api(await aiohttp_client(app), clock)
    model.will_stream(asyncio.Event())
    paths = [await api.new_run() for _ in range(3)]
    run = await api.ok("GET", paths[2])
    assert (run["status"], run["last_error"]["code"]) == ("failed", "rate_limit_exceeded")
    await model.next_request()


async def test_a_run_that_expired_while_it_waited_is_not_answered(
    model: ChatServer, aiohttp_client: Connect, clock: ManualClock
) -> None:
    app = create_app(clock=clock, model=ModelOptions(model.url, max_at_once=1, timeout_seconds=3600))
    api = Api(await aiohttp_client(app), clock)
    model.will_stream(asyncio.Event())
    await api.new_run()
    await model.next_request()
    late = await api.new_run()
    clock.advance(600)
    await app[MODEL_RUNS].wait_until_idle()
    assert (await api.ok("GET", late))["status"] == "expired"
    assert len(model.requests) == 1


async def test_a_scenario_chooses_the_script(api: Api, model: ChatServer) -> None:
    events = await api.streamed_run(metadata={"emulator": "refusal"})
    assert event_names(events)[-1] == "done"
    long = await api.streamed_run("x" * 2000, max_prompt_tokens=256)
    assert long[-2][1]["incomplete_details"] == {"reason": "max_prompt_tokens"}
    assert model.requests == []


async def test_an_internal_error_fails_the_run_without_its_details(
    api: Api,
    model_runs: ModelRuns,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.emulator.model.model_runs.chat_request", broken)
    _, run = await ended(api, model_runs)
    assert run["last_error"] == {"code": "server_error", "message": "Sorry, something went wrong."}
    assert "ZeroDivisionError" in caplog.text


async def test_a_restart_fails_runs_of_open_requests_but_not_runs_that_wait_for_outputs(
    aiohttp_client: Connect, model: ChatServer, tmp_path: Path, clock: ManualClock
) -> None:
    file, options = tmp_path / "emulator.db", ModelOptions(model.url, key=KEY)
    database = str(file)
    first = create_app(database=database, clock=clock, model=options)
    api = Api(await aiohttp_client(first), clock)
    model.will_stream(call(0, "{}", id="a", name="get_time"), finish("tool_calls"))
    waiting, state = await ended(api, first[MODEL_RUNS], tools=[TIME_TOOL])
    model.will_stream(*words("Hel"), asyncio.Event())
    interrupted = await api.new_run()
    await model.next_request()
    await model.next_request()
    await api.client.close()
    assert len(first[MODEL_RUNS]) == 0
    await model.client_left.wait()
    assert KEY.encode() not in file.read_bytes()

    clock.advance(5)
    second = create_app(database=database, clock=clock, model=options)
    api = Api(await aiohttp_client(second), clock)
    run = await api.ok("GET", interrupted)
    assert (run["status"], run["failed_at"]) == ("failed", START + 5)
    assert "restarted" in run["last_error"]["message"]
    model.will_stream(*HELLO)
    await api.ok("POST", f"{waiting}/submit_tool_outputs", await outputs_for(state, "noon"))
    await second[MODEL_RUNS].wait_until_idle()
    assert (await api.ok("GET", waiting))["status"] == "completed"


async def test_without_the_model_a_waiting_run_continues_by_script(
    aiohttp_client: Connect, model: ChatServer, tmp_path: Path, clock: ManualClock
) -> None:
    database = str(tmp_path / "emulator.db")
    first = create_app(database=database, clock=clock, model=ModelOptions(model.url))
    api = Api(await aiohttp_client(first), clock)
    model.will_stream(call(0, "{}", id="a", name="get_time"), finish("tool_calls"))
    path, state = await ended(api, first[MODEL_RUNS], tools=[TIME_TOOL])
    await api.client.close()
    api = Api(await aiohttp_client(create_app(database=database, clock=clock)), clock)
    await api.ok("POST", f"{path}/submit_tool_outputs", await outputs_for(state, "noon"))
    clock.advance(60)
    assert (await api.ok("GET", path))["status"] == "completed"
    assert "noon" in (await message_texts(api, path))[-1]
