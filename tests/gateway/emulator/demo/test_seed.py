from itertools import pairwise

import pytest

from gateway.emulator.demo import seed
from gateway.emulator.ids import is_object_id
from tests.gateway.emulator.api_client import Api

IDS = {name: getattr(seed, name) for name in seed.__all__ if name.isupper()}
THREADS = [value for name, value in IDS.items() if name.startswith("THREAD_")]


@pytest.mark.parametrize("name", IDS)
def test_a_fixed_id_has_the_form_of_the_api(name: str) -> None:
    value = IDS[name]
    assert is_object_id(value) or (value.startswith("file-") and len(value) == 27 and value[5:].isalnum())


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("thread_id", THREADS)
async def test_a_thread_can_be_read_in_either_version(demo: Api, thread_id: str, version: str) -> None:
    api = demo.using(version=version)
    thread = await api.ok("GET", f"/threads/{thread_id}")
    assert thread["metadata"]["title"]
    messages = (await api.ok("GET", f"/threads/{thread_id}/messages?order=asc&limit=100"))["data"]
    assert messages
    assert all(is_object_id(message["id"]) for message in messages)
    runs = (await api.ok("GET", f"/threads/{thread_id}/runs?order=asc&limit=100"))["data"]
    for run in runs:
        steps = (await api.ok("GET", f"/threads/{thread_id}/runs/{run['id']}/steps"))["data"]
        assert all(is_object_id(step["id"]) for step in steps)
    times = [thread["created_at"], *(message["created_at"] for message in messages)]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert times[-1] <= demo.clock.now()
    for message in messages:
        for part in message["content"]:
            for annotation in part.get("text", {}).get("annotations", []):
                quoted = part["text"]["value"][annotation["start_index"] : annotation["end_index"]]
                assert quoted == annotation["text"]


@pytest.mark.parametrize(
    ("thread", "run", "status"),
    [
        ("THREAD_SUPPORT", "RUN_FAILED", "failed"),
        ("THREAD_REFUND", "RUN_WAITING", "requires_action"),
        ("THREAD_ANALYSIS", "RUN_CODE", "completed"),
        ("THREAD_ANALYSIS", "RUN_SEARCH", "completed"),
        ("THREAD_RELEASE", "RUN_INCOMPLETE", "incomplete"),
        ("THREAD_RELEASE", "RUN_CANCELLED", "cancelled"),
        ("THREAD_RELEASE", "RUN_FAILED_HALFWAY", "failed"),
    ],
)
async def test_a_named_run_has_the_status_of_its_name(demo: Api, thread: str, run: str, status: str) -> None:
    assert (await demo.ok("GET", f"/threads/{IDS[thread]}/runs/{IDS[run]}"))["status"] == status


async def test_the_assistants_have_their_documented_tools(demo: Api) -> None:
    tools = {
        one["id"]: [tool["type"] for tool in one["tools"]] for one in (await demo.ok("GET", "/assistants"))["data"]
    }
    assert tools == {
        seed.ASSISTANT_CONCIERGE: ["function", "function"],
        seed.ASSISTANT_SUPPORT: ["function", "function"],
        seed.ASSISTANT_ANALYST: ["code_interpreter", "file_search"],
        seed.ASSISTANT_WRITER: [],
    }


async def test_a_deleted_demo_thread_stays_deleted(demo: Api) -> None:
    await demo.ok("DELETE", f"/threads/{seed.THREAD_TRIP}")
    assert (await demo.call("GET", f"/threads/{seed.THREAD_TRIP}")).status == 404
