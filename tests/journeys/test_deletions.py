"""Tests that a deletion is never forgotten, whichever message to the database is lost and whichever gateway dies."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from schema.contract.keys import MessageKey, to_global_id
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
    viewer_gateway,
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
@pytest.mark.parametrize(
    ("kind", "between"), long_except([("message", 5), ("message", 1), ("thread", 1)], [("message", 5)])
)
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


async def test_a_message_that_is_deleted_elsewhere_is_found_until_its_thread_is_read(
    clocked: Emulator, tmp_path: Path
) -> None:
    read = "query ($id: ID!) { thread(id: $id) { messages(first: 50) { nodes { text } } } }"
    page = "query ($id: ID!) { thread(id: $id) { messages(last: 2) { nodes { text } } } }"
    async with viewer_gateway(clocked, f"sqlite:///{tmp_path}/ledger.db", gateway_cache=False) as gateway:
        ann = UserClient(gateway, "ann")
        messages = [{"content": [{"text": f"{word} and more"}]} for word in ("alpha", "beta", "gamma")]
        made = await succeed(ann, "createThread", "thread { id upstreamId }", messages=messages)
        thread = made["thread"]
        await ann.data(read, {"id": thread["id"]})

        async def find() -> list[bool]:
            return [bool(await list_ids(ann, filter={"text": word})) for word in ("alpha", "beta", "gamma")]

        async def title() -> str | None:
            (shown,) = (await read_page(ann, first=1))["nodes"]
            found: str | None = shown["title"]
            return found

        await eventually(find, [True, True, True])
        listed = await clocked.get(f"/threads/{thread['upstreamId']}/messages?order=asc")
        alpha, _, gamma = (message["id"] for message in listed["data"])
        for message_id in (alpha, gamma):
            await clocked.delete(f"/threads/{thread['upstreamId']}/messages/{message_id}")
        clocked.clock.advance(60.0)
        await ann.data(page, {"id": thread["id"]})
        await ann.data(read, {"id": thread["id"]})
        await eventually(find, [False, True, False])
        await eventually(title, "beta and more")
        # One that is asked for by its id, too.
        left = await clocked.get(f"/threads/{thread['upstreamId']}/messages")
        beta = left["data"][0]["id"]
        await clocked.delete(f"/threads/{thread['upstreamId']}/messages/{beta}")
        global_id = to_global_id(MessageKey(thread["upstreamId"], beta))
        asked = await ann.data("query ($id: ID!) { message(id: $id) { text } }", {"id": global_id})
        assert asked == {"message": None}
        await eventually(find, [False, False, False])
        await eventually(title, None)
