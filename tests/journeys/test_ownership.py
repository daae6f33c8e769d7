"""Tests that a user reaches their own threads alone, whichever way leads to another's, and an admin every thread."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.ledger.ledger_store import ObjectKind
from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.stored_ownership import StoredOwnership
from tests.support.emulator import Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.signed_in import (
    UNKNOWN,
    Ids,
    UserClient,
    ann,
    bob,
    create_conversation,
    owner,
    root,
    running_ownership,
    signed_in_gateway,
)
from tests.support.subscription_clients import open_socket
from tests.support.thread_documents import MUTATIONS, READS, SUBSCRIPTIONS, mutation, variables_of

__all__ = ["ann", "bob", "root"]  # fixtures


@pytest.fixture
async def ownership() -> AsyncIterator[StoredOwnership]:
    async with running_ownership() as ownership:
        yield ownership


@pytest.fixture
async def gateway(emulator: Emulator, ownership: StoredOwnership) -> AsyncIterator[Gateway]:
    async with signed_in_gateway(emulator, ownership, gateway_cost=True) as gateway:
        yield gateway


@pytest.fixture
async def anns(emulator: Emulator, ann: UserClient) -> Ids:
    return await create_conversation(emulator, ann)


async def ask(user: UserClient, document: str, ids: Ids) -> dict[str, Any]:
    return await user.execute(document, variables_of(document, ids))


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


async def test_the_answer_is_the_one_that_the_upstream_gives_for_an_unknown_thread(
    emulator: Emulator, bob: UserClient
) -> None:
    """A gateway that passes credentials on asks the upstream, which has a sentence for it."""
    async with running_gateway(emulator.url, upstream_dialect="openai-v2", gateway_cost=True) as passing_on:
        for document in (*READS.values(), *map(mutation, MUTATIONS)):
            theirs = await ask(bob, document, UNKNOWN)
            upstreams = await passing_on.execute(document, variables_of(document, UNKNOWN))
            for error in upstreams.get("errors", ()):
                error["extensions"].pop("upstreamRequestId")
            assert [theirs.get(part) for part in ("data", "errors")] == [
                upstreams.get(part) for part in ("data", "errors")
            ], document
    assert emulator.counts.total > 0


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


async def test_a_cold_read_makes_the_upstream_calls_that_it_makes_without_sign_in(emulator: Emulator) -> None:
    """The owner costs a look-up in the ledger, in memory or not, and never a call or a longer chain."""
    document = """query Q1($id: ID!) { thread(id: $id) { id createdAt messages(first: 20) {
        edges { cursor node { id role createdAt content { ... on TextContent { text } } } }
        pageInfo { hasNextPage endCursor } } } }"""
    body = {"messages": [{"role": "user", "content": f"Question {number}"} for number in range(20)]}
    thread_id = (await emulator.post("/threads", body))["id"]
    store = MemoryStore()
    await store.adopt_objects(ObjectKind.THREAD, {thread_id: owner("ann")}, 0)
    settings: dict[str, Any] = {"gateway_cost": True, "gateway_cache": False}
    async with (
        running_ownership(store) as ownership,
        running_gateway(emulator.url, upstream_dialect="openai-v2", **settings) as plain,
        signed_in_gateway(emulator, ownership, **settings) as signed_in,
    ):
        calls, costs = [], []
        ann = UserClient(signed_in, "ann")
        for client in (plain, ann, ann):
            emulator.counts.reset()
            answer = await client.execute(document, {"id": thread_id})
            assert len(answer["data"]["thread"]["messages"]["edges"]) == 20
            calls.append(dict(emulator.counts.by_operation))
            costs.append((answer["extensions"]["cost"]["upstreamCalls"], answer["extensions"]["cost"]["longestChain"]))
    assert calls == [{"getThread": 1, "listMessages": 1}] * 3
    assert costs == [(2, 1)] * 3
