"""The demo threads and assistants, and the narrator that writes them."""

from itertools import pairwise

import pytest

from gateway.emulator.bodies.reply_objects import assistant_file_ids
from gateway.emulator.demo import seed
from gateway.emulator.demo.demo_assistants import FILE_SALES, analyst, concierge, support, writer
from gateway.emulator.demo.narrator import Narrator, marked_text
from gateway.emulator.demo.seed import (
    FILE_CHART,
    FILE_HANDBOOK,
    FILE_REPORT,
    RUN_CANCELLED,
    RUN_CODE,
    RUN_FAILED,
    RUN_FAILED_HALFWAY,
    RUN_INCOMPLETE,
    RUN_SEARCH,
    RUN_WAITING,
    THREAD_ANALYSIS,
    THREAD_JOURNAL,
    THREAD_REFUND,
    THREAD_RELEASE,
    THREAD_SUPPORT,
    THREAD_TRIP,
)
from gateway.emulator.ids import is_object_id
from gateway.emulator.objects import TextPart
from gateway.emulator.runs.script import WriteMessage
from gateway.emulator.state.store import Store
from tests.gateway.emulator.api_client import START, Api

IDS = {name: value for name in seed.__all__ if name.isupper() and isinstance(value := getattr(seed, name), str)}
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


async def test_two_functions_were_called_at_once_and_answered(demo: Api) -> None:
    run = (await demo.ok("GET", f"/threads/{THREAD_TRIP}/runs?order=asc"))["data"][0]
    steps = (await demo.ok("GET", f"/threads/{THREAD_TRIP}/runs/{run['id']}/steps?order=asc"))["data"]
    calls = steps[0]["step_details"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["get_weather", "find_trains"]
    assert all(call["function"]["output"] for call in calls)
    assert run["usage"]["total_tokens"] == sum(step["usage"]["total_tokens"] for step in steps)


async def test_an_image_and_a_refusal_are_there(demo: Api) -> None:
    messages = (await demo.ok("GET", f"/threads/{THREAD_TRIP}/messages?order=asc"))["data"]
    assert messages[0]["content"][1]["type"] == "image_url"
    assert messages[-1]["content"][0]["type"] == "refusal"
    assert messages[1]["metadata"] == {"rating": "5"}


async def test_the_waiting_run_still_waits_a_year_later_and_accepts_outputs(demo: Api) -> None:
    path = f"/threads/{THREAD_REFUND}/runs/{RUN_WAITING}"
    demo.clock.advance(365 * 86_400)
    run = await demo.ok("GET", path)
    assert run["status"] == "requires_action"
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    output = {"tool_call_id": call["id"], "output": "refunded 12 €"}
    await demo.ok("POST", f"{path}/submit_tool_outputs", {"tool_outputs": [output]})
    demo.clock.advance(10)
    assert (await demo.ok("GET", path))["status"] == "completed"
    messages = await demo.ok("GET", f"/threads/{THREAD_REFUND}/messages?run_id={RUN_WAITING}")
    assert "refunded 12 €" in messages["data"][0]["content"][0]["text"]["value"]


async def test_the_failed_run_says_why(demo: Api) -> None:
    run = await demo.ok("GET", f"/threads/{THREAD_SUPPORT}/runs/{RUN_FAILED}")
    assert run["last_error"]["code"] == "rate_limit_exceeded"


async def test_code_printed_logs_and_drew_a_chart(demo: Api) -> None:
    steps = (await demo.ok("GET", f"/threads/{THREAD_ANALYSIS}/runs/{RUN_CODE}/steps?order=asc"))["data"]
    (call,) = steps[0]["step_details"]["tool_calls"]
    logs, image = call["code_interpreter"]["outputs"]
    assert "Île-de-France" in logs["logs"]
    assert image == {"type": "image", "image": {"file_id": FILE_CHART}}
    (answer,) = (await demo.ok("GET", f"/threads/{THREAD_ANALYSIS}/messages?run_id={RUN_CODE}"))["data"]
    assert answer["content"][0]["image_file"]["file_id"] == FILE_CHART
    assert answer["content"][1]["text"]["annotations"][0]["file_path"] == {"file_id": FILE_REPORT}


async def test_the_handbook_was_searched_and_cited_twice(demo: Api) -> None:
    steps = (await demo.ok("GET", f"/threads/{THREAD_ANALYSIS}/runs/{RUN_SEARCH}/steps?order=asc"))["data"]
    assert steps[0]["step_details"]["tool_calls"][0]["type"] == "file_search"
    (answer,) = (await demo.ok("GET", f"/threads/{THREAD_ANALYSIS}/messages?run_id={RUN_SEARCH}"))["data"]
    annotations = answer["content"][0]["text"]["annotations"]
    assert [one["file_citation"]["file_id"] for one in annotations] == [FILE_HANDBOOK, FILE_HANDBOOK]


async def test_three_runs_fail_in_different_ways_and_the_fourth_completes(demo: Api) -> None:
    runs = (await demo.ok("GET", f"/threads/{THREAD_RELEASE}/runs?order=asc"))["data"]
    assert [(run["id"], run["status"]) for run in runs[:3]] == [
        (RUN_INCOMPLETE, "incomplete"),
        (RUN_CANCELLED, "cancelled"),
        (RUN_FAILED_HALFWAY, "failed"),
    ]
    assert runs[0]["incomplete_details"] == {"reason": "max_completion_tokens"}
    texts = []
    for run in runs:
        (message,) = (await demo.ok("GET", f"/threads/{THREAD_RELEASE}/messages?run_id={run['id']}"))["data"]
        texts.append(message["content"][0]["text"]["value"])
    assert all(len(text) < len(texts[3]) for text in texts[:3])
    assert "👩‍👩‍👧‍👦" in texts[3]


async def test_the_journal_is_longer_than_a_page_can_be(demo: Api) -> None:
    path = f"/threads/{THREAD_JOURNAL}/messages?order=asc&limit=100"
    first = await demo.ok("GET", path)
    second = await demo.ok("GET", f"{path}&after={first['last_id']}")
    assert (len(first["data"]), first["has_more"]) == (100, True)
    assert (len(second["data"]), second["has_more"]) == (40, False)
    assert first["data"][0]["content"][0]["text"]["value"].startswith("Day 1 ")


async def test_the_journal_has_more_runs_than_a_default_page(demo: Api) -> None:
    assert (await demo.ok("GET", f"/threads/{THREAD_JOURNAL}/runs"))["has_more"] is True


def test_every_assistant_has_a_name_and_instructions() -> None:
    for make in (analyst, concierge, support, writer):
        made = make(5)
        assert made.name
        assert made.instructions
        assert made.created_at == 5


def test_the_analyst_has_a_file_in_either_version() -> None:
    assert assistant_file_ids(analyst(5)) == (FILE_SALES,)


def test_ids_are_readable_and_numbered(store: Store) -> None:
    story = Narrator(store, "mine", "thread_demoTale0000000000000001", START)
    assert [story.new_id("msg"), story.new_id("msg"), story.new_id("run"), story.new_id("file")] == [
        "msg_demoTale0000000000000001",
        "msg_demoTale0000000000000002",
        "run_demoTale0000000000000001",
        "file-demoTale00000000000001",
    ]


def test_a_run_of_the_demo_ends_before_the_story_continues(store: Store) -> None:
    story = Narrator(store, "mine", "thread_demoTale0000000000000001", START)
    question = story.say("Why?")
    run = story.run(support(START), WriteMessage((TextPart(value="Because."),)))
    assert run.status == "completed"
    assert question.created_at < run.created_at < story.at


def test_marks_are_found_in_code_points() -> None:
    assert marked_text("🏭 a 【0】", ["【0】"]) == [("【0】", 4, 7)]
