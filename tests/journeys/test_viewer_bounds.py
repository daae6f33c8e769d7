"""Tests of what bounds the viewer: no database, one that is away, whose credential it is; and sums of many runs."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.emulator.bodies import reply_objects
from schema.contract.keys import ThreadKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import WEATHER, assistant, succeed
from tests.support.postgresql import PostgreSQL
from tests.support.record_model import read_usage, sum_upstream_usage
from tests.support.signed_in import UserClient
from tests.support.viewer_gateways import (
    clocked_emulator,
    eventually_equal,
    list_ids,
    mortal_gateway,
    read_page,
    viewer_gateway,
)

RECORD = "query ($id: ID!) { thread(id: $id) { createdAt title isArchived lastActivityAt usage { totalTokens } } }"


@pytest.fixture
async def clocked() -> AsyncIterator[Emulator]:
    async with clocked_emulator() as emulator:
        yield emulator


async def create(client: Gateway, text: str) -> str:
    content = [{"content": [{"text": text}]}]
    made = await succeed(client, "createThread", "thread { upstreamId }", messages=content)
    thread_id: str = made["thread"]["upstreamId"]
    return thread_id


async def test_without_a_database_the_viewer_is_known_and_its_list_names_the_setting(gateway: Gateway) -> None:
    answer = await gateway.execute("{ viewer { id threads(first: 1) { nodes { id } } } }")
    assert answer["data"]["viewer"]["id"]
    assert answer["data"]["viewer"]["threads"] is None
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "UNSUPPORTED"
    assert "GATEWAY_DATABASE_URL" in error["message"]


async def test_fields_of_the_record_alone_are_null_while_the_database_is_away(
    clocked: Emulator, postgresql: PostgreSQL
) -> None:
    async with mortal_gateway(clocked, postgresql, postgresql.create_database()) as mortal:
        ann = UserClient(mortal.gateway, "ann")
        thread_id = to_global_id(ThreadKey(await create(ann, "Hello")))
        before = await ann.data(RECORD, {"id": thread_id})
        assert before["thread"]["title"] == "Hello"
        mortal.proxy.cut()
        answer = await ann.execute(RECORD, {"id": thread_id})
        kept = {"title": None, "isArchived": None, "lastActivityAt": None, "usage": None}
        assert answer["data"]["thread"] == {"createdAt": before["thread"]["createdAt"], **kept}
        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "LEDGER_UNAVAILABLE"


async def test_pages_go_both_ways_in_both_orders_and_filters_choose(clocked: Emulator, tmp_path: Path) -> None:
    async with viewer_gateway(clocked, f"sqlite:///{tmp_path}/ledger.db") as gateway:
        ann = UserClient(gateway, "ann")
        used, unused = await assistant(clocked), await assistant(clocked)
        threads = []
        for number in range(5):
            threads.append(await create(ann, f"Question {number}"))
            clocked.clock.advance(10)
        clocked.clock.advance(10)
        since = clocked.clock.now()
        await succeed(ann, "createRun", "run { id }", threadId=threads[1], assistantId=used)
        newest_first = [threads[number] for number in (4, 3, 2, 1, 0)]
        latest_first = [threads[number] for number in (1, 4, 3, 2, 0)]
        for order, expected in (("CREATED", newest_first), ("LAST_ACTIVITY", latest_first)):
            assert await list_ids(ann, orderBy=order) == expected
            first = await read_page(ann, first=3, orderBy=order)
            assert [node["upstreamId"] for node in first["nodes"]] == expected[:3]
            assert first["pageInfo"]["hasNextPage"]
            rest = await read_page(ann, first=3, after=first["pageInfo"]["endCursor"], orderBy=order)
            assert [node["upstreamId"] for node in rest["nodes"]] == expected[3:]
            assert not rest["pageInfo"]["hasNextPage"]
            back = await read_page(ann, last=2, before=rest["pageInfo"]["startCursor"], orderBy=order)
            assert [node["upstreamId"] for node in back["nodes"]] == expected[1:3]
            assert back["pageInfo"]["hasPreviousPage"]
        assert await list_ids(ann, filter={"assistantId": used}) == [threads[1]]
        assert await list_ids(ann, filter={"assistantId": unused}) == []
        whole_seconds = int(since)
        assert await list_ids(ann, filter={"activeSince": _date_time(whole_seconds)}) == [threads[1]]


async def test_a_holder_of_an_invented_or_another_credential_reads_and_writes_nothing(tmp_path: Path) -> None:
    async with (
        clocked_emulator(keys=("one-key", "another-key")) as emulator,
        running_gateway(
            emulator.url,
            upstream_dialect="openai-v2",
            gateway_cache=True,
            gateway_database_url=f"sqlite:///{tmp_path}/ledger.db",
        ) as gateway,
    ):
        one = _client(gateway, "one-key")
        thread_id = await create(one, "Hello")
        assert await list_ids(one) == [thread_id]
        invented, another = _client(gateway, "invented-key"), _client(gateway, "another-key")
        assert await list_ids(another) == []
        answer = await invented.execute("{ viewer { threads(first: 1) { nodes { title } } } }")
        assert answer["data"]["viewer"]["threads"] is None
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]
        for stranger in (invented, another):
            written = await stranger.execute(
                'mutation ($id: ID!) { updateThread(input: {threadId: $id, title: "Mine"}) '
                "{ thread { title } userErrors { code } } }",
                {"id": thread_id},
            )
            assert "Mine" not in str(written)
        assert [node["title"] for node in (await read_page(one, first=5))["nodes"]] == ["Hello"]
        assert await list_ids(another) == []


@pytest.mark.parametrize("count", long_except([100, 1500], [100]))
async def test_usage_is_the_upstream_s_own(
    clocked: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    random = Random(1)
    original = reply_objects._usage

    def with_details(usage: Any, version: Any) -> Any:
        body = original(usage, version)
        if body is not None:
            body["prompt_token_details"] = {"cached_tokens": usage.prompt_tokens // 3}
            body["completion_tokens_details"] = {"reasoning_tokens": usage.completion_tokens // 2}
        return body

    monkeypatch.setattr(reply_objects, "_usage", with_details)
    async with viewer_gateway(clocked, f"sqlite:///{tmp_path}/ledger.db") as gateway:
        ann, bob = UserClient(gateway, "ann"), UserClient(gateway, "bob")
        assistants = [
            await assistant(clocked, instructions="Be brief.", tools=tools)
            for tools in ([], [WEATHER], [{"type": "code_interpreter"}])
        ]
        threads = [await create(ann, "How is the weather?") for _ in range(10)]
        for _ in range(count):
            values: dict[str, Any] = {"threadId": random.choice(threads), "assistantId": random.choice(assistants)}
            scenario = random.choice([None, "fail", "incomplete"])
            if scenario is not None:
                values["metadata"] = {"emulator": scenario}
            made = await ann.execute(
                "mutation ($input: CreateRunInput!) { createRun(input: $input) { run { id } userErrors { code } } }",
                {"input": values},
            )
            if made["data"]["createRun"]["run"] is None:  # one that waits keeps its thread busy until it expires
                clocked.clock.advance(700)
            clocked.clock.advance(LONG_SECONDS)

        async def read_truth() -> object:
            ended = []
            sums = {}
            for thread_id in threads:
                runs = await _all_runs(clocked, thread_id)
                done = [run for run in runs if run["usage"] is not None and run["status"] != "requires_action"]
                sums[thread_id] = sum_upstream_usage(done)
                ended += done
            return sums, sum_upstream_usage(ended)

        async def read_shown() -> object:
            return await read_usage(ann)

        await eventually_equal(read_shown, read_truth)
        _, total = await read_usage(ann)
        assert min(total) > 0
        assert await read_usage(bob) == ({}, (0, 0, 0, 0, 0))


async def _all_runs(emulator: Emulator, thread_id: str) -> list[Any]:
    runs: list[Any] = []
    after = ""
    while True:
        page = await emulator.get(f"/threads/{thread_id}/runs?limit=100{after}")
        runs += page["data"]
        if not page["has_more"]:
            return runs
        after = f"&after={page['last_id']}"


def _client(gateway: Gateway, key: str) -> Gateway:
    client = Gateway(gateway.url, gateway.session, credential=f"Bearer {key}")
    client.app = gateway.app
    return client


def _date_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
