from typing import Any

import pytest

from tests.gateway.emulator.api_client import START, TIME_TOOL, WEATHER_TOOL, Api


async def until_waiting(api: Api, **fields: Any) -> tuple[str, list[dict[str, Any]]]:
    """Start a run and return its path and its calls once it waits for tool outputs."""
    path = await api.new_run("Weather in Kyoto?", tools=[WEATHER_TOOL, TIME_TOOL], **fields)
    api.clock.advance(3)
    run = await api.ok("GET", path)
    assert run["status"] == "requires_action"
    return path, run["required_action"]["submit_tool_outputs"]["tool_calls"]


def outputs_for(calls: list[dict[str, Any]]) -> dict[str, Any]:
    return {"tool_outputs": [{"tool_call_id": call["id"], "output": f"out of {call['id']}"} for call in calls]}


async def test_a_run_is_queued_then_in_progress_then_completed(api: Api) -> None:
    path = await api.new_run()
    run = await api.ok("GET", path)
    assert (run["status"], run["started_at"], run["expires_at"], run["usage"]) == ("queued", None, START + 600, None)
    api.clock.advance(1)
    run = await api.ok("GET", path)
    assert (run["status"], run["started_at"]) == ("in_progress", START + 1)
    api.clock.advance(2)
    run = await api.ok("GET", path)
    assert (run["status"], run["expires_at"]) == ("completed", None)
    assert START + 2 <= run["completed_at"] <= START + 3
    (step,) = (await api.ok("GET", f"{path}/steps"))["data"]
    assert run["usage"] == step["usage"]


async def test_omitted_options_come_from_the_assistant(api: Api) -> None:
    assistant_id = await api.new_assistant(
        instructions="Be brief.", tools=[WEATHER_TOOL], temperature=0.5, tool_resources={"code_interpreter": {}}
    )
    thread_id = await api.new_thread("Hi")
    path = f"/threads/{thread_id}/runs"
    run = await api.ok("POST", path, {"assistant_id": assistant_id, "additional_instructions": "Rhyme."})
    assert (run["instructions"], run["temperature"], run["model"]) == ("Be brief.\nRhyme.", 0.5, "gpt-4o")
    assert run["tools"][0]["function"]["name"] == "get_weather"
    assert run["tool_resources"] == {"code_interpreter": {"file_ids": []}}
    await api.ok("POST", f"{path}/{run['id']}/cancel")
    api.clock.advance(2)
    own = {
        "assistant_id": assistant_id,
        "model": "other",
        "instructions": "Sing.",
        "tools": [],
        "temperature": 1.5,
        "response_format": {"type": "json_object"},
        "tool_choice": "none",
        "truncation_strategy": {"type": "last_messages", "last_messages": 5},
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
        "metadata": {"a": "b"},
    }
    echoed = await api.ok("POST", path, own)
    assert {key: echoed[key] for key in own} == own


async def test_additional_messages_come_before_the_answer(api: Api) -> None:
    assistant_id, thread_id = await api.new_assistant(), await api.new_thread()
    more = [{"role": "user", "content": "What is a heron?"}]
    body = {"assistant_id": assistant_id, "additional_messages": more}
    await api.ok("POST", f"/threads/{thread_id}/runs", body)
    api.clock.advance(10)
    messages = (await api.ok("GET", f"/threads/{thread_id}/messages?order=asc"))["data"]
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert "heron" in messages[1]["content"][0]["text"]["value"]


async def test_a_thread_and_its_run_are_made_together(api: Api) -> None:
    body = {
        "assistant_id": await api.new_assistant(),
        "thread": {"messages": [{"role": "user", "content": "Hi"}]},
        "tool_resources": {"code_interpreter": {"file_ids": ["file-1"]}},
    }
    run = await api.ok("POST", "/threads/runs", body)
    assert run["tool_resources"] == body["tool_resources"]
    assert len((await api.ok("GET", f"/threads/{run['thread_id']}/messages"))["data"]) == 1


async def test_a_refused_run_leaves_no_thread_and_no_messages(api: Api) -> None:
    thread_id = await api.new_thread("Hi")
    body = {
        "assistant_id": await api.new_assistant(),
        "additional_messages": [{"role": "user", "content": "x"}],
        "metadata": {"emulator": "nonsense"},
    }
    status, error = await api.error("POST", f"/threads/{thread_id}/runs", body)
    assert (status, error["param"]) == (400, "metadata.emulator")
    assert len((await api.ok("GET", f"/threads/{thread_id}/messages"))["data"]) == 1


async def test_tool_outputs_queue_the_run_and_start_it_again(api: Api) -> None:
    path, calls = await until_waiting(api)
    api.clock.advance(20)
    run = await api.ok("POST", f"{path}/submit_tool_outputs", outputs_for(calls))
    assert (run["status"], run["required_action"], run["started_at"]) == ("queued", None, START + 1)
    api.clock.advance(1)
    run = await api.ok("GET", path)
    assert (run["status"], run["started_at"]) == ("in_progress", START + 24)
    api.clock.advance(5)
    assert (await api.ok("GET", path))["status"] == "completed"
    tool_step, message_step = (await api.ok("GET", f"{path}/steps?order=asc"))["data"]
    assert tool_step["completed_at"] == START + 23
    assert [call["function"]["output"] for call in tool_step["step_details"]["tool_calls"]] == [
        f"out of {call['id']}" for call in calls
    ]
    message_id = message_step["step_details"]["message_creation"]["message_id"]
    thread_path, _, _ = path.partition("/runs/")
    answer = await api.ok("GET", f"{thread_path}/messages/{message_id}")
    assert all(f"out of {call['id']}" in answer["content"][0]["text"]["value"] for call in calls)


async def test_outputs_must_name_every_call_exactly_once(api: Api) -> None:
    path, calls = await until_waiting(api)
    whole = outputs_for(calls)["tool_outputs"]
    expected = [call["id"] for call in calls]
    for given in ([], whole[:1], [*whole, whole[0]], [{"tool_call_id": "call_x", "output": ""}]):
        status, error = await api.error("POST", f"{path}/submit_tool_outputs", {"tool_outputs": given})
        got = [one["tool_call_id"] for one in given]
        assert (status, error["message"]) == (400, f"Expected tool outputs for call_ids {expected}, got {got}")


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0.0, "queued"), (1.2, "in_progress"), (601.0, "expired")],
)
async def test_outputs_are_refused_when_the_run_does_not_wait_for_them(api: Api, seconds: float, status: str) -> None:
    path = await api.new_run(tools=[WEATHER_TOOL])
    api.clock.advance(seconds)
    refused, error = await api.error("POST", f"{path}/submit_tool_outputs", {"tool_outputs": []})
    assert (refused, error["message"]) == (400, f'Runs in status "{status}" do not accept tool outputs.')


async def test_a_run_without_tool_outputs_expires_after_ten_minutes(api: Api) -> None:
    path, _ = await until_waiting(api)
    api.clock.advance(596)
    assert (await api.ok("GET", path))["status"] == "requires_action"
    api.clock.advance(1)
    run = await api.ok("GET", path)
    assert (run["status"], run["expires_at"], run["required_action"]) == ("expired", None, None)
    (step,) = (await api.ok("GET", f"{path}/steps"))["data"]
    assert (step["status"], step["expires_at"]) == ("expired", START + 600)


async def test_outputs_at_the_last_moment_do_not_delay_the_expiry(api: Api) -> None:
    path, calls = await until_waiting(api)
    api.clock.advance(596.5)
    assert (await api.ok("POST", f"{path}/submit_tool_outputs", outputs_for(calls)))["status"] == "queued"
    api.clock.advance(1)
    assert (await api.ok("GET", path))["status"] == "expired"


@pytest.mark.parametrize("seconds", [0.0, 1.5, 3.0])
async def test_a_run_can_be_cancelled_until_it_ends(api: Api, seconds: float) -> None:
    path = await api.new_run(tools=[WEATHER_TOOL])
    api.clock.advance(seconds)
    run = await api.ok("POST", f"{path}/cancel")
    assert (run["status"], run["cancelled_at"], run["required_action"]) == ("cancelling", None, None)
    again, error = await api.error("POST", f"{path}/cancel")
    assert (again, error["message"]) == (400, "Cannot cancel run with status 'cancelling'.")
    api.clock.advance(1)
    run = await api.ok("GET", path)
    assert (run["status"], run["cancelled_at"], run["expires_at"]) == ("cancelled", int(START + seconds + 1), None)
    steps = (await api.ok("GET", f"{path}/steps"))["data"]
    assert all(step["status"] == "cancelled" for step in steps)


@pytest.mark.parametrize(
    ("scenario", "seconds", "status"),
    [("fail", 10, "failed"), ("incomplete", 10, "incomplete"), ("stuck", 700, "expired"), (None, 10, "completed")],
)
async def test_a_run_that_has_ended_is_not_cancelled(
    api: Api, scenario: str | None, seconds: float, status: str
) -> None:
    path = await api.new_run(metadata={"emulator": scenario} if scenario else {})
    api.clock.advance(seconds)
    refused, error = await api.error("POST", f"{path}/cancel")
    assert (refused, error["message"]) == (400, f"Cannot cancel run with status '{status}'.")


async def test_a_failed_run_says_why_and_leaves_its_message(api: Api) -> None:
    path = await api.new_run(metadata={"emulator": "fail"})
    api.clock.advance(10)
    run = await api.ok("GET", path)
    assert run["last_error"] == {"code": "server_error", "message": "Sorry, something went wrong."}
    assert run["failed_at"] is not None
    assert run["expires_at"] is None
    (step,) = (await api.ok("GET", f"{path}/steps"))["data"]
    assert step["last_error"] == run["last_error"]


async def test_a_slow_run_is_still_in_progress_after_ten_seconds(api: Api) -> None:
    path = await api.new_run(metadata={"emulator": "slow"})
    api.clock.advance(14)
    assert (await api.ok("GET", path))["status"] == "in_progress"
    api.clock.advance(30)
    assert (await api.ok("GET", path))["status"] == "completed"


async def test_limits_of_tokens_make_a_run_incomplete(api: Api) -> None:
    for field, reason in (
        ("max_completion_tokens", "max_completion_tokens"),
        ("max_prompt_tokens", "max_prompt_tokens"),
    ):
        path = await api.new_run("Why? " * 300, **{field: 256})
        api.clock.advance(20)
        run = await api.ok("GET", path)
        assert (run["status"], run["incomplete_details"]) == ("incomplete", {"reason": reason})
        assert run["usage"] is not None
        assert run["completed_at"] is not None


async def test_metadata_of_a_run_can_be_changed_in_flight_and_afterwards(api: Api) -> None:
    path = await api.new_run()
    assert (await api.ok("POST", path, {"metadata": {"a": "1"}}))["metadata"] == {"a": "1"}
    api.clock.advance(10)
    assert (await api.ok("GET", path))["metadata"] == {"a": "1"}
    assert (await api.ok("POST", path, {"metadata": {"a": "2"}}))["metadata"] == {"a": "2"}


async def test_a_thread_accepts_a_new_run_after_the_active_one(api: Api) -> None:
    path = await api.new_run()
    thread_path, _, run_id = path.partition("/runs/")
    body = {"assistant_id": (await api.ok("GET", path))["assistant_id"]}
    status, error = await api.error("POST", f"{thread_path}/runs", body)
    thread_id = thread_path.removeprefix("/threads/")
    assert (status, error["message"]) == (400, f"Thread {thread_id} already has an active run {run_id}.")
    api.clock.advance(10)
    await api.ok("POST", f"{thread_path}/runs", body)
    assert len((await api.ok("GET", f"{thread_path}/runs"))["data"]) == 2
