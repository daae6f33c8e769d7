"""Tests that the gateway's own records are shown only to callers who could read the same at the upstream."""

from typing import Any

import pytest

from gateway.ledger.memory_kept_records import make_memory_records
from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway
from tests.support.mutations import mutate, refusal, succeed
from tests.support.responses_gateway import (
    DIALECTS,
    FUNCTION,
    new_assistant,
    new_thread,
    read_run,
    read_thread,
    running_responses_gateway,
    start_response_run,
)

RUN = "status usage { totalTokens } instructions steps { nodes { id } } messages { nodes { text } }"


@pytest.mark.parametrize("dialect", long_except(DIALECTS, ["openai-responses"]))
@pytest.mark.parametrize("waits", [False, True])
async def test_another_account_finds_nothing_of_a_thread_and_changes_nothing(
    emulator: Emulator, dialect: str, waits: bool
) -> None:
    kept = make_memory_records()
    async with running_responses_gateway(emulator, dialect, kept) as ann:
        bob = Gateway(ann.url, ann.session, credential="Bearer bob")
        assistant_id = await new_assistant(ann, tools=[FUNCTION] if waits else [], instructions="A secret.")
        thread_id = await new_thread(ann)
        run = await start_response_run(ann, thread_id, assistant_id)
        emulator.clock.advance(LONG_SECONDS)
        before = await read_run(ann, run["id"], RUN)
        assert before["status"] == ("REQUIRES_ACTION" if waits else "COMPLETED")
        message_id = (await read_thread(ann, thread_id, "messages { nodes { id } }"))["messages"]["nodes"][-1]["id"]
        kept_before = await kept.chains.find_chains([run["upstreamId"]])

        assert await read_run(bob, run["id"], RUN) is None
        assert await read_thread(bob, thread_id, "runs { nodes { id status } }") is None
        assert await read_thread(bob, thread_id, "activeRun { id }") is None
        assert await read_thread(bob, thread_id, "messages { nodes { run { id } } }") is None
        node = await bob.data("query ($id: ID!) { node(id: $id) { id } }", {"id": message_id})
        assert node == {"node": None}
        assert await bob.data("query ($id: ID!) { assistant(id: $id) { id } }", {"id": assistant_id}) == {
            "assistant": None
        }
        assert (await bob.data("{ assistants { nodes { id } } }"))["assistants"]["nodes"] == []

        own = await new_assistant(bob)
        writes: list[tuple[str, dict[str, Any]]] = [
            ("createRun", {"threadId": thread_id, "assistantId": own}),
            ("createRun", {"threadId": thread_id, "assistantId": assistant_id}),
            ("createMessage", {"threadId": thread_id, "content": [{"text": "Hello"}]}),
            ("submitToolOutputs", {"runId": run["id"], "toolOutputs": [{"callId": "call_1", "output": "x"}]}),
            ("cancelRun", {"runId": run["id"]}),
            ("deleteMessage", {"messageId": message_id}),
            ("deleteThread", {"threadId": thread_id}),
            ("updateAssistant", {"assistantId": assistant_id, "name": "Bob's"}),
            ("deleteAssistant", {"assistantId": assistant_id}),
        ]
        for mutation, values in writes:
            payload = await mutate(bob, mutation, "__typename", **values)
            assert [error["code"] for error in payload["userErrors"]] == ["NOT_FOUND"], mutation

        assert await kept.chains.find_chains([run["upstreamId"]]) == kept_before
        assert await read_run(ann, run["id"], RUN) == before
        if waits:
            await succeed(ann, "cancelRun", "run { id }", runId=run["id"])
        await start_response_run(ann, thread_id, assistant_id)


async def test_a_credential_that_the_upstream_refuses_reads_and_writes_no_assistants(emulator: Emulator) -> None:
    async with running_responses_gateway(emulator) as ann:
        assistant_id = await new_assistant(ann)
        stranger = Gateway(ann.url, ann.session, credential="Bearer sk-invalid")
        for query in ("{ assistants { nodes { id } } }", f'{{ assistant(id: "{assistant_id}") {{ id }} }}'):
            (error,) = (await stranger.execute(query))["errors"]
            assert error["extensions"]["code"] == "UNAUTHENTICATED"
        answer = await stranger.execute(
            'mutation { createAssistant(input: { model: "m" }) { assistant { id } userErrors { code } } }'
        )
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_run_is_found_in_its_own_thread_alone(emulator: Emulator) -> None:
    """With one credential for all threads, a run's id with another thread's would lead around its owner."""
    async with running_responses_gateway(emulator) as gateway:
        assistant_id = await new_assistant(gateway)
        thread_id, other_id = await new_thread(gateway), await new_thread(gateway)
        run = await start_response_run(gateway, thread_id, assistant_id)
        emulator.clock.advance(LONG_SECONDS)
        fields = "thread { upstreamId }"
        (upstream_id, other_upstream_id) = [
            (await read_thread(gateway, each, "upstreamId"))["upstreamId"] for each in (thread_id, other_id)
        ]
        assert (await read_run(gateway, run["id"], fields))["thread"] == {"upstreamId": upstream_id}
        from_elsewhere = to_global_id(RunKey(other_upstream_id, run["upstreamId"]))
        for fields in ("status", "steps { nodes { id } }", "messages { nodes { id } }"):
            assert await read_run(gateway, from_elsewhere, fields) is None
        assert (await refusal(gateway, "cancelRun", runId=from_elsewhere))["code"] == "NOT_FOUND"
