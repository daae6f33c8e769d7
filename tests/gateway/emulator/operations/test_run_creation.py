import pytest

from tests.gateway.emulator.api_client import Api


async def test_attached_files_are_searched_and_cited(api: Api) -> None:
    assistant_id = await api.new_assistant(tools=[{"type": "file_search"}])
    thread_id = await api.new_thread()
    await api.ok(
        "POST",
        f"/threads/{thread_id}/messages",
        {
            "role": "user",
            "content": "What does the handbook say? 🤔",
            "attachments": [{"file_id": "file-1", "tools": [{"type": "file_search"}]}],
        },
    )
    run = await api.ok("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id})
    api.clock.advance(10)
    (answer,) = (await api.ok("GET", f"/threads/{thread_id}/messages?run_id={run['id']}"))["data"]
    text = answer["content"][0]["text"]
    (annotation,) = text["annotations"]
    assert annotation["file_citation"] == {"file_id": "file-1"}
    assert text["value"][annotation["start_index"] : annotation["end_index"]] == annotation["text"]


async def test_a_vector_store_counts_as_a_file(api: Api) -> None:
    resources = {"file_search": {"vector_store_ids": ["vs_1"]}}
    assistant_id = await api.new_assistant(tools=[{"type": "file_search"}], tool_resources=resources)
    thread_id = await api.new_thread("Well?")
    run = await api.ok("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id})
    assert run["tool_resources"] == resources
    api.clock.advance(10)
    steps = (await api.ok("GET", f"/threads/{thread_id}/runs/{run['id']}/steps?order=asc"))["data"]
    assert [step["type"] for step in steps] == ["tool_calls", "message_creation"]


async def test_files_of_the_older_version_are_retrieved(api: Api) -> None:
    older = api.using(version="v1")
    assistant = await older.ok(
        "POST", "/assistants", {"model": "m", "tools": [{"type": "retrieval"}], "file_ids": ["file-1"]}
    )
    body = {"assistant_id": assistant["id"], "thread": {"messages": [{"role": "user", "content": "Well?"}]}}
    run = await older.ok("POST", "/threads/runs", body)
    assert (run["file_ids"], run["tools"]) == (["file-1"], [{"type": "retrieval"}])
    api.clock.advance(10)
    steps = (await older.ok("GET", f"/threads/{run['thread_id']}/runs/{run['id']}/steps?order=asc"))["data"]
    assert steps[0]["step_details"]["tool_calls"][0]["retrieval"] == {}


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_instructions_alone_are_enough_for_a_run(api: Api, version: str) -> None:
    assistant_id = await api.new_assistant(instructions="Greet.")
    run = await api.using(version=version).ok("POST", "/threads/runs", {"assistant_id": assistant_id})
    assert run["status"] == "queued"
