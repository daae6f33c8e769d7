"""Tests that a deletion is never forgotten, whichever message to the database is lost and whichever gateway dies."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from tests.support.emulator import Emulator
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway
from tests.support.mutations import succeed
from tests.support.postgresql import PostgreSQL
from tests.support.record_model import WHOLE_THREAD
from tests.support.signed_in import UserClient
from tests.support.valkey import Valkey
from tests.support.viewer_gateways import (
    clocked_emulator,
    eventually_equal,
    list_ids,
    mortal_gateway,
    read_page,
    wait_for_database,
)

UNFINISHED_SECONDS = 200.0
"""Longer than a gateway waits before it finishes the deletions of another one."""

DELETE_THREAD = "mutation ($id: ID!) { deleted: deleteThread(input: {threadId: $id}) { deletedId } }"
DELETE_MESSAGE = "mutation ($id: ID!) { deleted: deleteMessage(input: {messageId: $id}) { deletedId } }"


@pytest.fixture
async def clocked() -> AsyncIterator[Emulator]:
    async with clocked_emulator() as emulator:
        yield emulator


class Deletion:
    """A thread with one message, of which one is deleted, and what is shown of it."""

    def __init__(self, kind: str, client: Gateway, thread: dict[str, Any], message_id: str, word: str) -> None:
        self._client = client
        self._thread = thread
        self._word = word
        self.kind = kind
        self.document = DELETE_THREAD if kind == "thread" else DELETE_MESSAGE
        self.variables = {"id": thread["id"] if kind == "thread" else message_id}

    @property
    def thread_id(self) -> str:
        thread_id: str = self._thread["upstreamId"]
        return thread_id

    async def read_shown(self, client: Gateway) -> dict[str, Any]:
        """Return what a gateway shows of the thread."""
        listed = [
            node for node in (await read_page(client, first=100))["nodes"] if node["upstreamId"] == self.thread_id
        ]
        return {
            "titles": [node["title"] for node in listed],
            "found": await list_ids(client, filter={"text": self._word}) == [self.thread_id],
        }

    async def read_upstream(self, client: Gateway) -> None:
        """Read the thread and its message from the upstream, past every cache."""
        await client.data(WHOLE_THREAD, {"id": self.thread_id})

    def expected(self, *, deleted: bool) -> dict[str, Any]:
        """Return what is to be shown."""
        if not deleted:
            return {"titles": [f"{self._word} and more"], "found": True}
        return {"titles": [] if self.kind == "thread" else [None], "found": False}


async def prepare(kind: str, client: Gateway, number: int) -> Deletion:
    word = f"secret{number}x"
    made = await succeed(client, "createThread", "thread { id upstreamId }")
    content = [{"text": f"{word} and more"}]
    written = await succeed(client, "createMessage", "message { id }", threadId=made["thread"]["id"], content=content)
    deletion = Deletion(kind, client, made["thread"], written["message"]["id"], word)
    await eventually(lambda: deletion.read_shown(client), deletion.expected(deleted=False))
    return deletion


async def eventually(read: Callable[[], Awaitable[Any]], expected: object) -> None:
    async def wanted() -> object:
        return expected

    await eventually_equal(read, wanted)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["thread", "message"])
@pytest.mark.parametrize("between", long_except([4, 1], [4]))
async def test_whatever_is_lost_before_a_gateway_dies_only_what_was_refused_is_found(
    clocked: Emulator, postgresql: PostgreSQL, valkey: Valkey, kind: str, between: int
) -> None:
    url = postgresql.create_database()
    settings: dict[str, Any] = {"redis_url": valkey.url, "redis_deadline_seconds": 5.0}
    async with (
        mortal_gateway(clocked, postgresql, url, **settings) as mortal,
        mortal_gateway(clocked, postgresql, url, **settings) as other,
    ):
        there = UserClient(other.gateway, "ann")
        outcomes = []
        for chunk in itertools.count(0, between):
            deletion = await prepare(kind, UserClient(mortal.gateway, "ann"), chunk)
            mortal.proxy.arm(chunk, mortal.proxy.cut)
            answer = await UserClient(mortal.gateway, "ann").execute(deletion.document, deletion.variables)
            is_lost = mortal.proxy.disarm()
            is_deleted = "errors" not in answer
            if not is_deleted:
                assert answer["errors"][0]["extensions"]["code"] == "LEDGER_UNAVAILABLE"
            clocked.clock.advance(UNFINISHED_SECONDS)
            await mortal.die()  # its successor looks for what is unfinished
            here = UserClient(mortal.gateway, "ann")
            await wait_for_database(here)
            if not is_deleted:  # if only the answer to its mark was lost, it is back when it is read later
                clocked.clock.advance(UNFINISHED_SECONDS)
                await deletion.read_upstream(here)
            for client in (here, there):
                await eventually(partial(deletion.read_shown, client), deletion.expected(deleted=is_deleted))
            outcomes.append(is_deleted)
            if not is_lost:
                break
        assert set(outcomes) == {False, True}
