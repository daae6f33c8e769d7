"""Streamed runs have the text that a file search found, also where a stream cannot be asked for it."""

import asyncio
import json
from typing import Any

import pytest

from gateway.upstream.dialects import INCLUDE_SEARCH_CONTENT
from gateway.upstream.search_content import lacks_search_content
from schema.contract.bodies import RunBody, ThreadAndRunBody, ToolOutputsBody
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.wire import RunStepObject
from schema.contract.writes import CREATE_RUN, CREATE_THREAD_AND_RUN, SUBMIT_TOOL_OUTPUTS
from tests.support.scripted_upstream import ScriptedResponse, ScriptedUpstream, chunked_response, response
from tests.support.upstream_client import CREDENTIAL, LAST_EVENT, ClientMaker, StreamRecorder
from tests.support.wire_samples import run_step

RUN = {"id": "run_1", "object": "thread.run", "created_at": 1, "thread_id": "thread_1", "status": "in_progress"}
FOUND = {"file_id": "file-1", "file_name": "tea.md", "score": 0.5}
STEP_TARGET = f"/v1/threads/thread_1/runs/run_1/steps/step_1?{INCLUDE_SEARCH_CONTENT}"


def step(*results: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    call = {"id": "call_1", "type": "file_search", "file_search": {"results": list(results)}}
    details = {"type": "tool_calls", "tool_calls": [call]}
    kind = {"id": "step_1", "object": "thread.run.step", "created_at": 1, "type": "tool_calls"}
    return kind | {"status": status, "step_details": details}


WITH_TEXT = step(FOUND | {"content": [{"type": "text", "text": "Steep for two minutes."}]})


def stream(*objects: dict[str, Any]) -> ScriptedResponse:
    return chunked_response(*(f"data: {json.dumps(one)}\n\n".encode() for one in objects), LAST_EVENT)


def at_once(*objects: dict[str, Any]) -> ScriptedResponse:
    """Return a stream whose events come in one piece."""
    return chunked_response(b"".join(f"data: {json.dumps(one)}\n\n".encode() for one in objects) + LAST_EVENT)


async def steps_of(upstream: ScriptedUpstream, make_client: ClientMaker, write: Any, key: Any, body: Any) -> list[Any]:
    """Return the steps in the recorded stream of a write."""
    recorder = StreamRecorder()
    await make_client().bind(CREDENTIAL, recorder).write(write, key, body)
    await recorder.finished()
    assert recorder.failure is None
    return [event.wire for event in recorder.events if isinstance(event.wire, RunStepObject)]


THREAD_AND_RUN = (CREATE_THREAD_AND_RUN, None, ThreadAndRunBody.model_validate({"assistant_id": "asst_1"}))
OUTPUTS = ToolOutputsBody.model_validate({"tool_outputs": [{"tool_call_id": "call_1", "output": "x"}]})
OTHER_STARTS = pytest.mark.parametrize(
    ("write", "key", "body"), [THREAD_AND_RUN, (SUBMIT_TOOL_OUTPUTS, RunKey("thread_1", "run_1"), OUTPUTS)]
)


async def test_create_run_asks_for_the_text(upstream: ScriptedUpstream, make_client: ClientMaker) -> None:
    upstream.queue_responses(stream(RUN, WITH_TEXT, RUN | {"status": "completed"}))
    steps = await steps_of(
        upstream, make_client, CREATE_RUN, ThreadKey("thread_1"), RunBody.model_validate({"assistant_id": "asst_1"})
    )
    assert not lacks_search_content(steps[0])
    assert upstream.targets == [f"/v1/threads/thread_1/runs?{INCLUDE_SEARCH_CONTENT}"]


@OTHER_STARTS
async def test_other_operations_read_the_finished_step_once(
    upstream: ScriptedUpstream, make_client: ClientMaker, write: Any, key: Any, body: Any
) -> None:
    started = step(FOUND, status="in_progress")
    upstream.queue_responses(stream(RUN, started, step(FOUND), RUN | {"status": "completed"}), response(200, WITH_TEXT))
    shown, finished = await steps_of(upstream, make_client, write, key, body)
    assert (shown.status, lacks_search_content(finished)) == ("in_progress", False)
    assert b"Steep for two minutes." in bytes(finished.step_details)
    assert upstream.targets[1:] == [STEP_TARGET]


@OTHER_STARTS
async def test_a_step_that_cannot_be_read_is_shown_as_it_was_streamed(
    upstream: ScriptedUpstream, make_client: ClientMaker, write: Any, key: Any, body: Any
) -> None:
    refusal = response(404, {"error": {"message": "No run step found with id 'step_1'."}})
    upstream.queue_responses(stream(RUN, step(FOUND), RUN | {"status": "completed"}), refusal)
    (shown,) = await steps_of(upstream, make_client, write, key, body)
    assert (shown.id, shown.status) == ("step_1", "completed")


@OTHER_STARTS
async def test_a_run_that_came_with_its_step_does_not_wait_for_the_step(
    upstream: ScriptedUpstream, make_client: ClientMaker, write: Any, key: Any, body: Any
) -> None:
    arrived = asyncio.Event()
    read = ScriptedResponse(b"", "keep", (arrived, response(200, WITH_TEXT).data))
    upstream.queue_responses(at_once(RUN, step(FOUND), RUN | {"status": "completed"}), read)
    recorder = StreamRecorder()
    # The write holds the only slot until the run has come.
    client = make_client(max_concurrency_per_operation=1, max_concurrency_per_principal=1)
    run = await client.bind(CREDENTIAL, recorder).write(write, key, body)
    assert run.id == "run_1"
    arrived.set()
    await recorder.finished()
    (shown,) = (event.wire for event in recorder.events if isinstance(event.wire, RunStepObject))
    assert not lacks_search_content(shown)


@OTHER_STARTS
async def test_a_step_before_its_run_is_read_behind_it(
    upstream: ScriptedUpstream, make_client: ClientMaker, write: Any, key: Any, body: Any
) -> None:
    upstream.queue_responses(at_once(step(FOUND), RUN, RUN | {"status": "completed"}), response(200, WITH_TEXT))
    client = make_client(max_concurrency_per_operation=1, max_concurrency_per_principal=1)
    recorder = StreamRecorder()
    await client.bind(CREDENTIAL, recorder).write(write, key, body)
    await recorder.finished()
    kinds = [type(event.wire).__name__ for event in recorder.events if event.wire is not None]
    assert kinds == ["RunStepObject", "RunObject", "RunStepObject", "RunObject"]
    steps = [event.wire for event in recorder.events if isinstance(event.wire, RunStepObject)]
    assert [lacks_search_content(one) for one in steps] == [True, False]


async def test_a_step_without_results_or_with_their_text_is_not_read(
    upstream: ScriptedUpstream, make_client: ClientMaker
) -> None:
    upstream.queue_responses(stream(RUN, step(), WITH_TEXT | {"id": "step_2"}, RUN | {"status": "completed"}))
    assert len(await steps_of(upstream, make_client, *THREAD_AND_RUN)) == 2
    assert len(upstream.targets) == 1


@pytest.mark.parametrize(
    ("sent", "lacking"),
    [
        (step(FOUND), True),
        (step(FOUND | {"content": None}), True),
        (step(FOUND | {"content": []}), False),
        (step(FOUND, status="in_progress"), False),
        (step(), False),
        (WITH_TEXT, False),
        ({"status": "completed", "step_details": {"type": "file_search"}}, False),
        ({"status": "completed", "step_details": None}, False),
    ],
)
def test_a_finished_step_lacks_text_if_a_result_has_none(sent: dict[str, Any], lacking: bool) -> None:
    assert lacks_search_content(run_step(**sent)) is lacking
