"""Tests that a user reaches their own files alone, whichever way leads to another's, and an admin every file."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.ledger.ledger_store import ObjectKind
from gateway.ledger.stored_ownership import StoredOwnership
from schema.contract.keys import AssistantKey, FileKey, MessageKey, NodeKey, ThreadKey, from_global_id, to_global_id
from tests.support.emulator import KEY, Emulator, add_files
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.file_documents import DELETE_FILE, FILE_NAMERS, FILE_READS, naming_mutation
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import assistant, refusal, succeed
from tests.support.signed_in import (
    REQUEST_ID,
    UserClient,
    ann,
    bob,
    owner,
    root,
    running_ownership,
    signed_in_gateway,
)
from tests.support.subscription_clients import open_socket

__all__ = ["ann", "bob", "root"]  # fixtures

ANNS, BOBS, UNKNOWN = "file-of-ann", "file-of-bob", "file-of-eve"
"""Files of Ann and of Bob, and one that does not exist. Equally long, so that answers are equally long."""

MADE_FILES = """content { ... on ImageFileContent { fileId }
    ... on TextContent { annotations { ... on FilePath { fileId } } } }"""
STEP_FILES = """details { ... on ToolCallsDetails { toolCalls {
    ... on CodeInterpreterToolCall { outputs { ... on CodeInterpreterImage { fileId } } } } } }"""
FILE_EVENTS = f"""subscription ($run: ID!) {{ runEvents(runId: $run) {{
    type: __typename
    ... on RunSnapshot {{ run {{ status }} messages {{ {MADE_FILES} }} steps {{ {STEP_FILES} }} }}
    ... on RunStatusChange {{ previous status }}
    ... on StepChanged {{ step {{ {STEP_FILES} }} }}
    ... on TextDelta {{ annotations {{ ... on FilePath {{ fileId }} }} }}
    ... on MessageFinished {{ message {{ {MADE_FILES} }} }} }} }}"""
MESSAGES_OF_THREAD = f"query ($id: ID!) {{ thread(id: $id) {{ messages(last: 5) {{ nodes {{ {MADE_FILES} }} }} }} }}"
GLOBAL_FILE_IDS = re.compile(r'"fileId": "([^"]+)"')


@pytest.fixture
async def ownership() -> AsyncIterator[StoredOwnership]:
    async with running_ownership() as ownership:
        yield ownership


@pytest.fixture
async def gateway(emulator: Emulator, ownership: StoredOwnership) -> AsyncIterator[Gateway]:
    add_files(emulator.store, KEY, ANNS, BOBS)
    for name, file_id in (("ann", ANNS), ("bob", BOBS)):
        await (await ownership.begin_create(owner(name), ObjectKind.FILE)).record_id(file_id)
    async with signed_in_gateway(emulator, ownership, gateway_cost=True) as gateway:
        yield gateway


@dataclass(frozen=True)
class Place:
    """A thread of a user, and an assistant, that mutations need beside a file."""

    thread: str
    assistant: str

    def variables_of(self, document: str, file_id: str) -> dict[str, str]:
        ids: dict[str, NodeKey] = {
            "file": FileKey(file_id),
            "thread": ThreadKey(self.thread),
            "assistant": AssistantKey(self.assistant),
        }
        return {name: to_global_id(key) for name, key in ids.items() if f"${name}:" in document}


async def make_place(emulator: Emulator, user: UserClient) -> Place:
    made = await succeed(user, "createThread", "thread { upstreamId }")
    helper = await assistant(emulator, tools=[{"type": "code_interpreter"}], instructions="Be brief.")
    return Place(made["thread"]["upstreamId"], helper)


def hide(answer: object, file_id: str) -> str:
    text = REQUEST_ID.sub('"requestId": "<request>"', json.dumps(answer))
    return text.replace(to_global_id(FileKey(file_id)), "<global file>").replace(file_id, "<file>")


async def ask(user: Gateway, document: str, file_id: str) -> dict[str, Any]:
    return await user.execute(document, {"file": to_global_id(FileKey(file_id))})


async def test_a_read_of_anothers_file_answers_as_one_of_a_file_that_never_existed(
    emulator: Emulator, ann: UserClient, bob: UserClient
) -> None:
    emulator.counts.reset()
    for name, document in FILE_READS.items():
        # The second time, the owner's answers are in the cache.
        for _ in range(2):
            theirs, nobodys = await ask(bob, document, ANNS), await ask(bob, document, UNKNOWN)
            assert emulator.counts.total == 0, name
            assert hide(theirs, ANNS) == hide(nobodys, UNKNOWN), name
            assert theirs["extensions"]["cost"]["upstreamCalls"] == theirs["extensions"]["cost"]["cacheHits"] == 0
            owners = await ask(ann, document, ANNS)
            assert "errors" not in owners, name
            assert all(owners["data"].values()), name
            emulator.counts.reset()


async def test_a_write_that_names_anothers_file_answers_as_one_that_names_an_unknown_file(
    emulator: Emulator, bob: UserClient
) -> None:
    place = await make_place(emulator, bob)
    for name in FILE_NAMERS:
        document = naming_mutation(name)
        emulator.counts.reset()
        answers = [
            hide(await bob.execute(document, place.variables_of(document, file_id)), file_id)
            for file_id in (ANNS, UNKNOWN)
        ]
        assert emulator.counts.total == 0, name
        assert answers[0] == answers[1], name
        assert "No file found with id '<file>'." in answers[0], name
        own = await bob.execute(document, place.variables_of(document, BOBS))
        assert own["data"][name.split()[0]]["userErrors"] == [], name


async def test_a_deletion_of_anothers_file_answers_as_one_of_a_file_that_never_existed(
    emulator: Emulator, ann: UserClient, bob: UserClient
) -> None:
    emulator.counts.reset()
    theirs, nobodys = await ask(bob, DELETE_FILE, ANNS), await ask(bob, DELETE_FILE, UNKNOWN)
    assert emulator.counts.total == 0
    assert hide(theirs, ANNS) == hide(nobodys, UNKNOWN)
    (error,) = theirs["data"]["deleteFile"]["userErrors"]
    assert (error["code"], error["message"], error["field"]) == (
        "NOT_FOUND",
        f"No such File object: {ANNS}",
        ["fileId"],
    )
    assert (await ask(ann, DELETE_FILE, ANNS))["data"]["deleteFile"]["userErrors"] == []
    assert (await ask(ann, FILE_READS["file"], ANNS))["data"] == {"file": None}
    assert (await ask(ann, DELETE_FILE, ANNS))["data"]["deleteFile"]["userErrors"] == [
        {"__typename": "UserError", **error} | {"message": f"No such File object: {ANNS}"}
    ]


async def test_the_answer_is_the_one_that_the_upstream_gives_for_an_unknown_file(
    emulator: Emulator, bob: UserClient
) -> None:
    async with running_gateway(emulator.url, upstream_dialect="openai-v2", gateway_cost=True) as passing_on:
        place = await make_place(emulator, bob)
        for document in (*FILE_READS.values(), DELETE_FILE):
            theirs, upstreams = await ask(bob, document, UNKNOWN), await ask(passing_on, document, UNKNOWN)
            for error in upstreams.get("errors", ()):
                error["extensions"].pop("upstreamRequestId")
            assert [theirs.get(part) for part in ("data", "errors")] == [
                upstreams.get(part) for part in ("data", "errors")
            ], document
        for name in ("createMessage", "createMessage with an attachment", "createThread", "createThreadAndRun"):
            document = naming_mutation(name)
            refusals = []
            for user in (bob, passing_on):
                answer = await user.execute(document, place.variables_of(document, UNKNOWN))
                (error,) = answer["data"][name.split()[0]]["userErrors"]
                refusals.append((error["message"], error["field"]))
            assert refusals[0] == refusals[1], name


async def test_an_admin_reads_names_and_deletes_every_file_by_id(
    emulator: Emulator, root: UserClient, bob: UserClient
) -> None:
    place = await make_place(emulator, root)
    for file_id in (BOBS, "file-handbook"):  # the other is nobody's
        found = await ask(root, FILE_READS["file"], file_id)
        assert found["data"]["file"]["upstreamId"] == file_id
        document = naming_mutation("createMessage")
        named = await root.execute(document, place.variables_of(document, file_id))
        assert named["data"]["createMessage"]["userErrors"] == []
    await ask(bob, FILE_READS["file"], BOBS)
    assert (await ask(root, DELETE_FILE, BOBS))["data"]["deleteFile"]["userErrors"] == []
    assert (await ask(bob, FILE_READS["file"], BOBS))["data"] == {"file": None}


async def run_that_makes_files(emulator: Emulator, user: UserClient, *, until_end: bool = True) -> tuple[str, str]:
    """Let a user start a run that draws a chart and writes a table. Returns the ids of thread and run."""
    made = await succeed(
        user,
        "createThreadAndRun",
        "run { id } thread { id }",
        assistantId=await assistant(emulator, tools=[{"type": "code_interpreter"}]),
        thread={"messages": [{"content": [{"text": "Draw a chart and export a CSV file."}]}]},
    )
    if until_end:
        emulator.clock.advance(LONG_SECONDS)
    return made["thread"]["id"], made["run"]["id"]


async def check_made_files(answer: object, ann: UserClient, bob: UserClient) -> None:
    """Check that Ann opens each file that an answer names, and Bob none."""
    file_ids = set(GLOBAL_FILE_IDS.findall(json.dumps(answer)))
    names = set()
    for file_id in file_ids:
        found = await ann.execute(FILE_READS["file"], {"file": file_id})
        names.add(found["data"]["file"]["filename"])
        assert (await bob.execute(FILE_READS["file"], {"file": file_id}))["data"] == {"file": None}
    assert names == {"chart.png", "result.csv"}


@pytest.mark.parametrize("reader", ["ann", "root"])
async def test_files_that_a_run_made_are_the_owners_of_the_thread_once_anybody_sees_the_message(
    emulator: Emulator, gateway: Gateway, ann: UserClient, bob: UserClient, reader: str
) -> None:
    thread_id, _ = await run_that_makes_files(emulator, ann)
    answer = await UserClient(gateway, reader).execute(MESSAGES_OF_THREAD, {"id": thread_id})
    await check_made_files(answer, ann, bob)


async def test_files_that_a_run_made_are_seen_in_its_steps_and_in_the_results_of_writes(
    emulator: Emulator, ownership: StoredOwnership
) -> None:
    """Each way by itself, in a ledger that has not seen the others."""
    steps = f"query ($id: ID!) {{ run(id: $id) {{ steps {{ nodes {{ {STEP_FILES} }} }} }} }}"
    async with signed_in_gateway(emulator, ownership, gateway_cache=False) as gateway:
        ann, bob, root = (UserClient(gateway, name) for name in ("ann", "bob", "root"))
        _, run_id = await run_that_makes_files(emulator, ann)
        (chart,) = GLOBAL_FILE_IDS.findall(json.dumps(await root.execute(steps, {"id": run_id})))
        assert (await ann.execute(FILE_READS["file"], {"file": chart}))["data"]["file"]["filename"] == "chart.png"
        assert (await bob.execute(FILE_READS["file"], {"file": chart}))["data"] == {"file": None}

        thread_id, _ = await run_that_makes_files(emulator, ann)
        message_id = await newest_message(emulator, thread_id)
        written = await succeed(root, "updateMessage", f"message {{ {MADE_FILES} }}", messageId=message_id, metadata={})
        await check_made_files(written, ann, bob)


async def newest_message(emulator: Emulator, global_thread_id: str) -> str:
    key = from_global_id(global_thread_id)
    assert isinstance(key, ThreadKey)
    (message,) = (await emulator.get(f"/threads/{key.thread_id}/messages?limit=1"))["data"]
    return to_global_id(MessageKey(key.thread_id, message["id"]))


async def test_files_that_a_run_makes_can_be_opened_as_soon_as_an_event_names_them(
    emulator: Emulator, ann: UserClient, bob: UserClient
) -> None:
    _, run_id = await run_that_makes_files(emulator, ann, until_end=False)
    async with open_socket(ann, key="ann") as socket:
        reader = await socket.subscribe(FILE_EVENTS, run=run_id)
        await reader.wait_for_event("RunSnapshot")
        emulator.clock.advance(LONG_SECONDS)
        await reader.wait_until(lambda reader: bool(GLOBAL_FILE_IDS.search(json.dumps(reader.events))))
        (first, *_) = GLOBAL_FILE_IDS.findall(json.dumps(reader.events))
        assert (await ann.execute(FILE_READS["file"], {"file": first}))["data"]["file"]["filename"] == "chart.png"
        await reader.wait_for_completion()
    await check_made_files(reader.events, ann, bob)
    assert {"StepChanged", "MessageFinished"} <= {
        event["type"] for event in reader.events if GLOBAL_FILE_IDS.search(json.dumps(event))
    }


async def test_a_deleted_thread_leaves_its_files_to_their_owner(
    emulator: Emulator, ann: UserClient, bob: UserClient
) -> None:
    thread_id, _ = await run_that_makes_files(emulator, ann)
    answer = await ann.execute(MESSAGES_OF_THREAD, {"id": thread_id})
    await succeed(ann, "deleteThread", "deletedId", threadId=thread_id)
    await check_made_files(answer, ann, bob)


async def test_a_file_of_a_run_may_be_named_in_an_input_by_its_owner_alone(
    emulator: Emulator, ann: UserClient, bob: UserClient
) -> None:
    thread_id, _ = await run_that_makes_files(emulator, ann)
    file_ids = GLOBAL_FILE_IDS.findall(json.dumps(await ann.execute(MESSAGES_OF_THREAD, {"id": thread_id})))
    for file_id in file_ids:
        content = [{"imageFile": {"fileId": file_id}}]
        await succeed(ann, "createMessage", "message { id }", threadId=thread_id, content=content)
        error = await refusal(bob, "createThread", messages=[{"content": content}])
        assert (error["code"], error["field"]) == (
            "NOT_FOUND",
            ["messages", "0", "content", "0", "imageFile", "fileId"],
        )


CITED = "annotations { ... on FileCitation { file { id filename contentUrl } } }"
CITATIONS = f"content {{ ... on TextContent {{ {CITED} }} }}"


async def test_a_cited_file_of_an_assistant_shows_its_name_and_not_its_content(
    emulator: Emulator, ann: UserClient, root: UserClient
) -> None:
    resources = {"file_search": {"vector_store_ids": ["vs_1"]}}
    librarian = await assistant(emulator, tools=[{"type": "file_search"}], tool_resources=resources)
    question = {"messages": [{"content": [{"text": "Well?"}]}]}
    made = await succeed(ann, "createThreadAndRun", "run { id } thread { id }", assistantId=librarian, thread=question)
    event_document = f"""subscription ($run: ID!) {{ runEvents(runId: $run) {{
        type: __typename ... on RunStatusChange {{ status }} ... on TextDelta {{ {CITED} }}
        ... on RunSnapshot {{ run {{ status }} }} ... on MessageFinished {{ message {{ {CITATIONS} }} }} }} }}"""
    async with open_socket(ann, key="ann") as socket:
        reader = await socket.subscribe(event_document, run=made["run"]["id"])
        await reader.wait_for_event("RunSnapshot")
        emulator.clock.advance(LONG_SECONDS)
        await reader.wait_for_completion()
    document = f"query ($id: ID!) {{ thread(id: $id) {{ messages(last: 5) {{ nodes {{ {CITATIONS} }} }} }} }}"
    (message,) = (event["message"] for event in reader.of_type("MessageFinished"))
    seen = {"as an event": json.dumps(message)}
    for name, user in (("as its reader", ann), ("as an admin", root)):
        seen[name] = json.dumps(await user.execute(document, {"id": made["thread"]["id"]}))
    cited = {name: re.findall(r'"file": ({[^}]+})', text) for name, text in seen.items()}
    ((as_event,), (as_read,), (as_admin,)) = ([json.loads(file) for file in files] for files in cited.values())
    assert as_event == as_read
    assert (as_read["filename"], as_read["contentUrl"]) == (as_admin["filename"], None)
    assert as_read["filename"]
    assert as_admin["contentUrl"]

    emulator.counts.reset()
    assert (await ann.execute(FILE_READS["file"], {"file": as_read["id"]}))["data"] == {"file": None}
    assert (await ann.execute(FILE_READS["node"], {"file": as_read["id"]}))["data"] == {"node": None}
    content = [{"imageFile": {"fileId": as_read["id"]}}]
    assert (await refusal(ann, "createThread", messages=[{"content": content}]))["code"] == "NOT_FOUND"
    assert (await refusal(ann, "deleteFile", fileId=as_read["id"]))["code"] == "NOT_FOUND"
    assert emulator.counts.total == 0
