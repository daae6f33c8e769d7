"""Tests of the viewer's list over databases: writes, runs and deletions are shown, searched and summed up."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.gateway import Gateway
from tests.support.mutations import WEATHER, assistant, refusal, succeed
from tests.support.record_gateways import (
    USAGE,
    VIEWER_EVENTS,
    database_url,
    eventually,
    record_gateway,
    threads,
    titles,
    waiting,
)
from tests.support.signed_in import (
    UserClient,
    ann,
    bob,
)
from tests.support.subscription_clients import open_socket

__all__ = ["ann", "bob", "database_url"]  # fixtures

QUESTION = "When was the lighthouse\n of  Alexandria built, and by whom?"


@pytest.fixture
async def gateway(emulator: Emulator, database_url: str) -> AsyncIterator[Gateway]:
    async with record_gateway(emulator, database_url) as gateway:
        yield gateway


async def create(client: UserClient, *texts: str, **fields: Any) -> str:
    """Create a thread with messages, and return its upstream id."""
    messages = [{"content": [{"text": text}]} for text in texts]
    made = await succeed(client, "createThread", "thread { upstreamId }", messages=messages, **fields)
    thread_id: str = made["thread"]["upstreamId"]
    return thread_id


async def test_threads_are_listed_titled_renamed_archived_and_deleted(
    emulator: Emulator, ann: UserClient, bob: UserClient
) -> None:
    first = await create(ann, QUESTION)
    emulator.clock.advance(1)
    second = await create(ann, "Hello", title="Greetings")
    await eventually(lambda: titles(ann), ["Greetings", "When was the lighthouse of Alexandria built, and by whom?"])
    assert await titles(bob) == []
    renamed = await succeed(ann, "updateThread", "thread { title }", threadId=first, title="Lighthouses")
    assert renamed["thread"]["title"] == "Lighthouses"
    await succeed(ann, "updateThread", "thread { isArchived }", threadId=second, isArchived=True)
    await eventually(lambda: titles(ann), ["Lighthouses"])
    await eventually(lambda: titles(ann, isArchived=True), ["Greetings"])
    await eventually(lambda: titles(ann, isArchived=None), ["Greetings", "Lighthouses"])
    assert (await refusal(bob, "updateThread", threadId=first, title="Mine"))["code"] == "NOT_FOUND"
    await succeed(ann, "updateThread", "thread { title }", threadId=first, title=None)
    await eventually(lambda: titles(ann), ["When was the lighthouse of Alexandria built, and by whom?"])
    await succeed(ann, "deleteThread", "deletedId", threadId=first)
    await eventually(lambda: titles(ann, isArchived=None), ["Greetings"])


async def test_titles_and_messages_that_passed_are_found_by_their_owner_alone(ann: UserClient, bob: UserClient) -> None:
    first = await create(ann, "Tell me of Alexandria")
    await create(bob, "Alexandria, too")
    await create(ann, "Something else")
    await succeed(ann, "createMessage", "message { id }", threadId=first, content=[{"text": "And of the Pharos tower"}])
    await eventually(lambda: titles(ann, text="pharos"), ["Tell me of Alexandria"])
    await eventually(lambda: titles(ann, text="ALEXANDRIA tell"), ["Tell me of Alexandria"])
    await eventually(lambda: titles(bob, text="alexandria"), ["Alexandria, too"])
    assert await titles(bob, text="pharos") == []


async def test_a_deleted_message_takes_its_text_and_the_title_that_it_gave_out_at_once(ann: UserClient) -> None:
    thread_id = await create(ann)
    made = [
        await succeed(ann, "createMessage", "message { id }", threadId=thread_id, content=[{"text": text}])
        for text in ("A secret", "Another word")
    ]
    await eventually(lambda: titles(ann, text="secret"), ["A secret"])
    await succeed(ann, "deleteMessage", "deletedId", messageId=made[0]["message"]["id"])
    assert await titles(ann, text="secret") == []
    assert "A secret" not in await titles(ann)
    # The next read of the thread shows which message is the first one now.
    await ann.data("query ($id: ID!) { thread(id: $id) { messages(first: 5) { nodes { text } } } }", {"id": thread_id})
    await eventually(lambda: titles(ann), ["Another word"])


async def run_to_its_end(emulator: Emulator, client: UserClient, thread_id: str, **options: Any) -> str:
    """Start a run, let it end, and return its upstream id."""
    made = await succeed(
        client,
        "createRun",
        "run { id upstreamId }",
        threadId=thread_id,
        assistantId=await assistant(emulator, **options),
    )
    emulator.clock.advance(LONG_SECONDS)
    run_id: str = made["run"]["upstreamId"]
    return run_id


async def test_a_run_brings_activity_its_answer_s_words_and_its_usage(
    emulator: Emulator, ann: UserClient, bob: UserClient
) -> None:
    thread_id = await create(ann, "First")
    await create(ann, "Second")
    run_id = await run_to_its_end(emulator, ann, thread_id)
    run = await emulator.get(f"/threads/{thread_id}/runs/{run_id}")

    async def usage_of_first() -> object:
        return next(thread["usage"]["totalTokens"] for thread in await threads(ann))

    await eventually(usage_of_first, run["usage"]["total_tokens"])
    assert [thread["title"] for thread in await threads(ann)] == ["First", "Second"]
    total = (await ann.data(USAGE))["viewer"]["usage"]
    assert total["totalTokens"] == run["usage"]["total_tokens"]
    assert (await bob.data(USAGE))["viewer"]["usage"]["totalTokens"] == 0
    (answer,) = (await emulator.get(f"/threads/{thread_id}/messages?limit=1"))["data"]
    word = max(answer["content"][0]["text"]["value"].split(), key=len).strip(".,:;!?\"'()")
    await eventually(lambda: titles(ann, text=word), ["First"])


async def test_a_waiting_run_is_in_the_inbox_until_it_is_answered(
    emulator: Emulator, ann: UserClient, bob: UserClient
) -> None:
    thread_id = await create(ann, "What is the weather?")
    async with open_socket(ann, key="ann") as socket:
        reader = await socket.subscribe(VIEWER_EVENTS)
        run_id = await run_to_its_end(emulator, ann, thread_id, tools=[WEATHER])
        await reader.wait_for_event("RunStatusChange", status="REQUIRES_ACTION")
        await eventually(lambda: waiting(ann), [run_id])
        await eventually(lambda: waiting(bob), [])
        run = await emulator.get(f"/threads/{thread_id}/runs/{run_id}")
        (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        await succeed(
            ann,
            "submitToolOutputs",
            "run { status }",
            runId=to_global_id(RunKey(thread_id, run_id)),
            toolOutputs=[{"callId": call["id"], "output": "Rain"}],
        )
        await eventually(lambda: waiting(ann), [])
        emulator.clock.advance(LONG_SECONDS)
        await reader.wait_for_event("RunStatusChange", status="COMPLETED")
        statuses = [event["status"] for event in reader.of_type("RunStatusChange")]
        assert statuses.count("REQUIRES_ACTION") == 1
        assert [event["previous"] for event in reader.of_type("RunStatusChange")] == [None, *statuses[:-1]]


async def test_an_admin_reads_and_writes_every_record_by_id_and_lists_their_own(
    emulator: Emulator, gateway: Gateway, ann: UserClient
) -> None:
    root = UserClient(gateway, "root")
    thread_id = await create(ann, "Ann's")
    document = "query ($id: ID!) { thread(id: $id) { title isArchived } }"
    await eventually(lambda: titles(ann), ["Ann's"])
    assert (await root.data(document, {"id": thread_id}))["thread"] == {"title": "Ann's", "isArchived": False}
    await succeed(root, "updateThread", "thread { title }", threadId=thread_id, title="Looked at")
    await eventually(lambda: titles(ann), ["Looked at"])
    assert await titles(root) == []
    assert (await root.data("{ viewer { roles subject } }"))["viewer"] == {"roles": ["ADMIN"], "subject": "root"}
    orphan = (await emulator.post("/threads"))["id"]
    assert (await root.data(document, {"id": orphan}))["thread"] == {"title": None, "isArchived": None}
    fault = await refusal(root, "updateThread", threadId=orphan, title="Nobody's")
    assert "belongs to nobody" in fault["message"]


async def test_with_titles_alone_no_word_of_a_message_is_kept_or_stays(emulator: Emulator, database_url: str) -> None:
    async with record_gateway(emulator, database_url) as gateway:
        ann = UserClient(gateway, "ann")
        thread_id = await create(ann, "Before")
        await succeed(ann, "createMessage", "message { id }", threadId=thread_id, content=[{"text": "A secret"}])
        await eventually(lambda: titles(ann, text="secret"), ["Before"])
    async with record_gateway(emulator, database_url, gateway_ledger_text="titles") as gateway:
        ann = UserClient(gateway, "ann")
        await eventually(lambda: titles(ann, text="secret"), [])
        await succeed(ann, "createMessage", "message { id }", threadId=thread_id, content=[{"text": "Another one"}])
        emulator.clock.advance(1)
        await create(ann, "After")
        await eventually(lambda: titles(ann), ["After", "Before"])
        assert await titles(ann, text="another") == []
        await eventually(lambda: titles(ann, text="before"), ["Before"])
