import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.emulator.app import STREAMS, create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.faults.fault_control import FAULTS
from gateway.emulator.faults.fault_text import parse_fault_rules
from gateway.emulator.faults.faulty_answers import garble_frame, insert_half_character
from gateway.emulator.http.request_counts import COUNTS
from gateway.emulator.streams.stream_events import DONE_FRAME
from tests.gateway.emulator.api_client import Api, Stream, event_names, parse_event

Connect = Callable[[web.Application], Awaitable[TestClient[Any, Any]]]
Faulty = Callable[[str], Awaitable[Api]]
AUTHORIZED = {"Authorization": "Bearer sk-test"}
WHOLE = ["run.created", "run.queued", "run.in_progress"]


@pytest.fixture
def faulty(aiohttp_client: Connect, clock: ManualClock) -> Faulty:
    async def make(text: str) -> Api:
        return Api(await aiohttp_client(create_app(clock=clock, faults=parse_fault_rules(text))), clock)

    return make


def fault_counts(api: Api) -> dict[str, int]:
    app = api.client.app
    assert app is not None
    return dict(app[COUNTS].by_fault)


async def assistant_count(api: Api) -> int:
    """Return the number of assistants, by a read that matches no rule of these tests."""
    return len((await api.ok("GET", "/assistants"))["data"])


async def open_stream(api: Api) -> tuple[str, dict[str, Any]]:
    return f"/threads/{await api.new_thread('Hi')}/runs", {"assistant_id": await api.new_assistant()}


@pytest.mark.parametrize(("fault", "status"), [("429", 429), ("500", 500), ("502", 502), ("503", 503)])
@pytest.mark.parametrize(("when", "written"), [("before", 0), ("after", 1)])
async def test_a_status_fault_replaces_the_response(
    faulty: Faulty, fault: str, status: int, when: str, written: int
) -> None:
    api = await faulty(f"createAssistant:{fault}:when={when}")
    reply = await api.call("POST", "/assistants", {"model": "gpt-4o"})
    assert (reply.status, list(reply.json)) == (status, ["error"])
    assert reply.headers["x-request-id"].startswith("req_")
    assert "Retry-After" not in reply.headers
    assert await assistant_count(api) == written
    assert fault_counts(api) == {fault: 1}


@pytest.mark.parametrize("fault", ["429", "503"])
async def test_a_refusal_may_have_a_retry_after_header(faulty: Faulty, fault: str) -> None:
    api = await faulty(f"*:{fault}:retry_after=3")
    assert (await api.call("GET", "/assistants")).headers["Retry-After"] == "3"


@pytest.mark.parametrize(("when", "written"), [("before", 0), ("after", 1)])
async def test_a_reset_comes_before_or_after_the_write(faulty: Faulty, when: str, written: int) -> None:
    api = await faulty(f"POST:reset:when={when}")
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.call("POST", "/assistants", {"model": "gpt-4o"})
    assert await assistant_count(api) == written
    assert fault_counts(api) == {"reset": 1}


@pytest.mark.parametrize(("when", "written"), [("before", 0), ("after", 1)])
async def test_a_body_ends_before_its_length(faulty: Faulty, when: str, written: int) -> None:
    api = await faulty(f"POST:truncated:when={when}")
    headers = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2"}
    async with api.client.post("/v1/assistants", headers=headers, json={"model": "gpt-4o"}) as response:
        assert response.status == 200
        assert int(response.headers["Content-Length"]) > 20
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert await assistant_count(api) == written


@pytest.mark.parametrize(("fault", "status"), [("html", 200), ("html=502", 502)])
@pytest.mark.parametrize(("when", "written"), [("before", 0), ("after", 1)])
async def test_an_html_page_replaces_the_json_response(
    faulty: Faulty, fault: str, status: int, when: str, written: int
) -> None:
    api = await faulty(f"createAssistant:{fault}:when={when}")
    headers = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2"}
    async with api.client.post("/v1/assistants", headers=headers, json={"model": "gpt-4o"}) as response:
        assert (response.status, response.content_type) == (status, "text/html")
        assert (await response.text()).startswith("<html>")
    assert await assistant_count(api) == written


@pytest.mark.parametrize(("when", "early"), [("before", 0), ("after", 1)])
async def test_latency_comes_before_or_after_the_write(faulty: Faulty, when: str, early: int) -> None:
    api = await faulty(f"createAssistant:latency=500ms:when={when}")
    slow = asyncio.create_task(api.new_assistant())
    for _ in range(10):
        # The read takes real time on its socket, not time of the clock.
        written = await assistant_count(api)
    assert written == early
    assert not slow.done()
    api.clock.advance(0.5)
    await slow
    assert await assistant_count(api) == 1
    assert fault_counts(api) == {"latency": 1}


async def test_a_refused_write_meets_faults_too(faulty: Faulty) -> None:
    api = await faulty("createAssistant:truncated:when=after,getAssistant:503:when=after")
    with pytest.raises(aiohttp.ClientPayloadError):
        await api.call("POST", "/assistants", {})
    assert (await api.call("GET", "/assistants/asst_X")).status == 503


async def test_only_the_first_requests_fail_and_a_retry_succeeds(faulty: Faulty) -> None:
    api = await faulty("createAssistant:503:first=2")
    statuses = [(await api.call("POST", "/assistants", {"model": "gpt-4o"})).status for _ in range(3)]
    assert statuses == [503, 503, 200]
    assert await assistant_count(api) == 1


async def test_pages_of_the_emulator_itself_meet_no_faults(faulty: Faulty) -> None:
    api = await faulty("*:503")
    assert (await api.call("GET", "/nowhere")).status == 503
    assert (await api.client.get("/")).status == 200
    page = await (await api.client.get("/_emulator/requests")).json()
    assert page["by_fault"] == {"503": 1}
    assert page["log"][0] == {
        "operation": "unknown", "method": "GET", "path": "/v1/nowhere", "status": 503, "fault": "503",
        "client_request_id": None,
        "traceparent": None,
    }  # fmt: skip


async def test_a_stream_is_cut_without_its_end(faulty: Faulty) -> None:
    api = await faulty("createRun:cut:events=3")
    path, body = await open_stream(api)
    async with api.stream(path, body) as stream:
        api.clock.advance(60)
        assert event_names([await stream.next() for _ in range(3)]) == WHOLE
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.rest()
    (run,) = (await api.ok("GET", path))["data"]
    assert run["status"] == "completed"
    assert fault_counts(api) == {"cut": 1}


async def next_raw(stream: Stream) -> bytes:
    return await stream.response.content.readuntil(b"\n\n")


async def test_one_garbled_line_of_a_stream_is_not_json_and_the_rest_follows(faulty: Faulty) -> None:
    api = await faulty("createRun:garbled:events=2")
    path, body = await open_stream(api)
    async with api.stream(path, body) as stream:
        api.clock.advance(60)
        assert event_names([await stream.next() for _ in range(2)]) == WHOLE[:2]
        faulty_frame = (await next_raw(stream)).decode()
        assert faulty_frame.startswith("event: thread.run.in_progress\ndata: {")
        with pytest.raises(json.JSONDecodeError):
            parse_event(faulty_frame)
        assert event_names(await stream.rest())[-1] == "done"


async def test_one_line_of_a_stream_is_not_utf_8_and_the_rest_follows(faulty: Faulty) -> None:
    api = await faulty("createRun:half-character:events=2")
    path, body = await open_stream(api)
    async with api.stream(path, body) as stream:
        api.clock.advance(60)
        assert event_names([await stream.next() for _ in range(2)]) == WHOLE[:2]
        faulty_frame = await next_raw(stream)
        with pytest.raises(UnicodeDecodeError):
            faulty_frame.decode()
        assert event_names(await stream.rest())[-1] == "done"


async def test_a_silent_stream_stays_open_until_the_server_stops(faulty: Faulty) -> None:
    api = await faulty("createRun:silent:events=2")
    path, body = await open_stream(api)
    async with api.stream(path, body) as stream:
        api.clock.advance(60)
        assert event_names([await stream.next() for _ in range(2)]) == WHOLE[:2]
        api.clock.advance(700)
        (run,) = (await api.ok("GET", path))["data"]
        assert run["status"] == "completed"
        assert not stream.response.content.at_eof()
        app = api.client.app
        assert app is not None
        app[STREAMS].stop_all()
        assert await stream.rest() == []


async def test_a_stream_that_ends_before_the_fault_is_complete(faulty: Faulty) -> None:
    api = await faulty("*:cut:events=500")
    assert event_names(await api.streamed_run())[-1] == "done"


async def upload(api: Api, content: bytes = bytes(400_000), purpose: str = "vision") -> str:
    form = aiohttp.FormData({"purpose": purpose})
    form.add_field("file", io.BytesIO(content), filename="a.bin")
    async with api.client.post("/v1/files", headers=AUTHORIZED, data=form) as response:
        assert response.status == 200
        return str((await response.json())["id"])


async def test_an_upload_is_cut_in_the_middle_and_leaves_nothing(faulty: Faulty) -> None:
    api = await faulty("createFile:cut:events=2:first=1,createFile:garbled")
    with pytest.raises(aiohttp.ClientConnectionError):
        await upload(api)
    assert (await api.ok("GET", "/files"))["data"] == []
    assert fault_counts(api) == {"cut": 1}
    await upload(api)


async def test_a_silent_upload_stays_open_until_the_server_stops(faulty: Faulty) -> None:
    api = await faulty("createFile:silent:events=0")
    sent = asyncio.create_task(upload(api))
    app = api.client.app
    assert app is not None
    async with asyncio.timeout(10):
        while not app[FAULTS].rules_with_counts[0][1].struck:
            assert (await api.ok("GET", "/files"))["data"] == []
    assert not sent.done()
    app[STREAMS].stop_all()
    with pytest.raises(aiohttp.ClientConnectionError):
        await sent


async def test_a_download_is_cut_in_the_middle(faulty: Faulty) -> None:
    api = await faulty("downloadFile:cut:events=2:first=1,downloadFile:half-character")
    path = f"/v1/files/{await upload(api)}/content"
    async with api.client.get(path, headers=AUTHORIZED) as response:
        assert response.status == 200
        assert await response.content.readexactly(131_072) == bytes(131_072)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()
    async with api.client.get(path, headers=AUTHORIZED) as response:
        assert await response.read() == bytes(400_000)
    assert fault_counts(api) == {"cut": 1}


async def test_the_range_of_a_download_is_ignored(faulty: Faulty) -> None:
    api = await faulty("downloadFile:unfiltered")
    headers = {**AUTHORIZED, "Range": "bytes=1-2"}
    async with api.client.get(f"/v1/files/{await upload(api, b'Hello')}/content", headers=headers) as response:
        assert (response.status, await response.read()) == (200, b"Hello")


@pytest.mark.parametrize(("purpose", "status"), [("assistants", 400), ("user_data", 400), ("vision", 200)])
async def test_content_that_the_real_service_keeps_to_itself_is_refused(
    faulty: Faulty, purpose: str, status: int
) -> None:
    api = await faulty("downloadFile:upload-only")
    file_id = await upload(api, b"Hello", purpose)
    async with api.client.get(f"/v1/files/{file_id}/content", headers=AUTHORIZED) as response:
        assert response.status == status
        if status == 400:
            message = (await response.json())["error"]["message"]
            assert message == f"Not allowed to download files of purpose: {purpose}"
    assert (await api.call("GET", "/files/file-none/content")).status == 404


async def test_a_streamed_write_takes_effect_though_its_response_is_lost(faulty: Faulty) -> None:
    api = await faulty("createRun:truncated:when=after")
    path, body = await open_stream(api)
    with pytest.raises(aiohttp.ClientPayloadError):
        async with api.stream(path, body) as stream:
            await stream.rest()
    assert len((await api.ok("GET", path))["data"]) == 1


def test_the_last_event_can_be_faulty_too() -> None:
    assert garble_frame(DONE_FRAME) == b"event: done\ndata: [DO\n\n"
    assert insert_half_character(DONE_FRAME) == b"event: done\ndata: [D\xe2\x82ONE]\n\n"


def test_a_faulty_frame_keeps_its_framing() -> None:
    frame = b'event: x\ndata: {"a":1}\n\n'
    assert garble_frame(frame) == b'event: x\ndata: {"a\n\n'
    assert insert_half_character(frame) == b'event: x\ndata: {"\xe2\x82a":1}\n\n'
