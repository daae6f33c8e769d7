"""Tests that a thread is its creator's or nobody's, whichever message of a mutation to the database is the last."""

import itertools
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from gateway.emulator.http.partitions import partition_from_key
from gateway.ledger.ledger_store import ObjectKind
from tests.support.emulator import KEY, Emulator
from tests.support.full_runs import long_except
from tests.support.mutations import assistant, succeed
from tests.support.postgresql import PostgreSQL
from tests.support.proxied_database import (
    BUSY_SECONDS,
    DEADLINE_SECONDS,
    METADATA,
    Gateways,
    lose_each_message,
    running_gateways,
)
from tests.support.signed_in import UNKNOWN, UserClient, owner

MUTATIONS = {
    "createThread": "mutation { createThread(input: {}) { thread { upstreamId } } }",
    "createThreadAndRun": """mutation ($assistant: ID!) { createThreadAndRun(input: {
        assistantId: $assistant, thread: {messages: [{content: [{text: "Hello"}]}]} }) { thread { upstreamId } } }""",
    "deleteThread": "mutation ($thread: ID!) { deleteThread(input: {threadId: $thread}) { deletedId } }",
}
KINDS = ("createThread", "streamed createThreadAndRun", "plain createThreadAndRun", "deleteThread", "cold deleteThread")


@dataclass
class Scene:
    """The gateways, and an assistant for runs."""

    gateways: Gateways
    assistant_id: str

    @property
    def upstream_threads(self) -> set[str]:
        return {thread.id for thread in self.gateways.emulator.store.threads.list_all(partition_from_key(KEY), None)}

    async def prepare(self, kind: str) -> dict[str, Any]:
        """Make what a mutation needs, and return its variables."""
        if "Run" in kind:
            return {"assistant": self.assistant_id}
        if "delete" not in kind:
            return {}
        made = await succeed(UserClient(self.gateways.direct, "ann"), "createThread", "thread { upstreamId }")
        if "cold" not in kind:
            await self.gateways.wait_for_answer(made["thread"]["upstreamId"])
        return {"thread": made["thread"]["upstreamId"]}

    async def check_readers(self, thread_id: str) -> None:
        """Check who reaches a thread of Ann's, at a gateway that learned of it from the database alone."""
        direct, counts = self.gateways.direct, self.gateways.emulator.counts
        found = await UserClient(direct, "ann").execute(METADATA, {"id": thread_id})
        assert found == {"data": {"thread": {"metadata": {}}}}
        counts.reset()
        assert await UserClient(direct, "bob").execute(METADATA, {"id": thread_id}) == {"data": {"thread": None}}
        assert counts.total == 0


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("kind", "fault"),
    long_except(
        itertools.product(KINDS, ("cut", "swallow")),
        [("createThread", "cut"), ("streamed createThreadAndRun", "swallow"), ("cold deleteThread", "cut")],
    ),
)
async def test_a_database_lost_at_any_message_leaves_the_right_owner_or_none(
    emulator: Emulator, postgresql: PostgreSQL, request: pytest.FixtureRequest, kind: str, fault: str
) -> None:
    # Of two runs, the second is not streamed, because the stream of the first never ends.
    settings = {"upstream_max_streams": 1} if "plain" in kind else {}
    async with running_gateways(emulator, postgresql, **settings) as gateways:
        scene = Scene(gateways, await assistant(emulator))
        if "plain" in kind:
            await gateways.wait_for_answer(UNKNOWN.thread)
            await gateways.ann.data(MUTATIONS["createThreadAndRun"], await scene.prepare(kind))
        is_full = request.config.getoption("full")
        await lose_each_message(gateways, partial(lose_database, scene, kind, fault), is_full=is_full)


async def lose_database(scene: Scene, kind: str, fault: str, chunk: int) -> bool:
    """Run a mutation, and lose the database in place of its message with this number. Returns whether it has one."""
    gateways, variables = scene.gateways, await scene.prepare(kind)
    before = scene.upstream_threads
    gateways.proxy.arm(chunk, getattr(gateways.proxy, fault))
    started = time.monotonic()
    answer = await gateways.ann.execute(MUTATIONS[kind.rsplit(maxsplit=1)[-1]], variables)
    assert time.monotonic() - started < 2 * DEADLINE_SECONDS + BUSY_SECONDS
    is_lost = gateways.proxy.disarm()
    made, deleted = scene.upstream_threads - before, before - scene.upstream_threads
    await gateways.recover()
    if "errors" in answer:
        (error,) = answer["errors"]
        assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("LEDGER_UNAVAILABLE", True)
        assert made == deleted == set()
    if "delete" in kind:
        thread_id = variables["thread"]
        assert deleted == (set() if "errors" in answer else {thread_id})
        await gateways.wait_for_owners(ObjectKind.THREAD, {thread_id}, {} if deleted else {thread_id: owner("ann")})
    elif made:
        (thread_id,) = made
        assert answer["data"][kind.rsplit(maxsplit=1)[-1]]["thread"] == {"upstreamId": thread_id}
        await gateways.wait_for_owners(ObjectKind.THREAD, made, {thread_id: owner("ann")})
        await scene.check_readers(thread_id)
    return is_lost
