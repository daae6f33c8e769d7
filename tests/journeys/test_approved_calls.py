"""Tests that calls of MCP servers can be approved, which only Azure AI Foundry asks for."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import Emulator, running_emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    RUN_EVENTS,
    StartedRun,
    start_run,
    start_run_without_gateway,
    statuses,
    wait_for_status,
)
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import mutate, refusal, succeed, waiting_run
from tests.support.subscription_clients import open_socket

ASKS = {"emulator": "approval"}
ACTION = """requiredAction { __typename ... on SubmitToolApprovalAction {
    toolCalls { callId name arguments serverLabel } } }"""
RUN = f"query ($id: ID!) {{ run(id: $id) {{ status {ACTION} messages {{ nodes {{ text }} }} }} }}"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with running_emulator() as emulator:
        yield emulator


@pytest.fixture
async def foundry(emulator: Emulator) -> AsyncIterator[Gateway]:
    url = f"{emulator.root_url}/api/projects/demo"
    async with running_gateway(url, upstream_dialect="azure-foundry") as gateway:
        yield gateway


async def asking_run(emulator: Emulator, foundry: Gateway) -> tuple[StartedRun, Any]:
    """Start a run and return it with the only call that it asks to approve."""
    run = await start_run(emulator, foundry, metadata=ASKS)
    emulator.clock.advance(5)
    asking = (await foundry.data(RUN, {"id": run.id}))["run"]
    assert asking["status"] == "REQUIRES_ACTION"
    assert asking["requiredAction"]["__typename"] == "SubmitToolApprovalAction"
    (call,) = asking["requiredAction"]["toolCalls"]
    return run, call


@pytest.mark.parametrize(("approve", "said"), [(True, "Found 3 documents."), (False, "not approved")])
async def test_an_approval_lets_the_run_go_on(emulator: Emulator, foundry: Gateway, approve: bool, said: str) -> None:
    run, call = await asking_run(emulator, foundry)
    assert (call["name"], call["serverLabel"]) == ("search_docs", "docs")
    assert "weather" in call["arguments"]
    submitted = await succeed(
        foundry,
        "submitToolApprovals",
        f"run {{ id status {ACTION} }}",
        runId=run.id,
        approvals=[{"callId": call["callId"], "approve": approve}],
        clientMutationId="7",
    )
    assert submitted["run"] == {"id": run.id, "status": "QUEUED", "requiredAction": None}
    assert submitted["clientMutationId"] == "7"
    emulator.clock.advance(LONG_SECONDS)
    done = (await foundry.data(RUN, {"id": run.id}))["run"]
    assert done["status"] == "COMPLETED"
    assert said in done["messages"]["nodes"][0]["text"]


@pytest.mark.parametrize("by_gateway", [True, False])
async def test_a_subscription_shows_the_question_and_goes_on_after_the_approval(
    emulator: Emulator, foundry: Gateway, by_gateway: bool
) -> None:
    if by_gateway:
        run = await start_run(emulator, foundry, metadata=ASKS)
    else:
        run = await start_foundry_run(emulator)
    asked = f"... on RunStatusChange {{ run {{ {ACTION} }} }} ... on RunSnapshot {{ run {{ {ACTION} }} }}"
    subscription = RUN_EVENTS.replace("... on StepChanged", f"{asked} ... on StepChanged", 1)
    async with open_socket(foundry) as socket:
        reader = await socket.subscribe(subscription, run=run.id)
        emulator.clock.advance(5)
        await wait_for_status(reader, "REQUIRES_ACTION")
        actions = [one["run"]["requiredAction"] for one in reader.events if "requiredAction" in one.get("run", {})]
        (call,) = actions[-1]["toolCalls"]
        approvals = [{"callId": call["callId"], "approve": True}]
        await succeed(foundry, "submitToolApprovals", "run { status }", runId=run.id, approvals=approvals)
        emulator.clock.advance(LONG_SECONDS)
        events = await reader.wait_for_completion()
    assert statuses(events)[-1] == "COMPLETED"
    assert [one["message"]["text"] for one in events if one["type"] == "MessageFinished"]


async def start_foundry_run(emulator: Emulator) -> StartedRun:
    async with running_gateway(f"{emulator.root_url}/api/projects/demo", upstream_dialect="azure-foundry") as other:
        return await start_run(emulator, other, metadata=ASKS)


async def test_decisions_must_name_every_call_exactly_once(emulator: Emulator, foundry: Gateway) -> None:
    run, call = await asking_run(emulator, foundry)
    emulator.counts.reset()
    yes = {"callId": call["callId"], "approve": True}
    twice = await refusal(foundry, "submitToolApprovals", runId=run.id, approvals=[yes, yes])
    assert (twice["code"], twice["field"]) == ("INVALID_VALUE", ["approvals", "1", "callId"])
    payload = await mutate(
        foundry, "submitToolApprovals", "__typename", runId=run.id, approvals=[{"callId": "call_x", "approve": True}]
    )
    codes = [(error["code"], error["field"]) for error in payload["userErrors"]]
    assert codes == [("INVALID_VALUE", ["approvals", "0", "callId"]), ("MISSING_TOOL_OUTPUT", ["approvals"])]
    none = await refusal(foundry, "submitToolApprovals", runId=run.id, approvals=[])
    assert none["field"] == ["approvals"]
    long = await refusal(
        foundry, "submitToolApprovals", runId=run.id, approvals=[{"callId": "c" * 300, "approve": True}]
    )
    assert (long["code"], long["field"]) == ("TOO_LONG", ["approvals", "0", "callId"])
    assert emulator.counts.by_operation["submitToolOuputsToRun"] == 0


async def test_outputs_and_approvals_are_not_taken_for_each_other(emulator: Emulator, foundry: Gateway) -> None:
    run, call = await asking_run(emulator, foundry)
    output = [{"callId": call["callId"], "output": "x"}]
    wrong = await refusal(foundry, "submitToolOutputs", runId=run.id, toolOutputs=output)
    assert (wrong["code"], wrong["field"]) == ("WRONG_STATE", ["runId"])
    other, call_id = await waiting_run(emulator)
    approvals = [{"callId": call_id, "approve": True}]
    wrong = await refusal(foundry, "submitToolApprovals", runId=to_global_id(other), approvals=approvals)
    assert (wrong["code"], wrong["field"]) == ("WRONG_STATE", ["runId"])
    gone = await refusal(
        foundry, "submitToolApprovals", runId=to_global_id(RunKey(other.thread_id, "run_none")), approvals=approvals
    )
    assert (gone["code"], gone["field"]) == ("NOT_FOUND", ["runId"])


async def test_a_finished_run_takes_no_approval(emulator: Emulator, foundry: Gateway) -> None:
    run = await start_run_without_gateway(emulator)
    emulator.clock.advance(LONG_SECONDS)
    approvals = [{"callId": "call_1", "approve": True}]
    refused = await refusal(foundry, "submitToolApprovals", runId=run.id, approvals=approvals)
    assert (refused["code"], refused["message"]) == (
        "WRONG_STATE",
        "expected a run that waits for tool approvals, got one with status completed",
    )


async def test_only_foundrys_face_of_the_emulator_asks_and_takes_approvals(
    emulator: Emulator, foundry: Gateway
) -> None:
    async with running_gateway(emulator.url) as gateway:
        assistant_id = (await emulator.post("/assistants", {"model": "gpt-4o", "instructions": "Be brief."}))["id"]
        thread_id = (await emulator.post("/threads"))["id"]
        refused = await refusal(
            gateway, "createRun", threadId=thread_id, assistantId=assistant_id, metadata={"emulator": "approval"}
        )
        assert "Supported values are" in refused["message"]
        run, call = await asking_run(emulator, foundry)
        approvals = [{"callId": call["callId"], "approve": True}]
        payload = await mutate(gateway, "submitToolApprovals", "__typename", runId=run.id, approvals=approvals)
        assert payload["userErrors"]
