"""Tests that the newest version of the official SDK can use the emulator like the real service.

The emulator's clock advances by one second per request, so polling ends without waiting.
"""

import json
import random
from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.beta import Assistant, Thread
from openai.types.beta.thread_create_params import Message as NewMessage
from openai.types.beta.threads import Message, Run
from openai.types.beta.threads.runs import RunStepInclude

from tests.support.clocks import SteppingClock
from tests.support.emulator import Emulator, running_emulator
from tests.support.openai_sdk import check_object, check_page, client, ignores_its_deprecation, model_mismatches

__all__ = ["client"]  # a fixture

pytestmark = ignores_its_deprecation

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
    "required": ["city"],
}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with running_emulator(clock=SteppingClock(1.0)) as emulator:
        yield emulator


async def make_assistant(client: AsyncOpenAI) -> Assistant:
    return check_object(await client.beta.assistants.create(model="gpt-4o", name="Helper", instructions="Be brief."))


async def make_thread(client: AsyncOpenAI, *questions: str) -> Thread:
    messages: list[NewMessage] = [{"role": "user", "content": question} for question in questions]
    return check_object(await client.beta.threads.create(messages=messages))


async def poll(client: AsyncOpenAI, run: Run) -> Run:
    return check_object(await client.beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=0))


def message_text(message: Message) -> str:
    (part,) = message.content
    assert part.type == "text"
    return part.text.value


async def test_an_assistant_is_created_read_changed_and_deleted(client: AsyncOpenAI) -> None:
    assistants = client.beta.assistants
    made = check_object(
        await assistants.create(
            model="gpt-4o",
            name="Analyst",
            description="Reads tables.",
            instructions="Answer in numbers.",
            tools=[
                {"type": "code_interpreter"},
                {"type": "file_search", "file_search": {"max_num_results": 5}},
                {"type": "function", "function": {"name": "get_weather", "parameters": dict(WEATHER)}},
            ],
            tool_resources={"code_interpreter": {"file_ids": ["file-table"]}},
            metadata={"team": "data"},
            temperature=0.2,
            top_p=0.9,
            response_format="auto",
        )
    )
    assert [tool.type for tool in made.tools] == ["code_interpreter", "file_search", "function"]
    assert (made.temperature, made.top_p, made.metadata) == (0.2, 0.9, {"team": "data"})
    assert made.tool_resources is not None
    assert made.tool_resources.code_interpreter is not None
    assert made.tool_resources.code_interpreter.file_ids == ["file-table"]
    assert check_object(await assistants.retrieve(made.id)) == made

    changed = check_object(await assistants.update(made.id, name="Senior analyst", metadata={"team": "core"}))
    assert (changed.name, changed.metadata, changed.tools) == ("Senior analyst", {"team": "core"}, made.tools)
    assert check_page(await assistants.list()) == [changed]

    deleted = check_object(await assistants.delete(made.id))
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "assistant.deleted")
    with pytest.raises(openai.NotFoundError, match=f"No assistant found with id '{made.id}'"):
        await assistants.retrieve(made.id)


async def test_a_thread_is_created_read_changed_and_deleted(client: AsyncOpenAI) -> None:
    threads = client.beta.threads
    assert check_object(await threads.create()).metadata == {}
    made = check_object(
        await threads.create(
            messages=[{"role": "user", "content": "Hello", "metadata": {"from": "form"}}],
            metadata={"customer": "42"},
            tool_resources={"file_search": {"vector_store_ids": ["vs_handbook"]}},
        )
    )
    assert made.tool_resources is not None
    assert made.tool_resources.file_search is not None
    assert made.tool_resources.file_search.vector_store_ids == ["vs_handbook"]
    assert check_object(await threads.retrieve(made.id)) == made
    changed = check_object(await threads.update(made.id, metadata={"customer": "43"}))
    assert changed == made.model_copy(update={"metadata": {"customer": "43"}})
    assert check_object(await threads.delete(made.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await threads.messages.list(made.id)


async def test_a_message_is_created_read_changed_and_deleted(client: AsyncOpenAI) -> None:
    messages = client.beta.threads.messages
    thread = await make_thread(client)
    made = check_object(
        await messages.create(
            thread.id,
            role="user",
            content=[
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/cat.png", "detail": "low"}},
                {"type": "image_file", "image_file": {"file_id": "file-cat"}},
            ],
            attachments=[{"file_id": "file-notes", "tools": [{"type": "file_search"}, {"type": "code_interpreter"}]}],
            metadata={"draft": "yes"},
        )
    )
    assert [part.type for part in made.content] == ["text", "image_url", "image_file"]
    assert made.attachments is not None
    assert [tool.type for tool in made.attachments[0].tools or ()] == ["file_search", "code_interpreter"]
    assert check_object(await messages.retrieve(made.id, thread_id=thread.id)) == made
    changed = check_object(await messages.update(made.id, thread_id=thread.id, metadata={"draft": "no"}))
    assert (changed.metadata, changed.content) == ({"draft": "no"}, made.content)
    assert [message.id for message in check_page(await messages.list(thread.id))] == [made.id]
    deleted = check_object(await messages.delete(made.id, thread_id=thread.id))
    assert (deleted.deleted, deleted.object) == (True, "thread.message.deleted")
    assert check_page(await messages.list(thread.id)) == []


async def test_a_message_lacks_its_status_as_it_does_at_the_real_service(client: AsyncOpenAI) -> None:
    thread = await make_thread(client, "Hello")
    (message,) = (await client.beta.threads.messages.list(thread.id)).data
    assert model_mismatches(message) == {"Message.status: missing"}


async def test_a_run_is_polled_to_its_end_and_has_answered(client: AsyncOpenAI) -> None:
    assistant = await make_assistant(client)
    thread = await make_thread(client, "Is Rome in Italy?")
    made = await client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    assert (check_object(made).status, made.expires_at, made.instructions) == (
        "queued",
        made.created_at + 600,
        "Be brief.",
    )
    run = await poll(client, made)
    assert (run.status, run.expires_at, run.model) == ("completed", None, "gpt-4o")
    assert run.usage is not None
    assert run.usage.total_tokens == run.usage.prompt_tokens + run.usage.completion_tokens

    (answer,) = check_page(await client.beta.threads.messages.list(thread.id, run_id=run.id))
    assert (answer.role, answer.run_id, answer.assistant_id) == ("assistant", run.id, assistant.id)
    assert "Is Rome in Italy?" in message_text(answer)
    (step,) = check_page(await client.beta.threads.runs.steps.list(run.id, thread_id=thread.id))
    assert (step.status, step.type) == ("completed", "message_creation")
    assert step.usage is not None
    assert step.usage.to_dict() == run.usage.to_dict()
    assert step.step_details.type == "message_creation"
    assert step.step_details.message_creation.message_id == answer.id
    assert (
        check_object(await client.beta.threads.runs.steps.retrieve(step.id, thread_id=thread.id, run_id=run.id)) == step
    )


async def test_a_run_goes_on_with_the_outputs_of_its_functions(client: AsyncOpenAI) -> None:
    runs = client.beta.threads.runs
    assistant = check_object(
        await client.beta.assistants.create(
            model="gpt-4o",
            tools=[
                {"type": "function", "function": {"name": "get_weather", "parameters": dict(WEATHER)}},
                {"type": "function", "function": {"name": "get_time"}},
            ],
        )
    )
    thread = await make_thread(client, "How is the weather in Oslo?")
    run = check_object(await runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=0))
    assert run.status == "requires_action"
    assert run.required_action is not None
    calls = run.required_action.submit_tool_outputs.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    assert json.loads(calls[0].function.arguments)["city"] == "Oslo"

    with pytest.raises(openai.BadRequestError, match="Expected tool outputs for call_ids"):
        await runs.submit_tool_outputs(
            run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": calls[0].id, "output": "rain"}]
        )
    outputs = ["4 degrees, rain", "09:30"]
    done = check_object(
        await runs.submit_tool_outputs_and_poll(
            run_id=run.id,
            thread_id=thread.id,
            tool_outputs=[
                {"tool_call_id": call.id, "output": output} for call, output in zip(calls, outputs, strict=True)
            ],
            poll_interval_ms=0,
        )
    )
    assert (done.status, done.required_action) == ("completed", None)

    called, answered = check_page(await runs.steps.list(run.id, thread_id=thread.id, order="asc"))
    assert called.step_details.type == "tool_calls"
    assert [call.function.output for call in called.step_details.tool_calls if call.type == "function"] == outputs
    assert answered.step_details.type == "message_creation"
    answer = await client.beta.threads.messages.retrieve(
        answered.step_details.message_creation.message_id, thread_id=thread.id
    )
    assert all(output in message_text(answer) for output in outputs)


async def test_a_code_interpreter_shows_its_code_and_output(client: AsyncOpenAI) -> None:
    assistant = await make_assistant(client)
    thread = await make_thread(client, "Draw a chart of the words and export a file.")
    run = check_object(
        await client.beta.threads.runs.create_and_poll(
            thread_id=thread.id,
            assistant_id=assistant.id,
            tools=[{"type": "code_interpreter"}],
            poll_interval_ms=0,
        )
    )
    assert (run.status, [tool.type for tool in run.tools]) == ("completed", ["code_interpreter"])
    called, _ = check_page(await client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc"))
    details = called.step_details
    assert details.type == "tool_calls"
    (call,) = details.tool_calls
    assert call.type == "code_interpreter"
    assert "print(" in call.code_interpreter.input
    assert [output.type for output in call.code_interpreter.outputs] == ["logs", "image"]
    (answer,) = check_page(await client.beta.threads.messages.list(thread.id, run_id=run.id))
    image, text = answer.content
    assert (image.type, text.type) == ("image_file", "text")
    assert text.type == "text"
    (path,) = text.text.annotations
    assert (path.type, text.text.value[path.start_index : path.end_index]) == ("file_path", path.text)


async def test_files_are_uploaded_listed_read_and_deleted(client: AsyncOpenAI) -> None:
    content = random.Random(1).randbytes(200_000)
    made = check_object(await client.files.create(file=("Füße 1.png", content), purpose="vision"))
    assert (made.filename, made.bytes, made.purpose) == ("Füße 1.png", len(content), "vision")
    assert [one.id for one in (await client.files.list(purpose="vision")).data] == [made.id]
    assert check_object(await client.files.retrieve(made.id)) == made
    assert (await client.files.content(made.id)).content == content
    async with client.files.with_streaming_response.content(made.id, extra_headers={"Range": "bytes=-9"}) as part:
        assert (part.status_code, await part.read()) == (206, content[-9:])
    image: NewMessage = {"role": "user", "content": [{"type": "image_file", "image_file": {"file_id": made.id}}]}
    check_object(await client.beta.threads.create(messages=[image]))
    assert check_object(await client.files.delete(made.id)).deleted
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        await client.files.content(made.id)


async def test_a_file_search_cites_and_shows_its_results_on_request(client: AsyncOpenAI) -> None:
    assistant = check_object(await client.beta.assistants.create(model="gpt-4o", tools=[{"type": "file_search"}]))
    question: NewMessage = {
        "role": "user",
        "content": "How many days of leave?",
        "attachments": [{"file_id": "file-handbook", "tools": [{"type": "file_search"}]}],
    }
    thread = check_object(await client.beta.threads.create(messages=[question]))
    run = check_object(
        await client.beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=0
        )
    )
    read = []
    includes: tuple[list[RunStepInclude], ...] = ([], ["step_details.tool_calls[*].file_search.results[*].content"])
    for include in includes:
        searched, _ = check_page(
            await client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc", include=include)
        )
        details = searched.step_details
        assert details.type == "tool_calls"
        (call,) = details.tool_calls
        assert call.type == "file_search"
        assert call.file_search.results is not None
        (result,) = call.file_search.results
        assert result.file_id == "file-handbook"
        read.append(result.content)
    assert read[0] is None
    assert read[1]
    (answer,) = check_page(await client.beta.threads.messages.list(thread.id, run_id=run.id))
    (part,) = answer.content
    assert part.type == "text"
    (citation,) = part.text.annotations
    assert (citation.type, part.text.value[citation.start_index : citation.end_index]) == (
        "file_citation",
        citation.text,
    )


@pytest.mark.parametrize(
    ("scenario", "status", "reason"),
    [
        ("fail", "failed", "server_error"),
        ("rate_limit", "failed", "rate_limit_exceeded"),
        ("tool_error", "failed", "tool_user_error"),
        ("incomplete", "incomplete", "max_completion_tokens"),
        ("stuck", "expired", None),
    ],
)
async def test_a_run_fails_expires_or_is_incomplete(
    client: AsyncOpenAI, scenario: str, status: str, reason: str | None
) -> None:
    assistant = await make_assistant(client)
    thread = await make_thread(client, "Hello")
    run = check_object(
        await client.beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=assistant.id, metadata={"emulator": scenario}, poll_interval_ms=0
        )
    )
    details = run.incomplete_details and run.incomplete_details.reason
    assert (run.status, (run.last_error and run.last_error.code) or details) == (status, reason)
    check_page(await client.beta.threads.messages.list(thread.id))
    check_page(await client.beta.threads.runs.steps.list(run.id, thread_id=thread.id))


async def test_a_run_is_cancelled_and_changed(client: AsyncOpenAI) -> None:
    runs = client.beta.threads.runs
    assistant = await make_assistant(client)
    thread = await make_thread(client, "Hello")
    made = check_object(
        await runs.create(
            thread.id,
            assistant_id=assistant.id,
            additional_messages=[{"role": "user", "content": "Are you there?"}],
            metadata={"emulator": "slow"},
        )
    )
    with pytest.raises(openai.BadRequestError, match=f"already has an active run {made.id}"):
        await runs.create(thread.id, assistant_id=assistant.id)
    with pytest.raises(openai.BadRequestError, match=f"while a run {made.id} is active"):
        await client.beta.threads.messages.create(thread.id, role="user", content="And now?")
    cancelling = check_object(await runs.cancel(made.id, thread_id=thread.id))
    assert (cancelling.status, cancelling.cancelled_at) == ("cancelling", None)
    cancelled = await poll(client, made)
    assert cancelled.status == "cancelled"
    assert cancelled.cancelled_at is not None
    with pytest.raises(openai.BadRequestError, match="Cannot cancel run with status 'cancelled'"):
        await runs.cancel(made.id, thread_id=thread.id)
    changed = check_object(await runs.update(made.id, thread_id=thread.id, metadata={"why": "slow"}))
    assert changed == cancelled.model_copy(update={"metadata": {"why": "slow"}})
    assert check_page(await runs.list(thread.id)) == [changed]


async def test_a_thread_and_its_run_are_created_in_one_call(client: AsyncOpenAI) -> None:
    assistant = await make_assistant(client)
    run = check_object(
        await client.beta.threads.create_and_run_poll(
            assistant_id=assistant.id,
            thread={"messages": [{"role": "user", "content": "Hello"}], "metadata": {"from": "one call"}},
            metadata={"emulator": "refusal"},
            poll_interval_ms=0,
        )
    )
    assert run.status == "completed"
    assert check_object(await client.beta.threads.retrieve(run.thread_id)).metadata == {"from": "one call"}
    (newest,) = check_page(await client.beta.threads.messages.list(run.thread_id, limit=1))
    assert [part.type for part in newest.content] == ["refusal"]
