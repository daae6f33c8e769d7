"""The fields of a thread, through the real schema."""

import pytest

from schema.contract.keys import RunKey, to_file_id, to_global_id
from tests.schema.builders import THREAD, conversation, execute, paths_and_codes, query_data
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import run, thread

RUN = RunKey("thread_1", "run_1")


async def test_a_thread() -> None:
    document = """
        {
            thread(id: "thread_1") {
                id upstreamId createdAt metadata
                toolResources { codeInterpreterFileIds vectorStoreIds }
            }
        }
    """
    resources = {"code_interpreter": {"file_ids": ["file-1"]}}
    api = FakeThreadsApi(threads={THREAD: thread(metadata={"a": "b"}, tool_resources=resources)})
    assert await query_data(api, document) == {
        "thread": {
            "id": to_global_id(THREAD),
            "upstreamId": "thread_1",
            "createdAt": "2023-11-03T11:08:29Z",
            "metadata": {"a": "b"},
            "toolResources": {"codeInterpreterFileIds": [to_file_id("file-1")], "vectorStoreIds": []},
        }
    }
    api.threads[THREAD] = thread(metadata=None)
    bare = (await query_data(api, document))["thread"]
    assert (bare["metadata"], bare["toolResources"]) == ({}, None)


@pytest.mark.parametrize(
    ("status", "active"), [("queued", True), ("requires_action", True), ("brand_new", True), ("completed", False)]
)
async def test_the_active_run_is_the_newest_one_unless_it_is_terminal(status: str, active: bool) -> None:
    api = conversation()
    api.runs[RunKey("thread_1", "run_2")] = run("run_2", created_at=1_700_000_000, status=status)
    data = await query_data(api, '{ thread(id: "thread_1") { activeRun { upstreamId status } } }')
    found = data["thread"]["activeRun"]
    assert (found is not None and found["upstreamId"] == "run_2") is active


async def test_a_thread_without_runs_has_no_active_one() -> None:
    api = FakeThreadsApi(threads={THREAD: thread()})
    assert await query_data(api, '{ thread(id: "thread_1") { activeRun { id } } }') == {"thread": {"activeRun": None}}


@pytest.mark.parametrize("run_id", ["run_1", to_global_id(RUN)])
async def test_the_messages_of_a_thread_can_be_narrowed_down_to_those_of_a_run(run_id: str) -> None:
    document = """
        query ($run: ID!, $after: String) {
            thread(id: "thread_1") {
                messages(first: 1, runId: $run, after: $after) { nodes { upstreamId } pageInfo { endCursor } }
            }
        }
    """
    api = conversation(messages=4)
    page = (await query_data(api, document, {"run": run_id}))["thread"]["messages"]
    assert page["nodes"] == [{"upstreamId": "msg_2"}]
    rest = await query_data(api, document, {"run": run_id, "after": page["pageInfo"]["endCursor"]})
    assert rest["thread"]["messages"]["nodes"] == [{"upstreamId": "msg_4"}]


@pytest.mark.parametrize("run_id", [to_global_id(RunKey("thread_2", "run_1")), to_global_id(THREAD), "a/b", ""])
async def test_a_run_of_another_thread_is_refused_as_a_filter(run_id: str) -> None:
    document = 'query ($run: ID!) { thread(id: "thread_1") { messages(runId: $run) { nodes { id } } } }'
    result = await execute(conversation(), document, {"run": run_id})
    assert result.data == {"thread": {"messages": None}}
    assert paths_and_codes(result) == [(["thread", "messages"], "BAD_USER_INPUT")]
