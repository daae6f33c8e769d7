"""Tests that a run's messages are its own on a server that ignores `run_id`, and that paging finds all of them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schema.contract.keys import RunKey, to_global_id
from tests.schema.operation_helpers import predict
from tests.support.emulator import AUTHORIZATION, Emulator, running_emulator
from tests.support.gateway import running_gateway
from tests.support.subscription_clients import open_socket

PAGE = "nodes { upstreamId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
HEADERS = {"GraphQL-Cost": "1", "Authorization": AUTHORIZATION}


@pytest.fixture(params=["v1", "v2"])
async def emulator(request: pytest.FixtureRequest) -> AsyncIterator[Emulator]:
    async with running_emulator(version=request.param) as emulator:
        yield emulator


async def start_run(emulator: Emulator, thread_id: str) -> str:
    assistant = await emulator.post("/assistants", {"model": "gpt-4o", "instructions": "Be brief."})
    run = await emulator.post(f"/threads/{thread_id}/runs", {"assistant_id": assistant["id"]})
    emulator.clock.advance(10)
    run_id: str = run["id"]
    return run_id


async def add_messages(emulator: Emulator, thread_id: str, count: int) -> None:
    for _ in range(count):
        await emulator.post(f"/threads/{thread_id}/messages", {"role": "user", "content": "Hello"})


async def written(emulator: Emulator, thread_id: str, run_id: str) -> list[str]:
    listed = await emulator.get(f"/threads/{thread_id}/messages", params={"run_id": run_id, "order": "asc"})
    return [message["id"] for message in listed["data"]]


@pytest.mark.parametrize("cached", [False, True])
async def test_a_run_shows_only_its_own_messages(emulator: Emulator, cached: bool) -> None:
    thread_id = (await emulator.post("/threads"))["id"]
    runs = []
    for _ in range(3):
        await add_messages(emulator, thread_id, 2)
        runs.append(await start_run(emulator, thread_id))
    own = [await written(emulator, thread_id, run_id) for run_id in runs]
    assert all(own)
    emulator.misbehave("listMessages:unfiltered")
    one = f'runId: "{runs[1]}"'
    document = f"""{{ thread(id: "{thread_id}") {{
        runs {{ nodes {{ messages {{ nodes {{ upstreamId }} }} }} }}
        first: messages({one}, first: 1) {{ {PAGE} }}
        last: messages({one}, last: 1) {{ {PAGE} }}
        all: messages(first: 100) {{ nodes {{ upstreamId }} }}
    }} }}"""
    dialect = f"openai-{emulator.version}"
    async with running_gateway(emulator.url, upstream_dialect=dialect, gateway_cache=cached) as gateway:
        for _ in range(2):
            emulator.counts.reset()
            answer = (await gateway.post({"query": document}, headers=HEADERS)).json
            assert "errors" not in answer
            assert emulator.counts.total <= answer["extensions"]["cost"]["predictedCalls"] == predict(document)
            found = answer["data"]["thread"]
            assert [ids(run["messages"]) for run in found["runs"]["nodes"]] == own
            assert (ids(found["first"]), ids(found["last"])) == (own[1][:1], own[1][-1:])
            assert len(found["all"]["nodes"]) == 6 + sum(map(len, own))


@pytest.mark.parametrize("backwards", [False, True])
async def test_a_page_is_filled_from_four_further_pages_and_paging_goes_on_where_they_end(
    emulator: Emulator, backwards: bool
) -> None:
    thread_id = (await emulator.post("/threads"))["id"]
    await add_messages(emulator, thread_id, 420)
    run_id = await start_run(emulator, thread_id)
    await add_messages(emulator, thread_id, 420)
    own = await written(emulator, thread_id, run_id)
    emulator.misbehave("listMessages:unfiltered")
    size, cursor_name, cursor = (
        ("last: 5", "before", "startCursor") if backwards else ("first: 5", "after", "endCursor")
    )
    more = "hasPreviousPage" if backwards else "hasNextPage"
    document = f"""query ($cursor: String) {{
        run(id: "{to_global_id(RunKey(thread_id, run_id))}") {{ messages({size}, {cursor_name}: $cursor) {{ {PAGE} }} }}
    }}"""
    async with running_gateway(emulator.url, upstream_dialect=f"openai-{emulator.version}") as gateway:

        async def read_page(at: str | None) -> dict[str, Any]:
            emulator.counts.reset()
            answer = (await gateway.post({"query": document, "variables": {"cursor": at}}, headers=HEADERS)).json
            assert emulator.counts.total <= answer["extensions"]["cost"]["predictedCalls"]
            found: dict[str, Any] = answer["data"]["run"]["messages"]
            return found

        first = await read_page(None)
        assert emulator.counts.by_operation["listMessages"] == 5
        assert (ids(first), first["pageInfo"][more]) == ([], True)
        pages = [first]
        while pages[-1]["pageInfo"][more]:
            pages.append(await read_page(pages[-1]["pageInfo"][cursor]))
        assert [found for page in pages for found in ids(page)] == own
        assert len(pages) == 3


async def test_the_events_of_a_run_have_only_its_own_messages(emulator: Emulator) -> None:
    thread_id = (await emulator.post("/threads"))["id"]
    for _ in range(2):
        await add_messages(emulator, thread_id, 2)
        run_id = await start_run(emulator, thread_id)
    own = await written(emulator, thread_id, run_id)
    emulator.misbehave("listMessages:unfiltered")
    selection = "messages { upstreamId } run { messages { nodes { upstreamId } } }"
    document = f"""subscription {{
        runEvents(runId: "{to_global_id(RunKey(thread_id, run_id))}") {{ ... on RunSnapshot {{ {selection} }} }}
    }}"""
    async with (
        running_gateway(emulator.url, upstream_dialect=f"openai-{emulator.version}") as gateway,
        open_socket(gateway) as socket,
    ):
        snapshot = (await (await socket.subscribe(document)).wait_for_completion())[0]
    assert [one["upstreamId"] for one in snapshot["messages"]] == ids(snapshot["run"]["messages"]) == own


def ids(connection: dict[str, Any]) -> list[str]:
    return [node["upstreamId"] for node in connection["nodes"]]
