import pytest

from tests.gateway.emulator.api_client import START, Api


async def test_a_thread_is_made_read_changed_and_deleted(api: Api) -> None:
    made = await api.ok("POST", "/threads", {"metadata": {"a": "1"}})
    assert made == {
        "id": made["id"],
        "object": "thread",
        "created_at": START,
        "metadata": {"a": "1"},
        "tool_resources": {},
    }
    path = f"/threads/{made['id']}"
    assert await api.ok("GET", path) == made
    assert (await api.ok("POST", path, {"metadata": {"b": "2"}}))["metadata"] == {"b": "2"}
    assert (await api.ok("POST", path))["metadata"] == {"b": "2"}
    resources = {"code_interpreter": {"file_ids": ["file-1"]}}
    changed = await api.ok("POST", path, {"tool_resources": resources, "metadata": {}})
    assert (changed["tool_resources"], changed["metadata"]) == (resources, {})
    assert await api.ok("DELETE", path) == {"id": made["id"], "object": "thread.deleted", "deleted": True}
    assert (await api.call("GET", path)).status == 404


async def test_first_messages_of_one_second_stay_in_their_order(api: Api) -> None:
    thread_id = await api.new_thread(*(f"number {number}" for number in range(32)))
    page = await api.ok("GET", f"/threads/{thread_id}/messages?order=asc&limit=32")
    texts = [message["content"][0]["text"]["value"] for message in page["data"]]
    assert texts == [f"number {number}" for number in range(32)]
    assert {message["created_at"] for message in page["data"]} == {START}


async def test_deleting_a_thread_deletes_its_messages_runs_and_steps(api: Api) -> None:
    path = await api.new_run()
    thread_path, _, _ = path.partition("/runs/")
    message_id = (await api.ok("GET", f"{thread_path}/messages"))["first_id"]
    await api.ok("DELETE", thread_path)
    for gone in (path, f"{path}/steps", f"{thread_path}/messages", f"{thread_path}/messages/{message_id}"):
        assert (await api.call("GET", gone)).status == 404


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_thread_has_the_form_of_the_requested_version(api: Api, version: str) -> None:
    thread_id = await api.new_thread("Hello")
    thread = await api.using(version=version).ok("GET", f"/threads/{thread_id}")
    assert ("tool_resources" in thread) == (version == "v2")
