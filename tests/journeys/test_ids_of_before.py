"""Tests that ids of the API before name nothing where conversations are: frontends hold such ids after a move."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schema.contract.keys import MessageKey, RunKey, RunStepKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway
from tests.support.mutations import refusal
from tests.support.responses_gateway import DIALECTS, new_assistant, new_thread, running_responses_gateway
from tests.support.subscription_clients import open_stream

OLD_THREAD = "thread_abc123"
IN_OLD = {
    "thread": OLD_THREAD,
    "message": to_global_id(MessageKey(OLD_THREAD, "msg_abc123")),
    "run": to_global_id(RunKey(OLD_THREAD, "run_abc123")),
    "step": to_global_id(RunStepKey(OLD_THREAD, "run_abc123", "step_abc123")),
    "assistant": "asst_abc123",
}
READS = """query ($thread: ID!, $message: ID!, $run: ID!, $step: ID!, $assistant: ID!) {
    thread(id: $thread) { createdAt } deep: thread(id: $thread) { messages { nodes { id } } runs { nodes { id } } }
    message(id: $message) { text run { id } } run(id: $run) { status }
    messages: run(id: $run) { messages { nodes { id } } } steps: run(id: $run) { steps { nodes { id } } }
    step: node(id: $step) { id } assistant(id: $assistant) { name }
    nodes(ids: [$message, $run]) { id ... on Run { status } ... on Message { text } } }"""


@pytest.fixture(params=long_except(DIALECTS, ["openai-responses"]))
async def gateway(request: pytest.FixtureRequest, emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_responses_gateway(emulator, request.param) as gateway:
        yield gateway


def ids_in(thread: str) -> dict[str, str]:
    """Return ids of the form before in a thread."""
    return IN_OLD | {
        "thread": thread,
        "message": to_global_id(MessageKey(thread, "msg_abc123")),
        "run": to_global_id(RunKey(thread, "run_abc123")),
        "step": to_global_id(RunStepKey(thread, "run_abc123", "step_abc123")),
    }


@pytest.mark.parametrize("where", ["in a thread of before", "in a conversation"])
async def test_reads_find_nothing(gateway: Gateway, where: str) -> None:
    thread_id = OLD_THREAD if where == "in a thread of before" else await new_thread(gateway)
    answer = await gateway.data(READS, ids_in(thread_id))
    found = {name for name, value in answer.items() if value not in (None, [None, None])}
    assert found == ({"thread", "deep"} if thread_id != OLD_THREAD else set())


async def test_mutations_are_refused_as_those_of_unknown_objects(gateway: Gateway) -> None:
    assistant_id = await new_assistant(gateway)
    thread_id = await new_thread(gateway)
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("updateThread", {"threadId": OLD_THREAD, "metadata": {"a": "b"}}),
        ("deleteThread", {"threadId": OLD_THREAD}),
        ("createMessage", {"threadId": OLD_THREAD, "content": [{"text": "Hello"}]}),
        ("createRun", {"threadId": OLD_THREAD, "assistantId": assistant_id}),
        ("createRun", {"threadId": thread_id, "assistantId": "asst_abc123"}),
        ("updateAssistant", {"assistantId": "asst_abc123", "name": "New"}),
        ("deleteAssistant", {"assistantId": "asst_abc123"}),
    ]
    for thread in (OLD_THREAD, thread_id):
        ids = ids_in(thread)
        outputs = {"runId": ids["run"], "toolOutputs": [{"callId": "call_1", "output": "x"}]}
        attempts += [
            ("deleteMessage", {"messageId": ids["message"]}),
            ("cancelRun", {"runId": ids["run"]}),
            ("submitToolOutputs", outputs),
        ]
    codes = {(name, str(values)): (await refusal(gateway, name, **values))["code"] for name, values in attempts}
    assert set(codes.values()) == {"NOT_FOUND"}, codes


@pytest.mark.parametrize(
    "subscription",
    [
        "subscription ($run: ID!) { runEvents(runId: $run) { __typename } }",
        "subscription ($run: ID!) { runStatus(runId: $run) { status } }",
        "subscription ($thread: ID!) { threadEvents(threadId: $thread) { __typename } }",
    ],
)
async def test_subscriptions_end_as_those_of_unknown_objects(gateway: Gateway, subscription: str) -> None:
    variables = {name: IN_OLD[name] for name in ("run", "thread") if f"${name}" in subscription}
    async with open_stream(gateway, subscription, **variables) as reader:
        await reader.wait_for_end()
    assert (reader.error_codes, reader.events) == (["NOT_FOUND"], [])
