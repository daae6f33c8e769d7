"""Tests signed-in users over conversations and responses, with everything that is kept in a database."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.identity.principal import UpstreamIdentity
from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import KEY, Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import mutate, succeed
from tests.support.responses_gateway import (
    DIALECTS,
    FUNCTION,
    QUESTION,
    new_assistant,
    new_thread,
    read_run,
    read_thread,
    start_response_run,
)
from tests.support.signed_in import NamedUsers, UserClient
from tests.support.viewer_gateways import DEADLINE_SECONDS, THREADS, clocked_emulator, eventually_equal, list_waiting

RUN = "status usage { totalTokens } steps { nodes { status } } messages { nodes { text } }"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with clocked_emulator() as emulator:
        yield emulator


@pytest.fixture(params=long_except(DIALECTS, ["openai-responses"]))
async def gateway(request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    path = "/openai/v1" if request.param == "foundry-responses" else "/v1"
    url = emulator.root_url + path
    async with running_gateway(
        url,
        authenticator=NamedUsers(UpstreamIdentity(url, dialect=request.param)),
        upstream_api_key=KEY,
        upstream_dialect=request.param,
        gateway_database_url=f"sqlite:///{tmp_path}/ledger.db",
        gateway_cache=True,
        gateway_ledger_deadline_seconds=DEADLINE_SECONDS,
    ) as gateway:
        yield gateway


async def test_a_user_has_own_threads_and_shares_the_assistants(emulator: Emulator, gateway: Gateway) -> None:
    ann, bob, root = (UserClient(gateway, name) for name in ("ann", "bob", "root"))
    assistant_id = await new_assistant(root, tools=[FUNCTION], instructions="Be brief.")
    thread_id, others = await new_thread(ann), await new_thread(bob)
    run = await start_response_run(ann, thread_id, assistant_id)
    emulator.clock.advance(LONG_SECONDS)
    fields = "requiredAction { ... on SubmitToolOutputsAction { toolCalls { callId } } } instructions"
    waiting = await read_run(ann, run["id"], fields)
    assert waiting["instructions"] is None
    (call,) = waiting["requiredAction"]["toolCalls"]
    outputs = [{"callId": call["callId"], "output": "22 °C"}]

    other_thread = (await read_thread(bob, others, "upstreamId"))["upstreamId"]
    smuggled = to_global_id(RunKey(other_thread, run["upstreamId"]))
    for run_id in (run["id"], smuggled):
        assert await read_run(bob, run_id, RUN) is None
        for mutation, values in (("cancelRun", {}), ("submitToolOutputs", {"toolOutputs": outputs})):
            payload = await mutate(bob, mutation, "__typename", runId=run_id, **values)
            assert [error["code"] for error in payload["userErrors"]] == ["NOT_FOUND"]
    assert await read_thread(bob, thread_id, "runs { nodes { id } } messages { nodes { id } }") is None

    await eventually_equal(lambda: list_waiting(ann), lambda: returned([run["upstreamId"]]))
    assert await list_waiting(bob) == []
    await succeed(ann, "submitToolOutputs", "run { id }", runId=run["id"], toolOutputs=outputs)
    emulator.clock.advance(LONG_SECONDS)
    await eventually_equal(lambda: read_run(ann, run["id"], "isTerminal"), lambda: returned({"isTerminal": True}))
    done = await read_run(ann, run["id"], RUN)
    assert (done["status"], "22 °C" in done["messages"]["nodes"][0]["text"]) == ("COMPLETED", True)
    assert await read_run(root, run["id"], RUN) == done
    await eventually_equal(lambda: list_usage(ann), lambda: returned([done["usage"]["totalTokens"]]))
    shown = await ann.data("{ assistants { nodes { id } } }")
    assert shown["assistants"]["nodes"] == [{"id": assistant_id}]


async def returned(value: Any) -> Any:
    return value


async def list_usage(user: UserClient) -> list[int]:
    listed: list[dict[str, Any]] = (await user.data(THREADS))["viewer"]["threads"]["nodes"]
    return [thread["usage"]["totalTokens"] for thread in listed]


async def test_a_thread_that_is_created_with_its_run_is_its_users_own(emulator: Emulator, gateway: Gateway) -> None:
    ann, bob, root = (UserClient(gateway, name) for name in ("ann", "bob", "root"))
    assistant_id = await new_assistant(root)
    made = await succeed(
        ann,
        "createThreadAndRun",
        "run { id } thread { id }",
        assistantId=assistant_id,
        thread={"messages": [QUESTION], "title": "Weather"},
    )
    emulator.clock.advance(LONG_SECONDS)
    run_id = made["run"]["id"]
    await eventually_equal(lambda: read_run(ann, run_id, "isTerminal"), lambda: returned({"isTerminal": True}))
    assert (await read_thread(ann, made["thread"]["id"], "title runs { nodes { status } }")) == {
        "title": "Weather",
        "runs": {"nodes": [{"status": "COMPLETED"}]},
    }
    assert await read_thread(bob, made["thread"]["id"], "title") is None
    await succeed(ann, "deleteThread", "deletedId", threadId=made["thread"]["id"])
    assert await read_run(ann, made["run"]["id"], "status") is None
    assert emulator.counts.by_operation["deleteResponse"] == 1


async def test_a_list_of_conversations_fills_the_threads_of_a_credential(emulator: Emulator, tmp_path: Path) -> None:
    ids = [(await emulator.post("/conversations"))["id"] for _ in range(3)]
    async with running_gateway(
        f"{emulator.root_url}/openai/v1",
        upstream_dialect="foundry-responses",
        gateway_database_url=f"sqlite:///{tmp_path}/ledger.db",
        gateway_ledger_deadline_seconds=DEADLINE_SECONDS,
    ) as gateway:

        async def list_ids() -> list[str]:
            nodes = (await gateway.data(THREADS))["viewer"]["threads"]["nodes"]
            return sorted(node["upstreamId"] for node in nodes)

        await eventually_equal(list_ids, lambda: returned(sorted(ids)))
        assert emulator.counts.by_operation["listConversations"] >= 1
