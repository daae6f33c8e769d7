"""The demo over the emulator's second face: everything that it shows over the first one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from graphql import OperationType

from gateway.compose import DEMO_KEY
from gateway.emulator.demo import seed
from schema.contract.keys import ThreadKey, to_global_id
from tests.support.emulator import Emulator, running_emulator
from tests.support.examples import load_examples
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_demo_gateway
from tests.support.mutations import succeed

DIALECTS = ("openai-responses", "foundry-responses", "lenient-responses")

LISTS = """
    { viewer { threads(first: 20) { nodes { upstreamId title } } waitingRuns(first: 5) { nodes { upstreamId } } } }
"""

THREAD = """
    query ($id: ID!) { thread(id: $id) {
        id metadata
        runs(first: 50) { nodes { id status assistant { name } steps(first: 50) { nodes { __typename } } } }
        messages(first: 200) { nodes { role createdAt text run { id } } }
    } }
"""


@asynccontextmanager
async def running_demo(emulator: Emulator, **settings: Any) -> AsyncIterator[Gateway]:
    async with running_demo_gateway(emulator, **settings) as gateway:
        gateway.credential = f"Bearer {DEMO_KEY}"
        yield gateway


@pytest.fixture
async def demo_emulator() -> AsyncIterator[Emulator]:
    async with running_emulator(seed_keys=(DEMO_KEY,)) as emulator:
        yield emulator


@pytest.fixture(params=long_except(DIALECTS, ["openai-responses"]))
async def demo(request: pytest.FixtureRequest, demo_emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_demo(demo_emulator, upstream_dialect=request.param) as gateway:
        yield gateway


async def read_conversation(gateway: Gateway, number: int) -> Any:
    global_id = to_global_id(ThreadKey(seed.DEMO_CONVERSATIONS[number]))
    return (await gateway.data(THREAD, {"id": global_id}))["thread"]


async def test_the_assistants_of_the_demo_are_there(demo: Gateway) -> None:
    found = (await demo.data("{ assistants(first: 10) { nodes { id name model tools { __typename } } } }"))[
        "assistants"
    ]
    assert len(found["nodes"]) == 4
    assert all(one["name"] and one["model"] for one in found["nodes"])
    assert sum(len(one["tools"]) for one in found["nodes"]) == 6


async def test_the_list_has_every_conversation_with_its_title(demo: Gateway) -> None:
    viewer = (await demo.data(LISTS))["viewer"]
    titles = {node["upstreamId"]: node["title"] for node in viewer["threads"]["nodes"]}
    assert titles.keys() == set(seed.DEMO_CONVERSATIONS)
    assert all(titles.values())
    assert len(viewer["waitingRuns"]["nodes"]) == 1


async def test_every_conversation_shows_its_runs_with_their_assistants_and_its_messages_with_their_times(
    demo: Gateway,
) -> None:
    threads = [await read_conversation(demo, number) for number in range(len(seed.DEMO_CONVERSATIONS))]
    statuses = [[run["status"] for run in thread["runs"]["nodes"]] for thread in threads]
    assert statuses[2] == ["REQUIRES_ACTION"]
    assert sorted(statuses[4]) == ["CANCELLED", "COMPLETED", "FAILED", "INCOMPLETE"]
    for thread in threads:
        runs = thread["runs"]["nodes"]
        assert all(run["assistant"]["name"] for run in runs)
        assert all(run["steps"]["nodes"] for run in runs if run["status"] == "COMPLETED")
        messages = thread["messages"]["nodes"]
        times = [message["createdAt"] for message in messages]
        assert times == sorted(times)
        assert len(set(times)) > len(times) / 2
        run_ids = {run["id"] for run in runs}
        assert {message["run"]["id"] for message in messages if message["run"]} <= run_ids
        completed = {run["id"] for run in runs if run["status"] == "COMPLETED"}
        assert completed <= {message["run"]["id"] for message in messages if message["run"]}
    assert len(threads[5]["messages"]["nodes"]) == 140


async def test_the_examples_show_the_conversations_in_place_of_the_threads_that_they_name(demo: Gateway) -> None:
    failed = set()
    for example in load_examples():
        if OperationType.SUBSCRIPTION not in example.kinds:
            answer = await demo.execute(example.text)
            if "errors" in answer or any(
                isinstance(one, dict) and one.get("userErrors") for one in answer["data"].values()
            ):
                failed.add(example.name)
    # Three name a run, which has another id here, so that a server refuses it or finds none. A message has no metadata.
    assert failed <= {"04-run-with-steps", "08-nodes", "12-answer-tool-calls", "11-reply"}


async def test_the_run_that_waits_goes_on_when_its_call_is_answered(demo_emulator: Emulator, demo: Gateway) -> None:
    thread = await read_conversation(demo, 2)
    (run,) = thread["runs"]["nodes"]
    query = """query ($id: ID!) { run(id: $id) { requiredAction {
        ... on SubmitToolOutputsAction { toolCalls { callId } } } } }"""
    (call,) = (await demo.data(query, {"id": run["id"]}))["run"]["requiredAction"]["toolCalls"]
    outputs = [{"callId": call["callId"], "output": "refunded"}]
    await succeed(demo, "submitToolOutputs", "run { id }", runId=run["id"], toolOutputs=outputs)
    demo_emulator.clock.advance(60)
    (run,) = (await read_conversation(demo, 2))["runs"]["nodes"]
    assert run["status"] == "COMPLETED"


async def test_in_a_database_the_demo_keeps_what_was_done_with_it(demo_emulator: Emulator, tmp_path: Path) -> None:
    options = {
        "upstream_dialect": "openai-responses",
        "gateway_database_url": f"sqlite:///{tmp_path}/ledger.db",
        "gateway_ledger_deadline_seconds": 5.0,
    }
    async with running_demo(demo_emulator, **options) as gateway:
        (assistant, *_) = (await gateway.data("{ assistants(first: 1) { nodes { id } } }"))["assistants"]["nodes"]
        await succeed(gateway, "updateAssistant", "assistant { id }", assistantId=assistant["id"], name="Renamed")
        await succeed(
            gateway, "cancelRun", "run { id }", runId=(await read_conversation(gateway, 2))["runs"]["nodes"][0]["id"]
        )
    async with running_demo(demo_emulator, **options) as gateway:
        names = (await gateway.data("{ assistants(first: 9) { nodes { name } } }"))["assistants"]["nodes"]
        assert {"name": "Renamed"} in names
        assert len(names) == 4
        (run,) = (await read_conversation(gateway, 2))["runs"]["nodes"]
        assert run["status"] == "CANCELLED"
