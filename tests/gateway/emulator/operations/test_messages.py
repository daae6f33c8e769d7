import pytest

from tests.gateway.emulator.api_client import START, Api


async def test_a_message_is_made_read_changed_and_deleted(api: Api) -> None:
    thread_id = await api.new_thread()
    path = f"/threads/{thread_id}/messages"
    made = await api.ok("POST", path, {"role": "user", "content": "Hello 👋"})
    assert made == {
        "id": made["id"],
        "object": "thread.message",
        "created_at": START,
        "assistant_id": None,
        "thread_id": thread_id,
        "run_id": None,
        "role": "user",
        "content": [{"type": "text", "text": {"value": "Hello 👋", "annotations": []}}],
        "attachments": [],
        "metadata": {},
    }
    one = f"{path}/{made['id']}"
    assert await api.ok("GET", one) == made
    modified = await api.ok("POST", one, {"metadata": {"rating": "5"}})
    assert modified["metadata"] == {"rating": "5"}
    assert (await api.ok("GET", one))["metadata"] == {"rating": "5"}
    assert await api.ok("DELETE", one) == {"id": made["id"], "object": "thread.message.deleted", "deleted": True}
    assert (await api.call("GET", one)).status == 404
    assert (await api.ok("GET", path))["data"] == []


async def test_the_same_message_is_shown_in_either_version(api: Api) -> None:
    thread_id = await api.new_thread()
    older = api.using(version="v1")
    made = await older.ok(
        "POST", f"/threads/{thread_id}/messages", {"role": "user", "content": "x", "file_ids": ["file-1", "file-2"]}
    )
    assert made["file_ids"] == ["file-1", "file-2"]
    newer = await api.ok("GET", f"/threads/{thread_id}/messages/{made['id']}")
    assert [attachment["file_id"] for attachment in newer["attachments"]] == ["file-1", "file-2"]


async def test_the_files_of_a_message_are_listed_in_the_older_version(api: Api) -> None:
    older = api.using(version="v1")
    thread_id = await api.new_thread()
    message = await older.ok(
        "POST", f"/threads/{thread_id}/messages", {"role": "user", "content": "x", "file_ids": ["file-1", "file-2"]}
    )
    path = f"/threads/{thread_id}/messages/{message['id']}/files"
    page = await older.ok("GET", f"{path}?limit=1&order=asc")
    assert (page["first_id"], page["has_more"]) == ("file-1", True)
    rest = await older.ok("GET", f"{path}?order=asc&after=file-1")
    assert (rest["first_id"], rest["has_more"]) == ("file-2", False)
    assert await older.ok("GET", f"{path}/file-2") == {
        "id": "file-2",
        "object": "thread.message.file",
        "created_at": START,
        "message_id": message["id"],
    }
    for gone in (f"{path}/file-3", f"{path}?after=file-3"):
        assert (await older.error("GET", gone))[1]["message"] == "No file found with id 'file-3'."


async def test_messages_can_be_listed_by_run(api: Api) -> None:
    path = await api.new_run()
    api.clock.advance(10)
    thread_path, _, run_id = path.partition("/runs/")
    (answer,) = (await api.ok("GET", f"{thread_path}/messages?run_id={run_id}"))["data"]
    assert (answer["role"], answer["run_id"]) == ("assistant", run_id)
    assert (await api.ok("GET", f"{thread_path}/messages?run_id=run_other"))["data"] == []
    assert (await api.call("GET", f"{thread_path}/messages?run_id=other")).status == 400


@pytest.mark.parametrize(
    ("query", "expected", "has_more"),
    [
        ("", "edcba", False),
        ("limit=2", "ed", True),
        ("order=asc&limit=5", "abcde", False),
        ("order=asc&after={b}", "cde", False),
        ("after={b}", "a", False),
        ("after={a}", "", False),
        ("order=asc&before={d}&limit=2", "bc", True),
        ("before={b}&limit=2", "dc", True),
        ("order=asc&after={a}&before={e}&limit=2", "bc", True),
    ],
)
async def test_a_page_lies_between_its_cursors(api: Api, query: str, expected: str, has_more: bool) -> None:
    thread_id = await api.new_thread(*"abcde")
    everything = (await api.ok("GET", f"/threads/{thread_id}/messages?order=asc"))["data"]
    ids = {message["content"][0]["text"]["value"]: message["id"] for message in everything}
    page = await api.ok("GET", f"/threads/{thread_id}/messages?{query.format(**ids)}")
    assert "".join(message["content"][0]["text"]["value"] for message in page["data"]) == expected
    assert page["has_more"] == has_more
    assert page["first_id"] == (ids[expected[0]] if expected else None)
    assert page["last_id"] == (ids[expected[-1]] if expected else None)


async def test_a_cursor_of_another_thread_is_refused(api: Api) -> None:
    one, other = await api.new_thread("a"), await api.new_thread("b")
    cursor = (await api.ok("GET", f"/threads/{other}/messages"))["first_id"]
    assert (await api.call("GET", f"/threads/{one}/messages?after={cursor}")).status == 404
    assert (await api.call("GET", f"/threads/{one}/messages/{cursor}")).status == 404


async def test_a_message_can_be_added_once_the_run_has_ended(api: Api) -> None:
    path = await api.new_run()
    thread_path, _, _ = path.partition("/runs/")
    message = {"role": "user", "content": "And then?"}
    assert (await api.call("POST", f"{thread_path}/messages", message)).status == 400
    api.clock.advance(10)
    made = await api.ok("POST", f"{thread_path}/messages", message)
    assert (await api.ok("GET", f"{thread_path}/messages"))["first_id"] == made["id"]
