from tests.gateway.emulator.api_client import START, WEATHER_TOOL, Api


async def test_an_assistant_is_made_read_changed_and_deleted(api: Api) -> None:
    made = await api.ok("POST", "/assistants", {"model": "gpt-4o"})
    assert made == {
        "id": made["id"],
        "object": "assistant",
        "created_at": START,
        "name": None,
        "description": None,
        "model": "gpt-4o",
        "instructions": None,
        "tools": [],
        "top_p": 1.0,
        "temperature": 1.0,
        "reasoning_effort": None,
        "tool_resources": {},
        "metadata": {},
        "response_format": "auto",
    }
    path = f"/assistants/{made['id']}"
    assert await api.ok("GET", path) == made
    changes = {
        "name": "Ada 🤖",
        "tools": [{**WEATHER_TOOL, "function": {**WEATHER_TOOL["function"], "strict": True}}],  # type: ignore[dict-item]
        "tool_resources": {"code_interpreter": {"file_ids": ["file-1"]}},
        "response_format": {"type": "json_object"},
        "metadata": {"a": "b"},
    }
    changed = await api.ok("POST", path, changes)
    assert {key: changed[key] for key in changes} == changes
    assert changed["model"] == "gpt-4o"
    assert (await api.ok("POST", path, {"name": None, "model": None, "metadata": None})) == {**changed, "name": None}
    assert await api.ok("DELETE", path) == {"id": made["id"], "object": "assistant.deleted", "deleted": True}
    assert (await api.call("GET", path)).status == 404


async def test_assistants_are_listed_newest_first(api: Api) -> None:
    ids = [await api.new_assistant() for _ in range(3)]
    page = await api.ok("GET", "/assistants?limit=2")
    assert [one["id"] for one in page["data"]] == [ids[2], ids[1]]
    assert page["has_more"] is True


async def test_files_of_an_assistant_belong_to_the_older_version(api: Api) -> None:
    older = api.using(version="v1")
    body = {"model": "m", "file_ids": ["file-1"], "tools": [{"type": "code_interpreter"}]}
    made = await older.ok("POST", "/assistants", body)
    assert made["file_ids"] == ["file-1"]
    path = f"/assistants/{made['id']}/files"
    api.clock.advance(5)
    added = await older.ok("POST", path, {"file_id": "file-2"})
    assert added == {
        "id": "file-2",
        "object": "assistant.file",
        "created_at": START + 5,
        "assistant_id": made["id"],
    }
    assert await older.ok("POST", path, {"file_id": "file-2"}) == added
    assert await older.ok("GET", f"{path}/file-2") == added
    page = await older.ok("GET", path)
    assert [one["id"] for one in page["data"]] == ["file-2", "file-1"]
    assert (await api.ok("GET", f"/assistants/{made['id']}"))["tool_resources"] == {
        "code_interpreter": {"file_ids": ["file-1", "file-2"]}
    }
    assert await older.ok("DELETE", f"{path}/file-1") == {
        "id": "file-1",
        "object": "assistant.file.deleted",
        "deleted": True,
    }
    assert (await older.call("GET", f"{path}/file-1")).status == 404
    assert (await older.call("DELETE", f"{path}/file-1")).status == 404


async def test_a_file_named_in_the_newer_version_can_be_removed_in_the_older(api: Api) -> None:
    resources = {"code_interpreter": {"file_ids": ["file-1", "file-2"]}}
    assistant_id = await api.new_assistant(tools=[{"type": "code_interpreter"}], tool_resources=resources)
    await api.using(version="v1").ok("DELETE", f"/assistants/{assistant_id}/files/file-1")
    changed = await api.ok("GET", f"/assistants/{assistant_id}")
    assert changed["tool_resources"] == {"code_interpreter": {"file_ids": ["file-2"]}}


async def test_the_runs_of_a_deleted_assistant_stay(api: Api) -> None:
    path = await api.new_run()
    run = await api.ok("GET", path)
    await api.ok("DELETE", f"/assistants/{run['assistant_id']}")
    api.clock.advance(10)
    assert (await api.ok("GET", path))["status"] == "completed"
