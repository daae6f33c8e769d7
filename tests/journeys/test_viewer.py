"""Tests the viewer over a real gateway, emulator and database: the list, titles, what they cost, events, faults."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.compose_options import upstream_identity, upstream_options
from gateway.config import Settings
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import LedgerStore, LedgerUnavailableError
from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.open_store import open_store
from gateway.ledger.ownership import BorrowedLedger
from tests.support.emulator import Emulator, running_emulator
from tests.support.examples import following
from tests.support.gateway import Gateway, running_gateway
from tests.support.log_lines import collected_lines
from tests.support.postgresql import PostgreSQL

COST = {"GraphQL-Cost": "1"}
OTHER = {"Authorization": "Bearer sk-another"}
CREATE = """mutation ($title: String, $text: String!) {
  createThread(input: { title: $title, messages: [{ content: [{ text: $text }] }] }) {
    thread { id title isArchived }
    userErrors { code field }
  }
}"""
CHANGE = """mutation ($in: UpdateThreadInput!) {
  updateThread(input: $in) { thread { id title isArchived } userErrors { code field } }
}"""
LIST = """query ($first: Int, $after: String, $last: Int, $before: String, $filter: ThreadFilter) {
  viewer { threads(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: CREATED) {
    nodes { id title isArchived lastActivityAt usage { totalTokens } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  } }
}"""
EVENTS = """subscription { viewerEvents {
  __typename
  ... on ThreadChanged { thread { id title isArchived } }
  ... on ThreadRemoved { deletedId }
  ... on Lagged { skipped }
} }"""


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with running_emulator() as emulator:
        yield emulator


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.full)])
async def gateway(emulator: Emulator, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    store: LedgerStore = MemoryStore()
    if request.param != "memory":
        url = f"sqlite:///{tmp_path}/ledger.db"
        if request.param == "postgresql":
            server: PostgreSQL = request.getfixturevalue("postgresql")
            url = server.create_database()
        store = await open_store(url, upstream_identity(upstream_options(Settings(upstream_url=emulator.url))))
    link = LedgerLink(store, deadline_seconds=5)
    async with running_gateway(emulator.url, ledger=BorrowedLedger(None, link), gateway_cache=True) as gateway:
        yield gateway
    await link.aclose()
    await store.aclose()


async def create(gateway: Gateway, emulator: Emulator, title: str | None, text: str = "Hello") -> str:
    emulator.clock.advance(1)
    payload = (await gateway.data(CREATE, {"title": title, "text": text}))["createThread"]
    assert payload["userErrors"] == []
    thread_id: str = payload["thread"]["id"]
    return thread_id


async def listed(gateway: Gateway, **variables: Any) -> Any:
    return (await gateway.data(LIST, variables))["viewer"]["threads"]


async def test_threads_are_listed_with_titles_that_were_given_or_are_the_first_words(
    gateway: Gateway, emulator: Emulator
) -> None:
    first = await create(gateway, emulator, "Tea")
    second = await create(gateway, emulator, None, "Which cake goes with it?")
    nodes = (await listed(gateway))["nodes"]
    assert [(node["id"], node["title"]) for node in nodes] == [(second, "Which cake goes with it?"), (first, "Tea")]
    assert [node["isArchived"] for node in nodes] == [False, False]


async def test_a_list_and_a_new_title_cost_no_call_and_are_never_repeated_from_the_cache(
    gateway: Gateway, emulator: Emulator
) -> None:
    thread_id = await create(gateway, emulator, "Tea")
    await listed(gateway)
    emulator.counts.reset()
    for title in ("Green tea", "Black tea"):
        answer = await gateway.execute(CHANGE, {"in": {"threadId": thread_id, "title": title}}, COST)
        assert answer["data"]["updateThread"]["thread"]["title"] == title
        assert answer["extensions"]["cost"]["upstreamCalls"] == 0
        answer = await gateway.execute(LIST, {"filter": {"text": title}}, COST)
        assert [node["title"] for node in answer["data"]["viewer"]["threads"]["nodes"]] == [title]
        assert (answer["extensions"]["cost"]["upstreamCalls"], answer["extensions"]["cost"]["predictedCalls"]) == (0, 0)
    assert emulator.counts.total == 0


async def test_an_archived_thread_leaves_the_list_and_comes_back(gateway: Gateway, emulator: Emulator) -> None:
    thread_id = await create(gateway, emulator, "Tea")
    for is_archived, shown in ((True, []), (False, [thread_id])):
        await gateway.data(CHANGE, {"in": {"threadId": thread_id, "isArchived": is_archived}})
        assert [node["id"] for node in (await listed(gateway, filter={"isArchived": False}))["nodes"]] == shown
    assert [node["id"] for node in (await listed(gateway, filter={"isArchived": True}))["nodes"]] == []


async def test_the_pages_are_the_list_both_ways(gateway: Gateway, emulator: Emulator) -> None:
    created = [await create(gateway, emulator, f"T{number}") for number in range(5)]
    whole = [node["id"] for node in (await listed(gateway))["nodes"]]
    assert whole == created[::-1]
    forwards: list[str] = []
    backwards: list[str] = []
    page = await listed(gateway, first=2)
    while True:
        forwards += [node["id"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        page = await listed(gateway, first=2, after=page["pageInfo"]["endCursor"])
    page = await listed(gateway, last=2)
    while True:
        backwards = [node["id"] for node in page["nodes"]] + backwards
        if not page["pageInfo"]["hasPreviousPage"]:
            break
        page = await listed(gateway, last=2, before=page["pageInfo"]["startCursor"])
    assert forwards == backwards == whole


async def test_another_callers_list_title_and_events_are_their_own(gateway: Gateway, emulator: Emulator) -> None:
    thread_id = await create(gateway, emulator, "Secret tea")
    await gateway.execute(CREATE, {"title": "Theirs", "text": "Hi"}, OTHER)
    theirs = await gateway.execute(LIST, None, OTHER)
    assert [node["title"] for node in theirs["data"]["viewer"]["threads"]["nodes"]] == ["Theirs"]
    refused = await gateway.execute(CHANGE, {"in": {"threadId": thread_id, "title": "Stolen"}}, OTHER)
    assert refused["data"]["updateThread"]["thread"] is None
    assert refused["data"]["updateThread"]["userErrors"] == [{"code": "NOT_FOUND", "field": ["threadId"]}]
    assert [node["title"] for node in (await listed(gateway))["nodes"]] == ["Secret tea"]
    documents = "{ viewer { id } }"
    ids = [(await gateway.execute(documents, None, headers))["data"]["viewer"]["id"] for headers in ({}, OTHER)]
    assert len(set(ids)) == 2


async def test_another_page_of_the_same_caller_moves_along(gateway: Gateway, emulator: Emulator) -> None:
    async with following(gateway, EVENTS, headers={"Authorization": gateway.credential}) as page:
        assert await page.event() == {"__typename": "Lagged", "skipped": 0}
        thread_id = await create(gateway, emulator, "Tea")
        assert await page.event() == {
            "__typename": "ThreadChanged",
            "thread": {"id": thread_id, "title": "Tea", "isArchived": False},
        }
        await gateway.data(CHANGE, {"in": {"threadId": thread_id, "isArchived": True}})
        assert (await page.event())["thread"]["isArchived"] is True
        await gateway.data(f'mutation {{ deleteThread(input: {{ threadId: "{thread_id}" }}) {{ deletedId }} }}')
        assert await page.event() == {"__typename": "ThreadRemoved", "deletedId": thread_id}


class AwayStore(MemoryStore):
    """A store whose records fail while `is_away`."""

    is_away = False

    @property
    def records(self) -> Any:
        return self if self.is_away else super().records

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: Any) -> Any:
            raise LedgerUnavailableError("gone")

        if not self.is_away:
            raise AttributeError(name)
        return fail


async def test_a_title_alone_is_audited_once_and_one_beside_a_write_with_it(
    gateway: Gateway, emulator: Emulator
) -> None:
    with collected_lines() as lines:
        thread_id = await create(gateway, emulator, "Tea")
        await gateway.data(CHANGE, {"in": {"threadId": thread_id, "title": "Planted"}})
        await gateway.data(CHANGE, {"in": {"threadId": thread_id, "isArchived": True, "metadata": {"a": "b"}}})
        await gateway.data(CHANGE, {"in": {"threadId": "thread_unknown", "title": "Planted"}})
    upstream_id = lines.audit[0]["ids"][0]
    written = [(line["mutation"], line["object"], line["ids"], line["outcome"]) for line in lines.audit]
    assert written == [
        ("createThread", "Thread", [upstream_id], "ok"),
        ("updateThread", "Thread", [upstream_id], "ok"),
        ("updateThread", "Thread", [upstream_id], "ok"),
        ("updateThread", "Thread", ["thread_unknown"], "NOT_FOUND"),
    ]
    assert [line["request_id"] for line in lines.audit] == [line["request_id"] for line in lines.operations]
    assert "Planted" not in "".join(lines.texts)


async def test_where_the_database_is_away_a_new_thread_is_there_and_only_its_title_is_not(emulator: Emulator) -> None:
    store = AwayStore()
    link = LedgerLink(store, deadline_seconds=5)
    async with running_gateway(emulator.url, ledger=BorrowedLedger(None, link)) as gateway:
        kept = await create(gateway, emulator, "Tea")
        await listed(gateway)
        store.is_away = True
        answer = await gateway.execute(CREATE, {"title": "Cake", "text": "Hi"})
        payload = answer["data"]["createThread"]
        assert payload["userErrors"] == [{"code": "NOT_KEPT", "field": ["title"]}]
        assert (payload["thread"]["title"], payload["thread"]["isArchived"]) == (None, None)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["LEDGER_UNAVAILABLE"]
        thread = f'thread(id: "{kept}") {{ id title messages {{ nodes {{ text }} }} }}'
        answer = await gateway.execute(f"{{ viewer {{ id threads {{ nodes {{ id }} }} }} {thread} }}")
        assert answer["data"]["viewer"]["id"]
        assert answer["data"]["viewer"]["threads"] is None
        assert answer["data"]["thread"] == {"id": kept, "title": None, "messages": {"nodes": [{"text": "Hello"}]}}
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["LEDGER_UNAVAILABLE"]
        store.is_away = False
    await link.aclose()


async def test_without_a_database_the_list_names_the_setting(emulator: Emulator) -> None:
    async with running_gateway(emulator.url) as gateway:
        answer = await gateway.execute("{ viewer { id subject threads { nodes { id } } } }")
        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "UNSUPPORTED"
        assert "GATEWAY_DATABASE_URL" in error["message"]
        refused = (await gateway.data(CREATE, {"title": "Tea", "text": "Hi"}))["createThread"]
        assert refused["userErrors"] == [{"code": "UNSUPPORTED", "field": ["title"]}]
