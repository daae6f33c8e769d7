"""Tests that the log of a run or thread is followed by those who may reach its thread, once for all of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.background_tasks import end_tasks
from gateway.cache.shared_cache import SharedCache
from gateway.ledger import owner_watch
from gateway.ledger.ledger_store import MadeFile
from gateway.ledger.owner_watch import CHECK_SECONDS, OwnerWatch
from gateway.ledger.user_ports import UserPorts
from gateway.run_log.hub import RunLogHub
from gateway.run_log.store.event_log import LogName
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import EventFeed, RunEvents
from schema.contract.run_events import SnapshotChange
from tests.gateway.ledger.owned_ports import GATEWAY, SCOPES, UPSTREAM, scope_of
from tests.support.fake_ownership import FakeOwnership
from tests.support.run_log_processes import RUN, THREAD, World, a_message, settle
from tests.support.signed_in import owner, principal

GONE = "NOT_FOUND: No thread found with id 'thread_1'."
ANNS_LOG = LogName(scope_of("ann"), RUN)


class Users:
    """The users of one process, over one upstream with one run in Ann's thread."""

    def __init__(self, world: World, shared: SharedCache) -> None:
        self.world = world
        self.ownership = FakeOwnership({THREAD.thread_id: owner("ann")})
        now = world.clock.now
        self.hub = RunLogHub(world.log, now_seconds=now, now=now, sleep=world.sleep)
        self.ports = UserPorts(self.ownership, UPSTREAM, shared)
        self.watch = OwnerWatch(self.hub, self.ownership, SCOPES, sleep=world.sleep)
        self._feeds: list[EventFeed] = []

    def events(self, name: str) -> RunEvents:
        return self.ports.bind_events(
            principal(name, UPSTREAM), lambda scope: self.hub.bind(scope, lambda: self.world.api)
        )

    async def follow(self, name: str, after: str | None = None) -> EventFeed:
        feed: EventFeed = await self.world.during(self.events(name).follow_run(RUN, after=after))
        self._feeds.append(feed)
        return feed

    async def close(self) -> None:
        for feed in self._feeds:
            await feed.aclose()
        await self.hub.close()
        await self.world.close()


@pytest.fixture
async def users() -> AsyncIterator[Users]:
    world = World()
    world.put_run("in_progress", instructions="Be secret.")
    async with SharedCache() as shared:
        users = Users(world, shared)
        yield users
        await users.close()


def end_of(feed: EventFeed) -> str | None:
    """Return the code and message of the error that ended a feed, or None if it goes on."""
    try:
        while feed.poll_event() is not None:
            pass
    except GatewayError as error:
        return f"{error.code}: {error.message}"
    return None


FOLLOWS: list[Callable[[RunEvents, str | None], Awaitable[EventFeed]]] = [
    lambda events, after: events.follow_status(RUN, after=after),
    lambda events, after: events.follow_run(RUN, after=after),
    lambda events, after: events.follow_thread(THREAD, after=after),
]


@pytest.mark.parametrize("follow", FOLLOWS, ids=["status", "run", "thread"])
@pytest.mark.parametrize("cursor", ["none", "garbage", "the owner's"])
async def test_anothers_log_is_that_of_a_missing_thread_with_any_cursor(users: Users, follow: Any, cursor: str) -> None:
    snapshot = (await users.follow("ann")).poll_event()
    assert snapshot is not None
    after = {"none": None, "garbage": "x", "the owner's": snapshot.cursor}[cursor]
    users.world.api.calls.clear()
    followed = users.hub.list_followed()
    with pytest.raises(GatewayError) as refused:
        await follow(users.events("bob"), after)
    assert (refused.value.code, refused.value.message) == (ErrorCode.NOT_FOUND, "No thread found with id 'thread_1'.")
    assert users.world.api.calls == []
    assert users.hub.list_followed() == followed


@pytest.mark.parametrize("name", ["ann", "root"])
async def test_a_process_that_shows_an_event_knows_whose_its_files_are(users: Users, name: str) -> None:
    """Also if another process wrote the log, and could not store the owners."""
    image = [{"type": "image_file", "image_file": {"file_id": "file-1"}}]
    users.world.put_message(a_message(status="completed", content=image))
    feed = await users.follow(name)
    assert users.ownership.made_files == []
    assert feed.poll_event() is not None
    assert users.ownership.made_files == [MadeFile("file-1", THREAD.thread_id, owner("ann"))]


async def test_an_owner_and_an_admin_follow_one_log_with_one_reader_of_the_upstream(users: Users) -> None:
    owners = await users.follow("ann")
    polls = users.world.polls()
    admins = await users.follow("root")
    assert users.hub.list_followed() == [ANNS_LOG]
    first, second = owners.poll_event(), admins.poll_event()
    assert first is not None
    assert second is not None
    assert first.cursor == second.cursor
    assert users.world.polls() <= polls + 1  # for the second reader's present state
    resumed = await users.follow("root", after=first.cursor)
    assert resumed.poll_event() is None


async def test_readers_share_an_event_as_each_may_see_it(users: Users) -> None:
    seen = {}
    for name in ("ann", "root"):
        first, second = [(await users.follow(name)).poll_event() for _ in range(2)]
        assert first is second
        assert first is not None
        assert isinstance(first.change, SnapshotChange)
        seen[name] = first.change.run.instructions
    assert seen == {"ann": None, "root": "Be secret."}


async def test_readers_end_when_the_thread_is_given_to_another_and_the_new_owner_begins_anew(users: Users) -> None:
    feeds = [await users.follow(name) for name in ("ann", "root")]
    await users.watch.check_owners()
    assert [end_of(feed) for feed in feeds] == [None, None]
    users.ownership.owners[THREAD.thread_id] = owner("bob")
    await users.watch.check_owners()
    assert {end_of(feed) for feed in feeds} == {GONE}
    with pytest.raises(GatewayError):
        await users.follow("ann")
    new = await users.follow("bob")
    assert new.poll_event() is not None
    await users.watch.check_owners()
    assert end_of(new) is None


async def test_readers_end_when_the_owner_is_forgotten(users: Users) -> None:
    feed = await users.follow("ann")
    users.ownership.owners.clear()
    await users.watch.check_owners()
    assert end_of(feed) == GONE


async def test_readers_stay_while_the_ledger_does_not_answer(users: Users) -> None:
    feed = await users.follow("ann")
    users.ownership.is_down = True
    await users.watch.check_owners()
    assert end_of(feed) is None


async def test_an_admin_follows_a_thread_without_an_owner_until_it_has_one(users: Users) -> None:
    users.ownership.owners.clear()
    feed = await users.follow("root")
    assert users.hub.list_followed() == [LogName(GATEWAY, RUN)]
    await users.watch.check_owners()
    assert end_of(feed) is None
    users.ownership.owners[THREAD.thread_id] = owner("bob")
    await users.watch.check_owners()
    assert end_of(feed) is not None


async def test_owners_are_compared_again_and_again_in_one_look_up(
    users: Users, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds = [await users.follow("ann") for _ in range(3)]
    users.ownership.look_ups.clear()
    watching = asyncio.create_task(users.watch.run())
    await users.world.pass_seconds(CHECK_SECONDS + 1, step=1)
    assert users.ownership.look_ups == [[THREAD.thread_id]]
    monkeypatch.setattr(users.hub, "list_followed", lambda: 1 / 0)
    await users.world.pass_seconds(CHECK_SECONDS, step=1)
    assert "could not be checked" in caplog.text
    monkeypatch.undo()
    users.ownership.owners.clear()
    await users.world.pass_seconds(CHECK_SECONDS, step=1)
    assert all(end_of(feed) is not None for feed in feeds)
    watching.cancel()
    await settle()
    assert watching.cancelled()


async def test_whoever_does_not_sign_in_follows_on_beside_a_ledger_of_owners(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their logs lie in the scopes of their credentials, which no owner has."""
    monkeypatch.setattr(owner_watch, "CHECK_SECONDS", 0)  # in each turn of the loop
    events = users.hub.bind("digest-of-a-key", lambda: users.world.api)
    feed = await users.world.during(events.follow_run(RUN))
    watching = asyncio.create_task(users.ports.watch_owners(users.hub))
    try:
        await settle()
        assert end_of(feed) is None
        anns = await users.follow("ann")
        users.ownership.owners.clear()
        await settle()
        assert end_of(anns) == GONE
    finally:
        await end_tasks(watching)
        await feed.aclose()
