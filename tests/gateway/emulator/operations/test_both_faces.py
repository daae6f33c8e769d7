"""A run and a response say the same to the same question: one script, rendered in two forms."""

from typing import Any

import aiohttp
import pytest

from gateway.emulator.runs.script import FOUNDRY_SCENARIOS
from tests.gateway.emulator.api_client import TIME_TOOL, WEATHER_TOOL, Api

CSV = b"region,sales\nBayern,3\nTokyo,9\nOslo,5\n"
STORE = {"file_search": {"vector_store_ids": ["vs_handbook"]}}
FUNCTIONS = [{"type": "function", **tool["function"]} for tool in (WEATHER_TOOL, TIME_TOOL)]  # type: ignore[dict-item]


async def upload(api: Api, name: str, content: bytes) -> str:
    form = aiohttp.FormData({"purpose": "assistants"})
    form.add_field("file", content, filename=name)
    headers = {"Authorization": f"Bearer {api.key}"}
    async with api.client.post("/v1/files", data=form, headers=headers) as reply:
        return str((await reply.json())["id"])


async def run_of(api: Api, message: Any, assistant: Any, metadata: Any) -> tuple[Any, list[str], list[str]]:
    """Return a run after its end, the kinds of its steps' calls, and the texts that it wrote."""
    thread = await api.ok("POST", "/threads", {"messages": [message]})
    made = await api.ok("POST", "/assistants", {"model": "m", **assistant})
    path = f"/threads/{thread['id']}/runs"
    run = await api.ok("POST", path, {"assistant_id": made["id"], "metadata": metadata})
    api.clock.advance(60)
    run = await api.ok("GET", f"{path}/{run['id']}")
    steps = (await api.ok("GET", f"{path}/{run['id']}/steps?order=asc"))["data"]
    calls = [call["type"] for step in steps for call in step["step_details"].get("tool_calls", [])]
    messages = (await api.ok("GET", f"/threads/{thread['id']}/messages?order=asc&run_id={run['id']}"))["data"]
    texts: list[str] = []
    for part in (part for one in messages for part in one["content"]):
        if part["type"] == "refusal":
            texts.append(part["refusal"])
        elif part["type"] == "text":
            value = part["text"]["value"]
            for note in part["text"]["annotations"]:
                value = value.replace(note["text"], "") if note["type"] == "file_citation" else value
            texts.append(value)
    return run, calls, texts


async def response_of(api: Api, item: Any, tools: Any, metadata: Any) -> tuple[Any, list[str], list[str]]:
    """Return a response after its end, the types of its calls, and the texts that it wrote."""
    body = {"model": "m", "input": [item], "tools": tools, "metadata": metadata, "background": True, "store": True}
    made = await api.ok("POST", "/responses", body)
    api.clock.advance(60)
    response = await api.ok("GET", f"/responses/{made['id']}")
    calls = [one["type"] for one in response["output"] if one["type"] != "message"]
    parts = [part for one in response["output"] if one["type"] == "message" for part in one["content"]]
    return response, calls, [part.get("text", part.get("refusal")) for part in parts]


@pytest.mark.parametrize(
    ("question", "assistant", "tools", "kinds"),
    [
        ("What is a heron? Where does it live?", {}, [], []),
        (
            "Weather in Kyoto?",
            {"tools": [WEATHER_TOOL, TIME_TOOL]},
            FUNCTIONS,
            ["function_call", "function_call"],
        ),
        (
            "What does the handbook say?",
            {"tools": [{"type": "file_search"}], "tool_resources": STORE},
            [{"type": "file_search", **STORE["file_search"]}],
            ["file_search_call"],
        ),
        (
            "Count my words.",
            {"tools": [{"type": "code_interpreter"}]},
            [{"type": "code_interpreter", "container": {"type": "auto"}}],
            ["code_interpreter_call"],
        ),
    ],
)
async def test_the_same_tools_lead_to_the_same_calls_and_words(
    api: Api, question: str, assistant: Any, tools: Any, kinds: list[str]
) -> None:
    _, calls, texts = await run_of(api, {"role": "user", "content": question}, assistant, {})
    _, called, written = await response_of(api, {"role": "user", "content": question}, tools, {})
    assert written == texts
    assert called == kinds
    assert len(calls) == len(called)


@pytest.mark.parametrize("scenario", sorted({*FOUNDRY_SCENARIOS} - {"stuck", "approval", "image", "tool_error"}))
async def test_the_same_scenario_leads_to_the_same_end(api: Api, scenario: str) -> None:
    metadata = {"emulator": scenario}
    message = {"role": "user", "content": "What is a heron?"}
    run, _, texts = await run_of(api, message, {}, metadata)
    response, _, written = await response_of(api, message, [], metadata)
    assert (response["status"], written) == (run["status"], texts)
    if run["last_error"]:
        assert response["error"] == run["last_error"]


async def test_both_read_the_table_and_the_image_of_a_question(api: Api) -> None:
    table = await upload(api, "sales.csv", CSV)
    image = await upload(api, "heron.png", b"\x89PNG\r\n\x1a\n")
    question = "Which region sold most? Draw a chart."
    message = {
        "role": "user",
        "content": [
            {"type": "text", "text": question},
            {"type": "image_file", "image_file": {"file_id": image}},
        ],
        "attachments": [{"file_id": table, "tools": [{"type": "code_interpreter"}]}],
    }
    _, _, texts = await run_of(api, message, {"tools": [{"type": "code_interpreter"}]}, {})
    container = {"type": "code_interpreter", "container": {"type": "auto", "file_ids": [table]}}
    parts = [{"type": "input_text", "text": question}, {"type": "input_image", "file_id": image}]
    response, _, written = await response_of(api, {"role": "user", "content": parts}, [container], {})
    assert "Tokyo" in " ".join(texts)
    assert written == texts
    # A file as a part of the question is handed over too.
    parts.append({"type": "input_file", "file_id": table})
    plain = {"type": "code_interpreter", "container": {"type": "auto"}}
    assert (await response_of(api, {"role": "user", "content": parts}, [plain], {}))[2] == texts
    notes = [
        note for one in response["output"] if one["type"] == "message" for note in one["content"][0]["annotations"]
    ]
    assert notes
    for note in notes:
        assert (await api.ok("GET", f"/files/{note['file_id']}"))["purpose"] == "assistants_output"
