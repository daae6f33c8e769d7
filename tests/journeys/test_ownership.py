"""Tests that a user reaches their own threads alone, whichever way leads to another's, and an admin every thread."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.ledger.stored_ownership import StoredOwnership
from schema.contract.keys import MessageKey, RunKey, RunStepKey, ThreadKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS, RUN_EVENTS, RUN_STATUS, THREAD_EVENTS
from tests.support.gateway import Gateway
from tests.support.mutations import assistant, succeed
from tests.support.signed_in import UserClient, running_ownership, signed_in_gateway
from tests.support.subscription_clients import open_socket

SUFFIX = "x" * 24


@dataclass(frozen=True)
class Ids:
    """The ids of a thread and of the objects in it."""

    thread: str
    run: str
    message: str
    step: str

    @property
    def global_ids(self) -> dict[str, str]:
        """The global IDs, by the names of the variables in `READS` and `MUTATIONS`."""
        return {
            "thread": to_global_id(ThreadKey(self.thread)),
            "run": to_global_id(RunKey(self.thread, self.run)),
            "message": to_global_id(MessageKey(self.thread, self.message)),
            "step": to_global_id(RunStepKey(self.thread, self.run, self.step)),
        }

    def hide_in(self, answer: object) -> str:
        """Return an answer as text, with a name in place of each of these ids."""
        text = json.dumps(answer)
        for name, global_id in self.global_ids.items():
            text = text.replace(global_id, f"<global {name}>")
        for name in ("thread", "run", "message", "step"):
            text = text.replace(getattr(self, name), f"<{name}>")
        return text


UNKNOWN = Ids(f"thread_{SUFFIX}", f"run_{SUFFIX}", f"msg_{SUFFIX}", f"step_{SUFFIX}")

FIELDS = """__typename id
    ... on Thread { metadata messages { nodes { text } } runs { nodes { status } } }
    ... on Message { text run { status } thread { createdAt } }
    ... on Run { status assistant { name } steps { nodes { status } } messages { nodes { text } } thread { createdAt } }
    ... on RunStep { stepStatus: status run { status } }"""

READS = {
    "thread": "query ($thread: ID!) { thread(id: $thread) { id metadata createdAt } }",
    "thread's messages": "query ($thread: ID!) { thread(id: $thread) { messages(last: 5) { nodes { text } } } }",
    "thread's runs": "query ($thread: ID!) { thread(id: $thread) { runs { nodes { status } } } }",
    "only what the key says": "query ($thread: ID!) { thread(id: $thread) { id upstreamId } }",
    "threads by ids": "query ($thread: ID!) { threadsByIds(ids: [$thread, $thread]) { createdAt } }",
    "message": "query ($message: ID!) { message(id: $message) { text thread { createdAt } run { status } } }",
    "run": """query ($run: ID!) {
        run(id: $run) { status assistant { name } steps { nodes { status } } messages { nodes { text } } } }""",
    "node of a thread": f"query ($thread: ID!) {{ node(id: $thread) {{ {FIELDS} }} }}",
    "node of a message": f"query ($message: ID!) {{ node(id: $message) {{ {FIELDS} }} }}",
    "node of a run": f"query ($run: ID!) {{ node(id: $run) {{ {FIELDS} }} }}",
    "node of a step": f"query ($step: ID!) {{ node(id: $step) {{ {FIELDS} }} }}",
    "nodes": f"""query ($thread: ID!, $message: ID!, $run: ID!, $step: ID!) {{
        nodes(ids: [$thread, $message, $run, $step]) {{ {FIELDS} }} }}""",
}
"""Queries by the ids of one thread, its message, its run and its step."""

MUTATIONS = {
    "updateThread": 'threadId: $thread, metadata: {a: "b"}',
    "deleteThread": "threadId: $thread",
    "createMessage": 'threadId: $thread, content: [{text: "Hello"}]',
    "updateMessage": "messageId: $message, metadata: {}",
    "deleteMessage": "messageId: $message",
    "createRun": 'threadId: $thread, assistantId: "ASSISTANT"',
    "updateRun": "runId: $run, metadata: {}",
    "cancelRun": "runId: $run",
    "submitToolOutputs": 'runId: $run, toolOutputs: [{callId: "call_1", output: "x"}]',
    "submitToolApprovals": 'runId: $run, approvals: [{callId: "call_1", approve: true}]',
}
"""Inputs of all mutations that name an object of a thread."""

SUBSCRIPTIONS = {"runStatus": RUN_STATUS, "runEvents": RUN_EVENTS, "threadEvents": THREAD_EVENTS}


def mutation(name: str) -> str:
    variables = "$thread: ID!, $message: ID!, $run: ID!"
    used = ", ".join(part for part in variables.split(", ") if part.split(":")[0] in MUTATIONS[name])
    payload = "userErrors { __typename message code field } clientMutationId"
    return f"mutation ({used}) {{ {name}(input: {{{MUTATIONS[name]}}}) {{ {payload} }} }}"


@pytest.fixture
async def ownership() -> AsyncIterator[StoredOwnership]:
    async with running_ownership() as ownership:
        yield ownership


@pytest.fixture
async def gateway(emulator: Emulator, ownership: StoredOwnership) -> AsyncIterator[Gateway]:
    async with signed_in_gateway(emulator, ownership, gateway_cost=True) as gateway:
        yield gateway


@pytest.fixture
def ann(gateway: Gateway) -> UserClient:
    return UserClient(gateway, "ann")


@pytest.fixture
def bob(gateway: Gateway) -> UserClient:
    return UserClient(gateway, "bob")


@pytest.fixture
def root(gateway: Gateway) -> UserClient:
    return UserClient(gateway, "root")


async def create_conversation(emulator: Emulator, user: UserClient) -> Ids:
    """Let a user create a thread with a run that has ended."""
    assistant_id = await assistant(emulator, tools=[{"type": "code_interpreter"}])
    made = await succeed(
        user,
        "createThreadAndRun",
        "run { upstreamId } thread { upstreamId }",
        assistantId=assistant_id,
        thread={"messages": [{"content": [{"text": f"A secret of {user.name}"}]}]},
    )
    thread_id, run_id = made["thread"]["upstreamId"], made["run"]["upstreamId"]
    emulator.clock.advance(LONG_SECONDS)
    (message,) = (await emulator.get(f"/threads/{thread_id}/messages?limit=1"))["data"]
    (step, *_) = (await emulator.get(f"/threads/{thread_id}/runs/{run_id}/steps"))["data"]
    emulator.counts.reset()
    return Ids(thread_id, run_id, message["id"], step["id"])


@pytest.fixture
async def anns(emulator: Emulator, ann: UserClient) -> Ids:
    return await create_conversation(emulator, ann)


async def ask(user: UserClient, document: str, ids: Ids) -> dict[str, Any]:
    return await user.execute(document, variables_of(document, ids))


def variables_of(document: str, ids: Ids) -> dict[str, str]:
    """Return the global IDs that a document asks for."""
    return {name: global_id for name, global_id in ids.global_ids.items() if f"${name}:" in document}


async def test_a_read_of_anothers_thread_answers_as_one_of_a_thread_that_never_existed(
    emulator: Emulator, anns: Ids, ann: UserClient, bob: UserClient
) -> None:
    for name, document in READS.items():
        # The second time, the owner's answers are in the cache.
        for _ in range(2):
            theirs, nobodys = await ask(bob, document, anns), await ask(bob, document, UNKNOWN)
            assert emulator.counts.total == 0, name
            assert anns.hide_in(theirs) == UNKNOWN.hide_in(nobodys), name
            assert "secret" not in json.dumps(theirs), name
            assert theirs["extensions"]["cost"]["upstreamCalls"] == theirs["extensions"]["cost"]["cacheHits"] == 0
            owners = await ask(ann, document, anns)
            assert "errors" not in owners, name
            assert all(owners["data"].values()), name
            emulator.counts.reset()


async def test_a_write_to_anothers_thread_answers_as_one_to_a_thread_that_never_existed(
    emulator: Emulator, anns: Ids, bob: UserClient
) -> None:
    for name in MUTATIONS:
        theirs, nobodys = await ask(bob, mutation(name), anns), await ask(bob, mutation(name), UNKNOWN)
        assert emulator.counts.total == 0, name
        assert anns.hide_in(theirs) == UNKNOWN.hide_in(nobodys), name
        (error,) = theirs["data"][name]["userErrors"]
        assert (error["code"], error["message"]) == ("NOT_FOUND", f"No thread found with id '{anns.thread}'."), name


async def test_a_subscription_to_anothers_thread_ends_as_one_to_a_thread_that_never_existed(
    emulator: Emulator, anns: Ids, bob: UserClient
) -> None:
    async with open_socket(bob, key="bob") as socket:
        for name, document in SUBSCRIPTIONS.items():
            ends = []
            for ids in (anns, UNKNOWN):
                reader = await socket.subscribe(document, **variables_of(document, ids))
                await reader.wait_for_end()
                assert reader.events == [], name
                assert reader.error_codes == ["NOT_FOUND"], name
                ends.append(ids.hide_in(reader.errors))
            assert ends[0] == ends[1], name
    assert emulator.counts.total == 0
