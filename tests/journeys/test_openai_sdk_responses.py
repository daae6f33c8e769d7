"""Tests that the newest official SDK drives the emulator's responses unchanged."""

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import (
    ResponseFileSearchToolCall,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
)

from tests.support.emulator import Emulator
from tests.support.openai_responses import (
    MODEL,
    WEATHER,
    check_events,
    check_response,
    emulator,
    names_of,
    slow_client,
    slow_emulator,
)
from tests.support.openai_sdk import check_object, client

__all__ = ["client", "emulator", "slow_client", "slow_emulator"]


async def test_a_response_in_the_foreground_adds_its_items_to_the_conversation(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    response = check_response(
        await client.responses.create(
            model=MODEL, conversation=conversation.id, input="What is a heron?", instructions="Be brief."
        )
    )
    assert response.status == "completed"
    assert response.conversation is not None
    assert response.conversation.id == conversation.id
    assert "What is a heron?" in response.output_text
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    items = [check_object(item) async for item in client.conversations.items.list(conversation.id, order="asc")]
    assert [item.id for item in items[1:]] == [item.id for item in response.output]
    inputs = [check_object(item) async for item in client.responses.input_items.list(response.id)]
    assert [item.id for item in inputs] == [items[0].id]
    assert check_response(await client.responses.retrieve(response.id)) == response


async def test_a_background_response_is_polled(slow_emulator: Emulator, slow_client: AsyncOpenAI) -> None:
    queued = check_response(await slow_client.responses.create(model=MODEL, input="Hi?", background=True, store=True))
    assert (queued.status, queued.output) == ("queued", [])
    slow_emulator.clock.advance(1.0)
    assert check_response(await slow_client.responses.retrieve(queued.id)).status == "in_progress"
    slow_emulator.clock.advance(60)
    assert check_response(await slow_client.responses.retrieve(queued.id)).status == "completed"


async def test_a_foreground_response_cannot_be_cancelled(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model=MODEL, input="Hi?")
    with pytest.raises(openai.BadRequestError, match=r"Cannot cancel a synchronous response."):
        await client.responses.cancel(response.id)


async def test_a_response_continues_the_previous_one(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model=MODEL, input="Weather in Kyoto?", tools=[WEATHER])
    call = first.output[0]
    assert isinstance(call, ResponseFunctionToolCall)
    second = check_response(
        await client.responses.create(
            model=MODEL,
            previous_response_id=first.id,
            input=[{"type": "function_call_output", "call_id": call.call_id, "output": "22 °C"}],
            tools=[WEATHER],
        )
    )
    assert second.previous_response_id == first.id
    assert "get_weather: 22 °C" in second.output_text


async def test_a_file_search_shows_its_results_on_request(client: AsyncOpenAI) -> None:
    response = check_response(
        await client.responses.create(
            model=MODEL,
            input="What does the handbook say?",
            tools=[{"type": "file_search", "vector_store_ids": ["vs_handbook"], "max_num_results": 3}],
            include=["file_search_call.results"],
        )
    )
    search, message = response.output
    assert isinstance(search, ResponseFileSearchToolCall)
    assert search.queries == ["What does the handbook say?"]
    assert search.results
    assert isinstance(message, ResponseOutputMessage)
    text = message.content[0]
    assert text.type == "output_text"
    assert "【" not in text.text
    assert [note.type for note in text.annotations] == ["file_citation"]
    plain = await client.responses.retrieve(response.id)
    assert isinstance(plain.output[0], ResponseFileSearchToolCall)
    assert plain.output[0].results is None
    stream = await client.responses.create(
        model=MODEL, input="Again?", stream=True, tools=[{"type": "file_search", "vector_store_ids": ["vs_handbook"]}]
    )
    events = [event async for event in stream]
    check_events(events)
    assert names_of(events)[2:7] == [
        "response.output_item.added",
        "response.file_search_call.in_progress",
        "response.file_search_call.searching",
        "response.file_search_call.completed",
        "response.output_item.done",
    ]
    assert "response.output_text.annotation.added" in names_of(events)


async def test_what_does_not_exist_is_refused_in_the_apis_words(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=r"Response with id 'resp_none' not found."):
        await client.responses.retrieve("resp_none")
    with pytest.raises(openai.NotFoundError, match=r"Conversation with id 'conv_none' not found."):
        await client.responses.create(model=MODEL, input="Hi?", conversation="conv_none")
    with pytest.raises(openai.BadRequestError, match=r"Previous response with id 'resp_none' not found.") as refused:
        await client.responses.create(model=MODEL, input="Hi?", previous_response_id="resp_none")
    assert refused.value.code == "previous_response_not_found"
    with pytest.raises(openai.BadRequestError, match=r"Expected an ID that begins with 'conv'."):
        await client.responses.create(model=MODEL, input="Hi?", conversation="thread_1")


async def test_a_conversation_excludes_a_previous_response(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    response = await client.responses.create(model=MODEL, input="Hi?")
    with pytest.raises(openai.BadRequestError, match="Mutually exclusive parameters"):
        await client.responses.create(
            model=MODEL, input="Hi?", conversation=conversation.id, previous_response_id=response.id
        )


async def test_two_responses_without_a_conversation_run_at_once(client: AsyncOpenAI) -> None:
    answers = await asyncio.gather(*(client.responses.create(model=MODEL, input=f"{one}?") for one in range(3)))
    assert [answer.status for answer in answers] == ["completed"] * 3


async def test_the_tokens_of_an_input_are_counted_before_it_is_sent(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create(items=[{"role": "user", "content": "What is a heron?"}])
    options: Any = {
        "conversation": conversation.id,
        "input": "And where?",
        "tools": [WEATHER],
        "instructions": "Brief.",
    }
    counted = check_object(await client.responses.input_tokens.count(**options))
    response = await client.responses.create(model=MODEL, **options)
    assert response.usage is not None
    assert counted.input_tokens == response.usage.input_tokens
    alone = await client.responses.input_tokens.count(input="And where?")
    assert alone.input_tokens < counted.input_tokens
