import io
import re
from typing import Any

import pytest
from aiohttp import FormData

from gateway.emulator.demo.seed import THREAD_ANALYSIS, THREAD_SUPPORT
from gateway.emulator.operations.files import PURPOSES
from tests.gateway.emulator.api_client import Api

HEADERS = {"Authorization": "Bearer sk-test"}
MISSING = "No file found with id 'file-none'."


async def upload(
    api: Api, content: bytes = b"Hello", name: str | None = "notes.md", *, purpose: str = "assistants"
) -> tuple[int, Any]:
    form = FormData(quote_fields=False)
    form.add_field("purpose", purpose)
    if name is not None:
        form.add_field("file", io.BytesIO(content), filename=name)
    response = await api.client.post("/v1/files", data=form, headers=HEADERS)
    return response.status, await response.json()


async def test_a_file_is_stored_listed_read_and_deleted(api: Api) -> None:
    content = bytes(range(256))
    status, made = await upload(api, content, "Übersicht 1.bin")
    assert status == 200
    assert made == {
        "object": "file",
        "id": made["id"],
        "purpose": "assistants",
        "filename": "Übersicht 1.bin",
        "bytes": 256,
        "created_at": int(api.clock.now()),
        "expires_at": None,
        "status": "processed",
        "status_details": None,
    }
    assert made["id"].startswith("file-")
    path = f"/files/{made['id']}"
    assert await api.ok("GET", path) == made
    read = await api.client.get(f"/v1{path}/content", headers=HEADERS)
    assert (await read.read(), read.content_type) == (content, "application/octet-stream")
    assert read.content_disposition is not None
    assert read.content_disposition.filename == "Übersicht 1.bin"
    assert made in (await api.ok("GET", "/files"))["data"]
    assert await api.ok("DELETE", path) == {"object": "file", "deleted": True, "id": made["id"]}
    for method, gone in (("GET", path), ("GET", f"{path}/content"), ("DELETE", path)):
        status, error = await api.error(method, gone)
        assert (status, error["message"], error["param"]) == (404, f"No such File object: {made['id']}", "id")


async def test_files_are_listed_by_purpose_and_page(api: Api) -> None:
    client = api.using(key="sk-test")
    for file_id in ("file-1", "file-2"):
        await client.ok("DELETE", f"/files/{file_id}")
    made = [(await upload(client, name=f"{number}", purpose="vision"))[1]["id"] for number in range(3)]
    await upload(client, purpose="batch")
    page = await client.ok("GET", "/files?purpose=vision&limit=2")
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (made[:0:-1], True)
    rest = await client.ok("GET", f"/files?purpose=vision&after={page['last_id']}&order=desc")
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (made[:1], False)
    assert len((await client.ok("GET", "/files?limit=10000"))["data"]) == 4
    assert (await client.error("GET", "/files?limit=10001"))[1]["code"] == "integer_above_max_value"


async def test_files_are_hidden_from_other_keys(api: Api) -> None:
    stranger = api.using(key="sk-other")
    assert (await stranger.ok("GET", "/files"))["data"] == []
    for path in ("/files/file-1", "/files/file-1/content"):
        assert (await stranger.call("GET", path)).status == 404
    thread = {"messages": [{"role": "user", "content": "x", "attachments": [{"file_id": "file-1"}]}]}
    assert (await stranger.error("POST", "/threads", thread))[0] == 400


@pytest.mark.parametrize(
    ("name", "purpose", "param", "message"),
    [
        (None, "vision", "file", "Missing required parameter: 'file'."),
        ("a", "fun", "purpose", "Invalid value: 'fun'. Supported values are: "),
    ],
)
async def test_an_upload_without_its_fields_is_refused(
    api: Api, name: str | None, purpose: str, param: str, message: str
) -> None:
    status, answer = await upload(api, name=name, purpose=purpose)
    assert (status, answer["error"]["param"]) == (400, param)
    assert answer["error"]["message"].startswith(message)


async def test_an_upload_that_is_no_form_is_refused(api: Api) -> None:
    assert (await api.error("POST", "/files", {"purpose": "vision"}))[0] == 400
    form = {**HEADERS, "Content-Type": "multipart/form-data"}
    assert (await api.call("POST", "/files", raw=b"--x", headers=form)).status == 400


async def test_a_file_above_the_limit_is_refused(api: Api) -> None:
    status, answer = await upload(api, bytes(4_194_305))
    assert status == 413
    assert answer["error"]["message"] == "Request body is too large. Expected at most 4194304 bytes."


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_every_purpose_of_the_api_is_taken(api: Api, purpose: str) -> None:
    assert (await upload(api, purpose=purpose))[0] == 200


def message(**fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": "x", **fields}


ATTACHED = {"attachments": [{"file_id": "file-1"}, {"file_id": "file-none"}]}
CODE = {"code_interpreter": {"file_ids": ["file-none"]}}
IMAGE = {"content": [{"type": "image_file", "image_file": {"file_id": "file-none"}}]}
VECTORS = {"file_search": {"vector_stores": [{"file_ids": ["file-none"]}]}}


@pytest.mark.parametrize(
    ("version", "path", "body", "param"),
    [
        ("v2", "/threads/{thread}/messages", message(**ATTACHED), "attachments[1].file_id"),
        ("v2", "/threads/{thread}/messages", message(**IMAGE), "content[0].image_file.file_id"),
        ("v2", "/threads", {"messages": [message(**ATTACHED)]}, "messages[0].attachments[1].file_id"),
        ("v2", "/threads", {"tool_resources": CODE}, "tool_resources.code_interpreter.file_ids[0]"),
        ("v2", "/threads", {"tool_resources": VECTORS}, "tool_resources.file_search.vector_stores[0].file_ids[0]"),
        ("v2", "/threads/{thread}", {"tool_resources": CODE}, "tool_resources.code_interpreter.file_ids[0]"),
        ("v2", "/assistants", {"model": "m", "tool_resources": CODE}, "tool_resources.code_interpreter.file_ids[0]"),
        ("v2", "/assistants/{assistant}", {"tool_resources": CODE}, "tool_resources.code_interpreter.file_ids[0]"),
        (
            "v2",
            "/threads/{thread}/runs",
            {"assistant_id": "{assistant}", "additional_messages": [message(**ATTACHED)]},
            "additional_messages[0].attachments[1].file_id",
        ),
        (
            "v2",
            "/threads/runs",
            {"assistant_id": "{assistant}", "thread": {"messages": [message(**ATTACHED)]}},
            "thread.messages[0].attachments[1].file_id",
        ),
        (
            "v2",
            "/threads/runs",
            {"assistant_id": "{assistant}", "tool_resources": CODE},
            "tool_resources.code_interpreter.file_ids[0]",
        ),
        ("v1", "/threads/{thread}/messages", message(file_ids=["file-none"]), "file_ids[0]"),
        ("v1", "/assistants", {"model": "m", "file_ids": ["file-none"]}, "file_ids[0]"),
        ("v1", "/assistants/{assistant}/files", {"file_id": "file-none"}, "file_id"),
    ],
)
async def test_an_attached_file_that_does_not_exist_is_refused(
    api: Api, version: str, path: str, body: dict[str, Any], param: str
) -> None:
    client = api.using(version=version)
    ids = {"{thread}": await client.new_thread("Hi"), "{assistant}": await client.new_assistant()}
    for name, value in ids.items():
        path = path.replace(name, value)
    if "assistant_id" in body:
        body = {**body, "assistant_id": ids["{assistant}"]}
    status, error = await client.error("POST", path, body)
    assert (status, error["message"], error["param"]) == (400, MISSING, param)


async def test_an_id_that_is_no_files_is_refused(api: Api) -> None:
    status, error = await api.error("POST", "/threads", {"messages": [message(attachments=[{"file_id": "42"}])]})
    assert (status, error["param"]) == (400, "messages[0].attachments[0].file_id")
    assert error["message"].endswith("Expected an ID that begins with 'file'.")


async def test_words_of_the_clients_own_are_no_files(api: Api) -> None:
    parameters = {"type": "object", "properties": {"file_id": {"type": "string"}}, "default": {"file_id": "x"}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    await api.new_assistant(tools=[tool], metadata={"file_id": "x"})


async def test_the_files_that_a_run_makes_can_be_read(api: Api) -> None:
    tools = [{"type": "code_interpreter"}]
    path = await api.new_run("Draw a chart, and save it as a CSV file.", tools=tools)
    api.clock.advance(60)
    page = await api.ok("GET", path.partition("/runs")[0] + "/messages")
    image, text = page["data"][0]["content"]
    (annotation,) = text["text"]["annotations"]
    for file_id, name, start in (
        (image["image_file"]["file_id"], "chart.png", b"\x89PNG"),
        (annotation["file_path"]["file_id"], "result.csv", b"Your question"),
    ):
        assert (await api.ok("GET", f"/files/{file_id}"))["filename"] == name
        response = await api.client.get(f"/v1/files/{file_id}/content", headers=HEADERS)
        assert (await response.read()).startswith(start)
    await api.new_run("Draw a chart, and save it as a CSV file.", tools=tools)


async def test_every_file_that_the_demo_names_exists(demo: Api) -> None:
    known = {one["id"]: one["filename"] for one in (await demo.ok("GET", "/files"))["data"]}
    assert sorted(known.values()) == ["chart.png", "handbook.pdf", "report.csv", "sales.csv", "teapot.png"]
    found = set()
    for thread in (THREAD_ANALYSIS, THREAD_SUPPORT):
        found |= set(re.findall(r"file-\w+", (await demo.call("GET", f"/threads/{thread}/messages?limit=100")).text))
    found |= set(re.findall(r"file-\w+", (await demo.call("GET", "/assistants")).text))
    assert found == set(known)
