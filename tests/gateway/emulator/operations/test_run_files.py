from typing import Any

from gateway.emulator.content.canvas import Canvas
from gateway.emulator.demo.seed import (
    ASSISTANT_ANALYST,
    ASSISTANT_WRITER,
    FILE_CHART,
    FILE_REPORT,
    FILE_SALES,
)
from gateway.emulator.demo.support import FILE_TEAPOT
from tests.gateway.emulator.api_client import Api
from tests.gateway.emulator.operations.test_files import content_of, upload

TABLE = b"city,visitors\nKyoto,53\nNara,13\nOsaka,94\n"


def annotations_of(part: dict[str, Any]) -> list[dict[str, Any]]:
    annotations: list[dict[str, Any]] = part.get("text", {}).get("annotations", [])
    return annotations


async def answer_to(api: Api, assistant_id: str, **message: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the last step before the answer, and the answer's content, of a run about a message."""
    thread_id = await api.new_thread()
    await api.ok("POST", f"/threads/{thread_id}/messages", {"role": "user", **message})
    run = await api.ok("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id})
    api.clock.advance(60)
    steps = (await api.ok("GET", f"/threads/{thread_id}/runs/{run['id']}/steps?order=asc"))["data"]
    (answer,) = (await api.ok("GET", f"/threads/{thread_id}/messages?run_id={run['id']}"))["data"]
    # What a message links to, it also attaches.
    linked = [one["file_path"] for part in answer["content"] for one in annotations_of(part) if "file_path" in one]
    assert [{"file_id": one["file_id"]} for one in answer["attachments"]] == linked
    return steps[-2:][0], answer["content"]


async def test_the_analyst_ranks_and_draws_an_attached_table(demo: Api) -> None:
    _, made = await upload(demo, TABLE, "visitors.csv", key="demo")
    attachments = [{"file_id": made["id"], "tools": [{"type": "code_interpreter"}]}]
    step, (image, text) = await answer_to(
        demo, ASSISTANT_ANALYST, content="Which city is the busiest?", attachments=attachments
    )
    (call,) = step["step_details"]["tool_calls"]
    assert "visitors.csv" in call["code_interpreter"]["input"]
    logs, drawn = call["code_interpreter"]["outputs"]
    assert logs["logs"].startswith("(3, 2)\nOsaka  94\n")
    assert drawn["image"]["file_id"] == image["image_file"]["file_id"]
    assert "The largest visitors is 94 (city Osaka)." in text["text"]["value"]
    (annotation,) = text["text"]["annotations"]
    result = await content_of(demo, annotation["file_path"]["file_id"], key="demo")
    assert result == b"city,visitors\nOsaka,94\nKyoto,53\nNara,13\n"
    chart = await demo.ok("GET", f"/files/{image['image_file']['file_id']}")
    assert (chart["filename"], chart["purpose"]) == ("chart.png", "assistants_output")
    assert (await content_of(demo, chart["id"], key="demo")).startswith(b"\x89PNG")


async def test_every_assistant_names_the_images_that_it_sees(demo: Api) -> None:
    picture = Canvas(40, 30, [(0, 0, 0)]).to_png()
    _, made = await upload(demo, picture, "lid.png", purpose="vision", key="demo")
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_file", "image_file": {"file_id": made["id"]}}]
    for assistant_id in (ASSISTANT_WRITER, ASSISTANT_ANALYST):
        _, answer = await answer_to(demo, assistant_id, content=content)
        assert f"lid.png is an image of 40 × 30 pixels and {len(picture)} bytes." in answer[-1]["text"]["value"]  # noqa: RUF001


async def test_a_file_that_was_deleted_is_not_read(api: Api) -> None:
    assistant_id = await api.new_assistant(tools=[{"type": "code_interpreter"}])
    _, made = await upload(api, TABLE, "visitors.csv")
    thread_id = await api.new_thread()
    attachments = [{"file_id": made["id"], "tools": [{"type": "code_interpreter"}]}]
    body = {"role": "user", "content": "Well?", "attachments": attachments}
    await api.ok("POST", f"/threads/{thread_id}/messages", body)
    await api.ok("DELETE", f"/files/{made['id']}")
    await api.ok("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id})
    api.clock.advance(60)
    answer = (await api.ok("GET", f"/threads/{thread_id}/messages"))["data"][0]
    assert "visitors" not in answer["content"][0]["text"]["value"]


async def test_what_a_vector_store_cites_is_a_file(api: Api) -> None:
    resources = {"file_search": {"vector_store_ids": ["vs_1"]}}
    assistant_id = await api.new_assistant(tools=[{"type": "file_search"}], tool_resources=resources)
    cited = []
    for _ in range(2):
        _, (text,) = await answer_to(api, assistant_id, content="Well?")
        (annotation,) = text["text"]["annotations"]
        cited.append(annotation["file_citation"]["file_id"])
    assert cited[0] == cited[1]
    file = await api.ok("GET", f"/files/{cited[0]}")
    assert f"†{file['filename']}】" in annotation["text"]
    assert await content_of(api, cited[0]) == b"What vs_1 holds.\n"


async def test_the_demos_images_and_tables_can_be_seen(demo: Api) -> None:
    for file_id, beginning in (
        (FILE_TEAPOT, b"\x89PNG"),
        (FILE_CHART, b"\x89PNG"),
        (FILE_REPORT, b"region,revenue\n"),
        (FILE_SALES, b"region,month,revenue\n"),
    ):
        assert (await content_of(demo, file_id, key="demo")).startswith(beginning)
