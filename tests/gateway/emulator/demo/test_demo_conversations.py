"""The demo conversations: the stories of the demo threads, as items and responses."""

from itertools import pairwise
from typing import Any

import pytest

from gateway.emulator.demo.seed import DEMO_CONVERSATIONS, DEMO_THREADS, seed_demo
from gateway.emulator.state.store import Store
from tests.gateway.emulator.api_client import START, Api

STORIES = dict(zip(DEMO_THREADS, DEMO_CONVERSATIONS, strict=True))


async def all_items(api: Api, conversation_id: str) -> list[Any]:
    """Return all items of a conversation, oldest first, with all that can be included."""
    path = f"/conversations/{conversation_id}/items?order=asc&limit=100&include[]=file_search_call.results"
    page = await api.ok("GET", f"{path}&include[]=code_interpreter_call.outputs")
    items = page["data"]
    while page["has_more"]:
        page = await api.ok("GET", f"{path}&after={page['last_id']}")
        items += page["data"]
    return list(items)


def texts(items: list[Any]) -> list[str]:
    return [part["text"] for item in items if item["type"] == "message" for part in item["content"] if "text" in part]


@pytest.mark.parametrize("thread_id", DEMO_THREADS)
async def test_a_conversation_tells_the_story_of_its_thread(demo: Api, thread_id: str) -> None:
    thread = await demo.ok("GET", f"/threads/{thread_id}")
    conversation = await demo.ok("GET", f"/conversations/{STORIES[thread_id]}")
    assert conversation["metadata"] == thread["metadata"]
    messages: list[Any] = []
    page: Any = {"has_more": True, "last_id": ""}
    while page["has_more"]:
        path = f"/threads/{thread_id}/messages?order=asc&limit=100"
        page = await demo.ok("GET", f"{path}&after={page['last_id']}" if page["last_id"] else path)
        messages += page["data"]
    told = [part["text"] for message in messages for part in message["content"] if "text" in part]
    expected: list[str] = []
    for text in told:
        value = text["value"]
        for note in text["annotations"]:
            value = value.replace(note["text"], "") if note["type"] == "file_citation" else value
        expected.append(value)
    # A cancelled message ends where the clock stood, which is not the same on both faces.
    for got, wanted in zip(texts(await all_items(demo, STORIES[thread_id])), expected, strict=True):
        assert got == wanted or got.startswith(wanted) or wanted.startswith(got)


async def test_the_refund_waits_for_the_output_of_its_call(demo: Api) -> None:
    conversation_id = STORIES["thread_demoRefundPending0000001"]
    *_, call = await all_items(demo, conversation_id)
    assert (call["type"], call["name"]) == ("function_call", "issue_refund")
    body = {"model": "gpt-4o-mini", "conversation": conversation_id, "background": True, "store": True}
    status, error = await demo.error("POST", "/responses", {**body, "input": "Hello?"})
    assert (status, error["message"]) == (400, f"No tool output found for function call {call['call_id']}.")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "Refunded."}
    response = await demo.ok("POST", "/responses", {**body, "input": [output]})
    demo.clock.advance(60)
    done = await demo.ok("GET", f"/responses/{response['id']}")
    assert "issue_refund: Refunded." in done["output"][0]["content"][0]["text"]


async def test_the_responses_of_the_release_end_as_its_runs(demo: Api) -> None:
    statuses = []
    for number in range(1, 5):
        response = await demo.ok("GET", f"/responses/resp_demoReleaseNotes0000500{number}")
        assert response["conversation"] == {"id": STORIES["thread_demoReleaseNotes00000001"]}
        statuses.append(response["status"])
    assert statuses == ["incomplete", "cancelled", "failed", "completed"]


async def test_the_chart_the_table_and_the_citations_are_annotations(demo: Api) -> None:
    items = await all_items(demo, STORIES["thread_demoQuarterlySales000001"])
    _, code, drawn, _, search, cited = items
    assert [output["type"] for output in code["outputs"]] == ["logs", "image"]
    assert len(search["results"]) == 2
    notes = drawn["content"][0]["annotations"]
    assert [note["filename"] for note in notes] == ["chart.png", "report.csv"]
    for note in notes:
        assert (await demo.ok("GET", f"/files/{note['file_id']}"))["filename"] == note["filename"]
    assert [note["filename"] for note in cited["content"][0]["annotations"]] == ["handbook.pdf", "handbook.pdf"]


async def test_a_background_response_of_the_demo_can_be_read_as_a_stream(demo: Api) -> None:
    async with demo.client.get(
        "/v1/responses/resp_demoTripToKyoto000005001?stream=true", headers={"Authorization": "Bearer demo"}
    ) as reply:
        text = await reply.text()
    assert text.count("response.function_call_arguments.done") == 2 * 2
    assert text.endswith("data: [DONE]\n\n")


def test_a_database_of_before_gets_the_conversations_once(store: Store) -> None:
    for mark in ("files", "seeded"):
        assert store.mark_once(f"{mark}:mine")
    seed_demo(store, "mine", START)
    assert (store.threads.count("mine", None), store.conversations.count("mine", None)) == (0, 6)
    store.conversations.delete("mine", DEMO_CONVERSATIONS[0])
    seed_demo(store, "mine", START)
    assert store.conversations.count("mine", None) == 5


def test_the_items_of_a_story_are_in_the_order_of_their_times(store: Store) -> None:
    seed_demo(store, "mine", START)
    for conversation_id in DEMO_CONVERSATIONS:
        times = [item.created_at for item in store.items.list_all("mine", conversation_id)]
        assert all(earlier <= later for earlier, later in pairwise(times))
        assert times[-1] <= START
