import asyncio
import io
import random
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, make_mocked_request

from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.demo.seed import THREAD_ANALYSIS, THREAD_SUPPORT
from gateway.emulator.http.api_endpoint import BodyLimits
from gateway.emulator.http.file_response import FileResponse
from gateway.emulator.objects import UploadedFile
from gateway.emulator.operations.files import PURPOSES
from gateway.emulator.state.store import Store
from tests.gateway.emulator.api_client import Api

HEADERS = {"Authorization": "Bearer sk-test"}
MISSING = "No file found with id 'file-none'."


async def upload(
    api: Api,
    content: bytes = b"Hello",
    name: str | None = "notes.md",
    *,
    purpose: str = "assistants",
    key: str = "sk-test",
) -> tuple[int, Any]:
    form = FormData(quote_fields=False)
    form.add_field("purpose", purpose)
    if name is not None:
        form.add_field("file", io.BytesIO(content), filename=name)
    response = await api.client.post("/v1/files", data=form, headers={"Authorization": f"Bearer {key}"})
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


@pytest.fixture
async def small(
    aiohttp_client: Callable[[web.Application], Awaitable[TestClient[Any, Any]]], clock: ManualClock
) -> Api:
    """An emulator that takes uploads of 2 MiB, form included, and no other bodies above 50 bytes."""
    limits = BodyLimits(upload_bytes=2 << 20, other_bytes=50)
    return Api(await aiohttp_client(create_app(clock=clock, limits=limits)), clock)


async def test_an_upload_has_a_limit_of_its_own(small: Api) -> None:
    content = random.Random(1).randbytes((2 << 20) - 1000)
    status, made = await upload(small, content)
    assert (status, made["bytes"]) == (200, len(content))
    assert await content_of(small, made["id"]) == content
    status, answer = await upload(small, bytes(2 << 20))
    assert (status, answer["error"]["message"]) == (413, "Request body is too large. Expected at most 2097152 bytes.")


async def test_an_upload_that_breaks_off_leaves_nothing(small: Api, caplog: pytest.LogCaptureFixture) -> None:
    """The file is large enough to be on the disk already."""
    _, writer = await asyncio.open_connection("127.0.0.1", small.client.port)
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="half.bin"\r\n\r\n'
    request = (
        "POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-test\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 2000000\r\n\r\n"
    )
    writer.write(request.encode() + head + bytes(1_900_000))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    server = small.client.server.handler
    assert server is not None
    async with asyncio.timeout(10):
        while server.connections:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)
    assert (await small.ok("GET", "/files"))["data"] == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def content_of(api: Api, file_id: str, *, key: str = "sk-test") -> bytes:
    headers = {"Authorization": f"Bearer {key}"}
    async with api.client.get(f"/v1/files/{file_id}/content", headers=headers) as response:
        assert response.status == 200
        return await response.read()


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=65530-65541", 65_530, 65_542),
        ("bytes=199990-", 199_990, 200_000),
        ("bytes=-7", 199_993, 200_000),
        ("bytes=100-999999", 100, 200_000),
        ("bytes=-999999", 0, 200_000),
    ],
)
async def test_a_range_of_a_file_is_sent(api: Api, asked: str, start: int, end: int) -> None:
    content = random.Random(2).randbytes(200_000)
    _, made = await upload(api, content)
    async with api.client.get(f"/v1/files/{made['id']}/content", headers={**HEADERS, "Range": asked}) as response:
        assert (response.status, await response.read()) == (206, content[start:end])
        assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/200000"
        assert response.headers["Content-Length"] == str(end - start)


async def test_a_range_beyond_the_end_is_refused(api: Api) -> None:
    _, made = await upload(api, b"Hello")
    async with api.client.get(f"/v1/files/{made['id']}/content", headers={**HEADERS, "Range": "bytes=5-"}) as response:
        assert (response.status, await response.read()) == (416, b"")
        assert response.headers["Content-Range"] == "bytes */5"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1,3-4"},
        {"Range": "lines=1-2"},
        {"Range": "bytes=4-1"},
        {"Range": "bytes=0-1", "If-Range": "x"},
    ],
)
async def test_other_ranges_are_ignored(api: Api, headers: dict[str, str]) -> None:
    _, made = await upload(api, b"Hello")
    async with api.client.get(f"/v1/files/{made['id']}/content", headers=HEADERS | headers) as response:
        assert (response.status, await response.read()) == (200, b"Hello")
        assert (response.headers["Accept-Ranges"], response.headers.get("Content-Length")) == ("bytes", None)


@pytest.mark.parametrize("content", [b"", b"x", bytes(65_536), bytes(65_537), bytes(range(256)) * 1000])
async def test_a_file_of_any_length_comes_back(api: Api, content: bytes) -> None:
    _, made = await upload(api, content)
    assert (made["bytes"], await content_of(api, made["id"])) == (len(content), content)


async def test_a_download_ends_when_its_file_is_deleted(store: Store) -> None:
    file = UploadedFile(id="file-x", created_at=1, filename="x", purpose="vision", size=100_000)
    store.store_file("mine", file, bytes(100_000))
    frames = FileResponse(make_mocked_request("GET", "/"), file, store.file_pieces, "mine").frames
    assert len(await anext(frames)) == 65_536
    store.files.delete("mine", "file-x")
    with pytest.raises(ConnectionResetError, match="deleted"):
        await anext(frames)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("image.png", 'attachment; filename="image.png"'),
        ("Übersicht 1.bin", "attachment; filename*=UTF-8''%C3%9Cbersicht%201.bin"),
    ],
)
async def test_a_name_is_shown_as_the_recorded_traffic_shows_it(api: Api, name: str, shown: str) -> None:
    _, made = await upload(api, name=name)
    async with api.client.get(f"/v1/files/{made['id']}/content", headers=HEADERS) as response:
        assert response.headers["Content-Disposition"] == shown


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
        (annotation["file_path"]["file_id"], "result.csv", b"words\n10\n"),
    ):
        assert (await api.ok("GET", f"/files/{file_id}"))["filename"] == name
        response = await api.client.get(f"/v1/files/{file_id}/content", headers=HEADERS)
        assert (await response.read()).startswith(start)
    before = {one["id"] for one in (await api.ok("GET", "/files"))["data"]}
    await api.new_run("Draw a chart, and save it as a CSV file.", tools=tools)
    made = {one["id"] for one in (await api.ok("GET", "/files"))["data"]} - before
    assert len(made) == 2, "each run makes files of its own"


async def test_every_file_that_the_demo_names_exists(demo: Api) -> None:
    known = {one["id"]: one["filename"] for one in (await demo.ok("GET", "/files"))["data"]}
    assert sorted(known.values()) == ["chart.png", "handbook.pdf", "report.csv", "sales.csv", "teapot.png"]
    found = set()
    for thread in (THREAD_ANALYSIS, THREAD_SUPPORT):
        found |= set(re.findall(r"file-\w+", (await demo.call("GET", f"/threads/{thread}/messages?limit=100")).text))
    found |= set(re.findall(r"file-\w+", (await demo.call("GET", "/assistants")).text))
    assert found == set(known)
