"""Tests that the newest official SDK drives the emulator's conversations unchanged."""

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import (
    ResponseFunctionToolCall,
)

from tests.support.emulator import Emulator
from tests.support.openai_responses import (
    MODEL,
    WEATHER,
    check_response,
    emulator,
    slow_client,
    slow_emulator,
)
from tests.support.openai_sdk import check_object, client, openai_client

__all__ = ["client", "emulator", "slow_client", "slow_emulator"]


async def test_a_conversation_is_created_read_changed_and_deleted(client: AsyncOpenAI) -> None:
    made = check_object(
        await client.conversations.create(
            items=[{"role": "user", "content": "Hello"}, {"type": "message", "role": "assistant", "content": "Hi!"}],
            metadata={"title": "First"},
        )
    )
    assert made.id.startswith("conv_")
    assert check_object(await client.conversations.retrieve(made.id)) == made
    changed = await client.conversations.update(made.id, metadata={"title": "Second"})
    assert (changed.id, changed.metadata) == (made.id, {"title": "Second"})
    deleted = check_object(await client.conversations.delete(made.id))
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "conversation.deleted")
    with pytest.raises(openai.NotFoundError, match=f"Conversation with id '{made.id}' not found."):
        await client.conversations.retrieve(made.id)


async def test_items_are_created_listed_read_and_deleted(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    added = await client.conversations.items.create(
        conversation.id,
        items=[{"role": "user", "content": f"Question {number}"} for number in range(1, 4)],
    )
    assert [check_object(item).type for item in added.data] == ["message"] * 3
    assert (added.first_id, added.last_id, added.has_more) == (added.data[0].id, added.data[2].id, False)
    newest_first = [check_object(item) async for item in client.conversations.items.list(conversation.id, limit=2)]
    assert [item.id for item in newest_first] == [item.id for item in reversed(added.data)]
    first, second = added.data[0].id, added.data[1].id
    assert first is not None
    assert second is not None
    page = await client.conversations.items.list(conversation.id, order="asc", limit=1, after=first)
    assert ([item.id for item in page.data], page.has_more) == ([second], True)
    read = check_object(await client.conversations.items.retrieve(second, conversation_id=conversation.id))
    assert read == added.data[1]
    kept = check_object(await client.conversations.items.delete(second, conversation_id=conversation.id))
    assert kept == conversation
    with pytest.raises(openai.NotFoundError, match=f"Item with id '{second}' not found."):
        await client.conversations.items.retrieve(second, conversation_id=conversation.id)


async def test_a_conversation_and_a_thread_are_different_objects(emulator: Emulator, client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    thread = await emulator.post("/threads")
    with pytest.raises(openai.BadRequestError):
        await client.conversations.retrieve(thread["id"])
    async with emulator.session.get(
        f"{emulator.url}/threads/{conversation.id}",
        headers={"Authorization": f"Bearer {client.api_key}", "OpenAI-Beta": "assistants=v2"},
    ) as reply:
        assert reply.status == 400


async def test_each_key_sees_its_own_conversations_only(emulator: Emulator, client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    response = await client.responses.create(model=MODEL, input="Hi?")
    async with openai_client(emulator, key="another") as other:
        for read in (other.conversations.retrieve(conversation.id), other.responses.retrieve(response.id)):
            with pytest.raises(openai.NotFoundError):
                await read


async def test_a_second_response_on_a_busy_conversation_is_refused(
    slow_emulator: Emulator, slow_client: AsyncOpenAI
) -> None:
    conversation = await slow_client.conversations.create()
    body: dict[str, Any] = {"model": MODEL, "conversation": conversation.id, "background": True, "store": True}
    await slow_client.responses.create(input="One?", **body)
    with pytest.raises(openai.BadRequestError) as refused:
        await slow_client.responses.create(input="Two?", **body)
    assert (refused.value.code, refused.value.param) == ("conversation_locked", "conversation")
    with pytest.raises(openai.BadRequestError, match="Another process is currently operating"):
        await slow_client.conversations.items.create(conversation.id, items=[{"role": "user", "content": "Two?"}])
    slow_emulator.clock.advance(60)
    assert (await slow_client.responses.create(input="Two?", **body)).status == "queued"


async def test_functions_are_called_and_their_outputs_go_on_in_the_conversation(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    body: dict[str, Any] = {"model": MODEL, "conversation": conversation.id, "tools": [WEATHER]}
    first = check_response(await client.responses.create(input="Weather in Kyoto?", **body))
    assert first.status == "completed"
    (call,) = first.output
    assert isinstance(call, ResponseFunctionToolCall)
    with pytest.raises(openai.BadRequestError, match=f"No tool output found for function call {call.call_id}."):
        await client.responses.create(input="Never mind.", **body)
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "22 °C"}
    second = check_response(await client.responses.create(input=[output], **body))
    assert "22 °C" in second.output_text
    items = [check_object(item) async for item in client.conversations.items.list(conversation.id, order="asc")]
    assert [item.type for item in items] == ["message", "function_call", "function_call_output", "message"]


async def test_an_open_call_is_answered_by_an_item_too(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    body: dict[str, Any] = {"model": MODEL, "conversation": conversation.id}
    first = await client.responses.create(input="Weather in Kyoto?", tools=[WEATHER], **body)
    call = first.output[0]
    assert isinstance(call, ResponseFunctionToolCall)
    await client.conversations.items.create(
        conversation.id, items=[{"type": "function_call_output", "call_id": call.call_id, "output": "cancelled"}]
    )
    assert (await client.responses.create(input="Never mind.", **body)).status == "completed"


async def test_a_deleted_response_is_gone_and_its_items_stay(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    response = await client.responses.create(model=MODEL, input="Hi?", conversation=conversation.id)
    await client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(response.id)
    items = await client.conversations.items.list(conversation.id)
    assert len(items.data) == 2
