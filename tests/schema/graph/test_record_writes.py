"""Titles and archiving in mutations: written behind the upstream's part, and never sent upstream."""

from typing import Any

import pytest

from schema.contract.keys import ThreadKey, to_global_id
from schema.contract.thread_records import RecordUpdate, ThreadRecord
from tests.schema.builders import conversation, execute, paths_and_codes, query_data
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.fake_viewer_api import LEDGER_AWAY, FakeViewerApi

ERRORS = "userErrors { code message field }"
CREATE = f"mutation ($in: CreateThreadInput!) {{ m: createThread(input: $in) {{ thread {{ id title }} {ERRORS} }} }}"
UPDATE = f"""mutation ($in: UpdateThreadInput!) {{
  m: updateThread(input: $in) {{ thread {{ upstreamId title isArchived }} {ERRORS} }}
}}"""
CREATE_AND_RUN = f"""mutation ($in: CreateThreadAndRunInput!) {{
  m: createThreadAndRun(input: $in) {{ run {{ id }} thread {{ id title }} {ERRORS} }}
}}"""
NEW_THREAD = {"title": " Tea ", "messages": [{"content": [{"text": "Which one?"}]}]}
CREATIONS: list[tuple[str, dict[str, Any], list[str]]] = [
    (CREATE, NEW_THREAD, []),
    (CREATE_AND_RUN, {"assistantId": "asst_1", "thread": NEW_THREAD}, ["thread"]),
]


class LearningViewerApi(FakeViewerApi):
    """Makes the record of any thread when it is first changed, as a ledger that has seen its creation."""

    async def update_record(self, key: ThreadKey, update: RecordUpdate, *, is_part: bool = False) -> ThreadRecord:
        if key.thread_id not in self.records:
            self.add(key.thread_id, 0)
        return await super().update_record(key, update, is_part=is_part)


def known_thread() -> FakeViewerApi:
    viewer = FakeViewerApi()
    viewer.add("thread_1", 1, title="Old")
    return viewer


async def mutate(api: FakeThreadsApi, document: str, given: dict[str, Any], viewer: FakeViewerApi | None) -> Any:
    return (await query_data(api, document, {"in": given}, viewer=viewer))["m"]


@pytest.mark.parametrize(("document", "given", "path"), CREATIONS)
async def test_a_new_thread_has_its_title(document: str, given: dict[str, Any], path: list[str]) -> None:
    api, viewer = conversation(), LearningViewerApi()
    payload = await mutate(api, document, given, viewer)
    assert payload["userErrors"] == []
    assert payload["thread"]["title"] == "Tea"
    (body,) = api.bodies
    assert "Tea" not in str(body)
    assert sum(name.startswith("create") for name, _ in api.calls) == 1


@pytest.mark.parametrize(("document", "given", "path"), CREATIONS)
async def test_a_new_thread_is_there_though_its_title_was_not_kept(
    document: str, given: dict[str, Any], path: list[str]
) -> None:
    result = await execute(conversation(), document, {"in": given}, viewer=LearningViewerApi(is_away=True))
    assert result.data is not None
    payload = result.data["m"]
    assert payload["thread"]["id"]
    (error,) = payload["userErrors"]
    assert (error["code"], error["field"]) == ("NOT_KEPT", [*path, "title"])
    assert "The rest has taken place" in error["message"]
    assert error["message"].endswith(LEDGER_AWAY.message)
    assert [code for _, code in paths_and_codes(result)] == ["LEDGER_UNAVAILABLE"]  # of the selected title


@pytest.mark.parametrize(("document", "given", "path"), CREATIONS)
@pytest.mark.parametrize("viewer", [None, FakeViewerApi(keeps_records=False)])
async def test_where_nothing_is_kept_a_title_is_refused_before_any_call(
    document: str, given: dict[str, Any], path: list[str], viewer: FakeViewerApi | None
) -> None:
    api = conversation()
    payload = await mutate(api, document, given, viewer)
    assert payload["thread"] is None
    assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [("UNSUPPORTED", [*path, "title"])]
    assert "GATEWAY_DATABASE_URL" in payload["userErrors"][0]["message"]
    assert api.calls == []


@pytest.mark.parametrize(("document", "given", "path"), CREATIONS)
@pytest.mark.parametrize(
    ("title", "code", "message"),
    [
        ("x" * 257, "TOO_LONG", "expected at most 256 characters, got 257"),
        ("  ", "INVALID_VALUE", "expected at least 1 character"),
    ],
)
async def test_a_title_that_is_refused_is_named_before_any_call(
    document: str, given: dict[str, Any], path: list[str], title: str, code: str, message: str
) -> None:
    api = conversation()
    thread = {"title": title}
    payload = await mutate(api, document, given | ({"thread": thread} if path else thread), LearningViewerApi())
    (error,) = payload["userErrors"]
    assert (error["code"], error["field"]) == (code, [*path, "title"])
    assert message in error["message"]
    assert api.calls == []


async def test_a_new_thread_without_a_title_needs_no_database() -> None:
    viewer = FakeViewerApi(keeps_records=False)
    for given in ({}, {"title": None}):
        payload = await mutate(conversation(), CREATE, given, viewer)
        assert payload["userErrors"] == []
        assert payload["thread"]["title"] is None
    assert viewer.called("update_record") == []


@pytest.mark.parametrize(
    ("given", "update"),
    [
        ({"title": "New"}, RecordUpdate(title="New")),
        ({"title": None}, RecordUpdate(title=None)),
        ({"isArchived": True}, RecordUpdate(is_archived=True)),
        ({"title": "New", "isArchived": False}, RecordUpdate("New", False)),
        ({"title": "New", "isArchived": None}, RecordUpdate("New")),
    ],
)
async def test_a_change_of_what_the_gateway_keeps_costs_no_upstream_call(
    given: dict[str, Any], update: RecordUpdate
) -> None:
    api, viewer = conversation(), known_thread()
    payload = await mutate(api, UPDATE, {"threadId": "thread_1", **given}, viewer)
    assert payload["userErrors"] == []
    assert payload["thread"] == {
        "upstreamId": "thread_1",
        "title": given.get("title", "Old"),
        "isArchived": given.get("isArchived") or False,
    }
    assert viewer.called("update_record") == [(ThreadKey("thread_1"), update)]
    assert api.calls == []


async def test_upstream_fields_of_a_thread_whose_title_changed_are_read() -> None:
    api = conversation()
    document = """mutation { m: updateThread(input: { threadId: "thread_1", title: "New" }) {
        thread { title metadata messages(last: 1) { nodes { text } } } } }"""
    data = await query_data(api, document, viewer=known_thread())
    thread = data["m"]["thread"]
    assert (thread["title"], thread["metadata"]) == ("New", {"topic": "tea"})
    assert thread["messages"]["nodes"] == [{"text": "number 3"}]
    assert sorted(name for name, _ in api.calls) == ["get_threads", "list_messages"]


async def test_a_thread_of_nobody_known_is_refused_as_not_found() -> None:
    payload = await mutate(conversation(), UPDATE, {"threadId": "thread_2", "title": "New"}, known_thread())
    assert payload["thread"] is None
    assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [("NOT_FOUND", ["threadId"])]


async def test_a_change_that_was_not_kept_at_all_is_an_error_that_can_be_tried_again() -> None:
    viewer = known_thread()
    viewer.is_away = True
    result = await execute(conversation(), UPDATE, {"in": {"threadId": "thread_1", "title": "New"}}, viewer=viewer)
    assert result.data is None
    assert paths_and_codes(result) == [(["m"], "LEDGER_UNAVAILABLE")]


async def test_of_a_change_in_both_places_the_upstreams_part_comes_first() -> None:
    api, viewer = conversation(), known_thread()
    given = {"threadId": "thread_1", "metadata": {"a": "b"}, "title": "New", "isArchived": True}
    payload = await mutate(api, UPDATE, given, viewer)
    assert payload["thread"] == {"upstreamId": "thread_1", "title": "New", "isArchived": True}
    assert [name for name, _ in api.calls] == ["update_thread"]
    viewer.is_away = True
    result = await execute(api, UPDATE, {"in": given}, viewer=viewer)
    assert result.data is not None
    refusals = [(error["code"], error["field"]) for error in result.data["m"]["userErrors"]]
    assert refusals == [("NOT_KEPT", ["title"]), ("NOT_KEPT", ["isArchived"])]
    assert result.data["m"]["thread"]["upstreamId"] == "thread_1"


async def test_nothing_is_kept_of_a_change_that_the_upstream_refused() -> None:
    api, viewer = conversation(), known_thread()
    given = {"threadId": to_global_id(ThreadKey("thread_9")), "metadata": {}, "title": "New"}
    payload = await mutate(api, UPDATE, given, viewer)
    assert [error["code"] for error in payload["userErrors"]] == ["NOT_FOUND"]
    assert viewer.called("update_record") == []
