"""Tests of the objects that users of one gateway share or never share, and of the owner of a new thread."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS, RUN_EVENTS, StartedRun, messages_of_run, statuses
from tests.support.fake_ownership import FakeOwnership
from tests.support.gateway import Gateway
from tests.support.mutations import assistant, succeed
from tests.support.signed_in import (
    Ids,
    UserClient,
    ann,
    bob,
    create_conversation,
    owner,
    root,
    signed_in_gateway,
)
from tests.support.subscription_clients import open_socket, open_stream
from tests.support.subscription_gateway import until

__all__ = ["ann", "bob", "root"]  # fixtures

pytestmark = pytest.mark.usefixtures("shared_clock")

CONVERSATION = """query ($thread: ID!) { thread(id: $thread) { metadata messages(last: 10) { nodes { role text
    run { status assistant { name instructions } steps { nodes { type } } } } } } }"""
MESSAGES = "query ($thread: ID!, $after: String) { thread(id: $thread) { messages(first: 1, after: $after) { %s } } }"
CREATE = "mutation { createThread(input: {}) { thread { id } } }"
START = """mutation ($assistant: ID!) { createThreadAndRun(input: {
    assistantId: $assistant, thread: {messages: [{content: [{text: "Hello"}]}]} }) { run { id } } }"""


@pytest.fixture
def ownership() -> FakeOwnership:
    return FakeOwnership()


@pytest.fixture
async def gateway(emulator: Emulator, ownership: FakeOwnership) -> AsyncIterator[Gateway]:
    async with signed_in_gateway(emulator, ownership) as gateway:
        yield gateway


@pytest.fixture
async def anns(emulator: Emulator, ann: UserClient) -> Ids:
    return await create_conversation(emulator, ann)


def conversation(answer: Any) -> Any:
    """Return an answer to `CONVERSATION` without the instructions, and those apart."""
    instructions = set()
    for node in answer["thread"]["messages"]["nodes"]:
        if node["run"] is not None:
            instructions.add(node["run"]["assistant"].pop("instructions"))
    return answer, instructions


@pytest.mark.parametrize("first", ["ann", "root"])
async def test_an_owner_and_an_admin_share_what_is_read_and_each_sees_what_they_may(
    emulator: Emulator, gateway: Gateway, anns: Ids, first: str
) -> None:
    emulator.clock.advance(86_400)
    second = "root" if first == "ann" else "ann"
    thread = {"thread": anns.global_ids["thread"]}
    seen, calls = {}, []
    for name in (first, second, first, second):
        emulator.counts.reset()
        seen[name] = conversation(await UserClient(gateway, name).data(CONVERSATION, thread))
        calls.append(emulator.counts.total)
    assert calls[0] > 0
    assert calls[1:] == [0, 0, 0]
    assert seen["ann"][0] == seen["root"][0]
    assert (seen["ann"][1], seen["root"][1]) == ({None}, {"Be brief."})


async def test_an_admin_reads_and_writes_every_thread_and_its_owner_sees_it_at_once(
    emulator: Emulator, anns: Ids, ann: UserClient, root: UserClient
) -> None:
    thread_id = anns.global_ids["thread"]
    await ann.data(CONVERSATION, {"thread": thread_id})
    await succeed(root, "updateThread", "thread { id }", threadId=thread_id, metadata={"seen": "by root"})
    await succeed(root, "createMessage", "message { id }", threadId=thread_id, content=[{"text": "From root"}])
    answer = await ann.data(CONVERSATION, {"thread": thread_id})
    assert answer["thread"]["metadata"] == {"seen": "by root"}
    assert answer["thread"]["messages"]["nodes"][-1]["text"] == "From root"
    # A thread that no ledger knows, too.
    orphan = await emulator.post("/threads", {"metadata": {"a": "b"}})
    answer = await root.data("query ($id: ID!) { thread(id: $id) { metadata } }", {"id": orphan["id"]})
    assert answer == {"thread": {"metadata": {"a": "b"}}}
    assert (await ann.execute("query ($id: ID!) { thread(id: $id) { metadata } }", {"id": orphan["id"]}))["data"] == {
        "thread": None
    }


async def test_an_owner_and_an_admin_follow_one_run_by_one_stream(
    emulator: Emulator, ann: UserClient, bob: UserClient, root: UserClient
) -> None:
    started = await ann.data(START, {"assistant": await assistant(emulator)})
    run_id = started["createThreadAndRun"]["run"]["id"]
    async with open_socket(ann, key="ann") as anns_socket, open_socket(root, key="root") as roots_socket:
        readers = [await socket.subscribe(RUN_EVENTS, run=run_id) for socket in (anns_socket, roots_socket)]
        for reader in readers:
            await reader.wait_for_event("RunSnapshot")
        emulator.clock.advance(LONG_SECONDS)
        events = [await reader.wait_for_completion() for reader in readers]
        assert events[0] == events[1]
        assert statuses(events[0]) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
        cursor = events[0][1]["cursor"]
    assert set(emulator.counts.by_operation) == {"createAssistant", "createThreadAndRun"}
    emulator.counts.reset()
    async with open_stream(root, RUN_EVENTS, key="root", last_event_id=cursor, run=run_id) as reader:
        assert await reader.wait_for_completion() == events[0][2:]
    for variables in ({"run": run_id}, {"run": run_id, "after": cursor}):
        async with open_socket(bob, key="bob") as socket:
            refused = await (await socket.subscribe(RUN_EVENTS, **variables)).wait_for_end()
        assert refused.error_codes == ["NOT_FOUND"]
    answer = await bob.post(
        {"query": RUN_EVENTS, "variables": {"run": run_id}},
        headers={**bob.authorization, "Accept": "text/event-stream", "Last-Event-ID": cursor},
    )
    assert b"NOT_FOUND" in answer.body
    assert b"Hello" not in answer.body
    assert emulator.counts.total == 0


async def test_a_cursor_of_anothers_list_or_log_is_none_of_ones_own(
    emulator: Emulator, anns: Ids, ann: UserClient, bob: UserClient
) -> None:
    bobs = await create_conversation(emulator, bob)
    page = await ann.data(MESSAGES % "edges { cursor }", {"thread": anns.global_ids["thread"]})
    cursor = page["thread"]["messages"]["edges"][0]["cursor"]
    async with open_stream(ann, RUN_EVENTS, key="ann", run=anns.global_ids["run"]) as reader:
        event_cursor = (await reader.wait_for_completion())[0]["cursor"]
    emulator.counts.reset()
    answer = await bob.execute(MESSAGES % "nodes { text }", {"thread": bobs.global_ids["thread"], "after": cursor})
    async with open_socket(bob, key="bob") as socket:
        followed = await socket.subscribe(RUN_EVENTS, run=bobs.global_ids["run"], after=event_cursor)
        errors = [*answer["errors"], *((await followed.wait_for_end()).errors or ())]
    assert [error["extensions"]["code"] for error in errors] == ["BAD_USER_INPUT"] * 2
    assert anns.thread not in json.dumps(errors)
    assert not [request for request in emulator.counts.log if anns.thread in request.path]


async def test_a_thread_is_its_creators_although_they_left_before_the_answer(
    emulator: Emulator, ownership: FakeOwnership, ann: UserClient
) -> None:
    variables = {"assistant": await assistant(emulator)}
    emulator.misbehave("createThreadAndRun:latency=300ms")
    leaving = asyncio.create_task(ann.data(START, variables))
    await until(lambda: bool(ownership.intents))
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    (intent,) = ownership.intents
    assert intent.object_id is None

    def is_recorded() -> bool:
        emulator.clock.advance(0.1)  # the delay of the answer, which begins when the request has arrived
        return intent.object_id is not None

    await until(is_recorded)
    assert ownership.owners == {intent.object_id: owner("ann")}


async def test_a_create_whose_outcome_is_unknown_leaves_an_intent_and_a_thread_that_nobody_reaches(
    emulator: Emulator, ownership: FakeOwnership, ann: UserClient
) -> None:
    emulator.misbehave("createThread:reset:when=after")
    (error,) = (await ann.execute(CREATE))["errors"]
    assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("UPSTREAM_UNREACHABLE", False)
    (intent,) = ownership.intents
    assert (intent.object_id, intent.is_discarded) == (None, False)
    emulator.misbehave("createThread:429")
    (error,) = (await ann.execute(CREATE))["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert ownership.intents[1].is_discarded
    assert ownership.owners == {}


async def test_without_the_ledger_nothing_is_read_or_written_and_the_error_is_retryable(
    emulator: Emulator, ownership: FakeOwnership, anns: Ids, ann: UserClient, root: UserClient
) -> None:
    ownership.is_down = True
    delete = "mutation ($thread: ID!) { deleteThread(input: {threadId: $thread}) { deletedId } }"
    for user in (ann, root):
        for document in (CONVERSATION, delete, CREATE):
            variables = {"thread": anns.global_ids["thread"]} if "$thread" in document else None
            (error,) = (await user.execute(document, variables))["errors"]
            assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("LEDGER_UNAVAILABLE", True)
    assert emulator.counts.total == 0


async def test_a_thread_that_its_owner_deleted_is_as_one_that_never_existed(
    emulator: Emulator, ownership: FakeOwnership, anns: Ids, ann: UserClient
) -> None:
    thread_id = anns.global_ids["thread"]
    await ann.data(CONVERSATION, {"thread": thread_id})
    await succeed(ann, "deleteThread", "deletedId", threadId=thread_id)
    assert ownership.deleted == [anns.thread]
    emulator.counts.reset()
    assert (await ann.execute(CONVERSATION, {"thread": thread_id}))["data"] == {"thread": None}
    assert emulator.counts.total == 0


async def test_a_run_started_by_an_admin_is_recorded_in_the_log_of_the_owner(
    emulator: Emulator, anns: Ids, ann: UserClient, root: UserClient
) -> None:
    made = await succeed(
        root, "createRun", "run { id upstreamId }", threadId=anns.thread, assistantId=await assistant(emulator)
    )
    emulator.counts.reset()
    run = StartedRun(RunKey(anns.thread, made["run"]["upstreamId"]))
    assert to_global_id(run.key) == made["run"]["id"]
    async with open_stream(ann, RUN_EVENTS, key="ann", run=run.id) as reader:
        await reader.wait_for_event("RunSnapshot")
        emulator.clock.advance(LONG_SECONDS)
        events = await reader.wait_for_completion()
    assert {event["provenance"] for event in events if "provenance" in event} == {"STREAMED"}
    assert emulator.counts.total == 0
    assert len(await messages_of_run(emulator, run)) == 1
