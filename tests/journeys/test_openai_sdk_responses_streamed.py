"""Tests that the newest official SDK reads the emulator's streams of responses, and reads them on."""

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.types.responses import (
    ResponseCodeInterpreterToolCall,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
)

from tests.support.emulator import Emulator
from tests.support.openai_responses import (
    MODEL,
    PLAIN_ANSWER,
    WEATHER,
    check_events,
    check_response,
    emulator,
    names_of,
    slow_client,
    slow_emulator,
)
from tests.support.openai_sdk import client

__all__ = ["client", "emulator", "slow_client", "slow_emulator"]


async def test_a_streamed_answer_has_its_events_in_order(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model=MODEL, input="What is a heron?", stream=True)
    events = [event async for event in stream]
    check_events(events)
    assert names_of(events) == ["response.created", "response.in_progress", *PLAIN_ANSWER]
    last = events[-1]
    assert last.type == "response.completed"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == last.response.output_text
    assert await client.responses.retrieve(last.response.id) == last.response


async def test_the_helper_of_the_sdk_puts_a_streamed_answer_together(client: AsyncOpenAI) -> None:
    async with client.responses.stream(model=MODEL, input="Weather in Kyoto?", tools=[WEATHER]) as stream:
        names = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert names[-1] == "response.completed"
    (call,) = final.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.name, call.arguments) == ("get_weather", '{"city":"Kyoto"}')


async def test_a_background_response_is_left_and_read_on_behind_a_sequence_number(
    slow_emulator: Emulator, slow_client: AsyncOpenAI
) -> None:
    clock = slow_emulator.clock
    stream = await slow_client.responses.create(
        model=MODEL, input="What is a heron?", background=True, stream=True, store=True
    )
    first = [await anext(stream), await anext(stream)]
    assert names_of(first) == ["response.created", "response.queued"]
    assert first[0].type == "response.created"
    assert first[0].response.status == "queued"
    response_id = first[0].response.id
    clock.advance(1.0)
    first.append(await anext(stream))
    await stream.close()
    clock.advance(60)
    resumed = await slow_client.responses.retrieve(response_id, stream=True, starting_after=2)
    rest = [event async for event in resumed]
    check_events(rest, first=3)
    assert names_of([*first, *rest]) == [
        "response.created",
        "response.queued",
        "response.in_progress",
        *PLAIN_ANSWER,
    ]
    whole = [event async for event in await slow_client.responses.retrieve(response_id, stream=True)]
    assert whole == [*first, *rest]


async def test_a_background_response_is_cancelled_and_keeps_its_text(
    slow_emulator: Emulator, slow_client: AsyncOpenAI
) -> None:
    conversation = await slow_client.conversations.create()
    stream = await slow_client.responses.create(
        model=MODEL, input="What is a heron?", conversation=conversation.id, background=True, stream=True, store=True
    )
    created = await anext(stream)
    assert created.type == "response.created"
    slow_emulator.clock.advance(1.5)
    cancelled = check_response(await slow_client.responses.cancel(created.response.id))
    (message,) = cancelled.output
    assert isinstance(message, ResponseOutputMessage)
    assert (cancelled.status, message.status) == ("cancelled", "incomplete")
    rest = [event async for event in stream]
    assert rest[-1].type == "response.output_text.delta"
    assert await slow_client.responses.cancel(created.response.id) == cancelled
    items = await slow_client.conversations.items.list(conversation.id)
    assert items.data[0].id == message.id


async def test_leaving_a_foreground_stream_ends_the_response(slow_emulator: Emulator, slow_client: AsyncOpenAI) -> None:
    conversation = await slow_client.conversations.create()
    stream = await slow_client.responses.create(
        model=MODEL, input="What is a heron?", conversation=conversation.id, stream=True
    )
    created = await anext(stream)
    assert created.type == "response.created"
    slow_emulator.clock.advance(1.5)
    await stream.close()
    response = await slow_client.responses.retrieve(created.response.id)
    while response.status == "in_progress":
        # The server has not seen yet that its client left.
        response = await slow_client.responses.retrieve(created.response.id)
    assert response.status == "cancelled"
    (message,) = response.output
    assert isinstance(message, ResponseOutputMessage)
    assert message.status == "incomplete"
    # The conversation is free again.
    await slow_client.conversations.items.create(conversation.id, items=[{"role": "user", "content": "Still there?"}])


async def test_leaving_a_foreground_response_without_a_stream_ends_it_too(
    slow_emulator: Emulator, slow_client: AsyncOpenAI
) -> None:
    asked = slow_client.responses.create(model=MODEL, input="Hi?", metadata={"emulator": "stuck"})
    waiting = asyncio.create_task(asked)
    url = f"{slow_emulator.root_url}/openai/v1/responses"
    statuses: list[str] = []
    while statuses != ["cancelled"]:
        async with slow_emulator.session.get(url, headers={"api-key": slow_client.api_key}) as reply:
            statuses = [response["status"] for response in (await reply.json())["data"]]
        if statuses == ["in_progress"]:
            waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()


async def test_a_refusal_is_streamed(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model=MODEL, input="No!", metadata={"emulator": "refusal"}, stream=True)
    events = [event async for event in stream]
    check_events(events)
    assert names_of(events)[2:6] == [
        "response.output_item.added",
        "response.content_part.added",
        "response.refusal.delta",
        "response.refusal.done",
    ]


@pytest.mark.parametrize(
    ("scenario", "status", "last"),
    [
        ("fail", "failed", "response.failed"),
        ("rate_limit", "failed", "response.failed"),
        ("incomplete", "incomplete", "response.incomplete"),
        ("tool_error", "failed", "response.failed"),
    ],
)
async def test_a_response_that_does_not_complete_says_why(
    client: AsyncOpenAI, scenario: str, status: str, last: str
) -> None:
    stream = await client.responses.create(
        model=MODEL, input="What is a heron?", metadata={"emulator": scenario}, stream=True
    )
    events = [event async for event in stream]
    check_events(events)
    ended: Any = events[-1]
    assert (ended.type, ended.response.status) == (last, status)
    if status == "failed":
        assert ended.response.error.code in {"server_error", "rate_limit_exceeded"}
    else:
        assert ended.response.incomplete_details.reason == "max_output_tokens"


async def test_the_code_interpreter_writes_code_with_outputs_and_files(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(
        model=MODEL,
        input="Draw a chart, and give me the table as a file.",
        tools=[{"type": "code_interpreter", "container": {"type": "auto"}}],
        include=["code_interpreter_call.outputs"],
        stream=True,
    )
    events = [event async for event in stream]
    check_events(events)
    assert names_of(events)[2:10] == [
        "response.output_item.added",
        "response.code_interpreter_call.in_progress",
        "response.code_interpreter_call_code.delta",
        "response.code_interpreter_call_code.done",
        "response.code_interpreter_call.interpreting",
        "response.code_interpreter_call.completed",
        "response.output_item.done",
        "response.output_item.added",
    ]
    last = events[-1]
    assert last.type == "response.completed"
    code, message = last.response.output
    assert isinstance(code, ResponseCodeInterpreterToolCall)
    assert [output.type for output in code.outputs or []] == ["logs", "image"]
    assert isinstance(message, ResponseOutputMessage)
    text = message.content[0]
    assert text.type == "output_text"
    files = [note for note in text.annotations if note.type == "container_file_citation"]
    assert [note.filename for note in files] == ["chart.png", "result.csv"]
    assert {note.container_id for note in files} == {code.container_id}
    assert text.text[files[1].start_index : files[1].end_index] == "sandbox:/mnt/data/result.csv"
    assert (await client.files.retrieve(files[1].file_id)).filename == "result.csv"
