import re

import pytest

from gateway.emulator.http.api_endpoint import is_api_path, json_response
from tests.gateway.emulator.api_client import Api

KEY = {"Authorization": "Bearer sk-test"}
NEWER = {**KEY, "OpenAI-Beta": "assistants=v2"}


async def test_every_answer_has_the_headers_of_the_api_and_is_indented(api: Api) -> None:
    for path in ("/assistants", "/threads/thread_X", "/nowhere"):
        reply = await api.call("GET", path)
        assert re.fullmatch(r"req_[0-9a-f]{32}", reply.headers["x-request-id"])
        assert reply.headers["openai-version"] == "2020-10-01"
        assert reply.headers["openai-organization"]
        assert int(reply.headers["openai-processing-ms"]) >= 1
        assert reply.headers["Content-Type"].startswith("application/json")
        assert reply.text.startswith('{\n  "')


async def test_request_ids_differ(api: Api) -> None:
    assert len({(await api.call("GET", "/assistants")).headers["x-request-id"] for _ in range(3)}) == 3


@pytest.mark.parametrize("beta", [None, "", "assistants=v3", "v2"])
async def test_a_call_that_names_no_known_version_is_refused(api: Api, beta: str | None) -> None:
    headers = KEY if beta is None else {**KEY, "OpenAI-Beta": beta}
    reply = await api.call("GET", "/assistants", headers=headers)
    assert reply.status == 400
    assert reply.json["error"] == {
        "message": "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by "
        "setting the header 'OpenAI-Beta: assistants=v2'.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_beta",
    }


async def test_one_of_several_betas_may_name_the_version(api: Api) -> None:
    headers = {**KEY, "OpenAI-Beta": "other=v9, assistants=v2"}
    assert (await api.call("GET", "/assistants", headers=headers)).status == 200


async def test_a_missing_key_is_refused_before_other_checks(api: Api) -> None:
    assert (await api.call("GET", "/assistants", headers={})).status == 401
    assert (await api.call("GET", "/nowhere", headers={})).status == 404


async def test_azures_key_header_names_the_same_partition(api: Api) -> None:
    await api.new_assistant()
    reply = await api.call("GET", "/assistants", headers={"api-key": "sk-test", "OpenAI-Beta": "assistants=v2"})
    assert len(reply.json["data"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "version", "status", "message"),
    [
        ("DELETE", "/threads/thread_X/messages/msg_X", "v1", 405, "Invalid method for URL (DELETE /v1{path})"),
        ("GET", "/threads/thread_X/messages/msg_X/files", "v2", 404, "Invalid URL (GET /v1{path})"),
        ("GET", "/assistants/asst_X/files", "v2", 404, "Invalid URL (GET /v1{path})"),
        ("PATCH", "/assistants", "v2", 405, "Invalid method for URL (PATCH /v1{path})"),
    ],
)
async def test_an_operation_of_the_other_version_is_an_unknown_url(
    api: Api, method: str, path: str, version: str, status: int, message: str
) -> None:
    reply_status, error = await api.using(version=version).error(method, path)
    assert (reply_status, error["message"]) == (status, message.replace("{path}", path))


@pytest.mark.parametrize(
    ("method", "path", "version", "allowed"),
    [
        ("PATCH", "/assistants", "v2", "GET, POST"),
        ("DELETE", "/assistants", "v2", "GET, POST"),
        ("GET", "/threads/runs/", "v2", None),
        ("PUT", "/threads/thread_X", "v1", "DELETE, GET, POST"),
        ("DELETE", "/threads/thread_X/messages/msg_X", "v1", "GET, POST"),
        ("PUT", "/threads/thread_X/messages/msg_X", "v1", "GET, POST"),
        ("PUT", "/threads/thread_X/messages/msg_X", "v2", "DELETE, GET, POST"),
        ("GET", "/threads/thread_X/runs/run_X/cancel", "v2", "POST"),
        ("PATCH", "/assistants/asst_X/files", "v1", "GET, POST"),
        ("PATCH", "/assistants/asst_X/files", "v2", None),
        ("PUT", "/files", "v2", "GET, POST"),
        ("POST", "/files/file-1/content", "v2", "GET"),
    ],
)
async def test_a_wrong_method_is_refused_with_the_methods_that_the_path_has(
    api: Api, method: str, path: str, version: str, allowed: str | None
) -> None:
    reply = await api.using(version=version).call(method, path)
    assert (reply.status, reply.headers.get("Allow")) == (404 if allowed is None else 405, allowed)


@pytest.mark.parametrize("raw", [b"{", b"{'a': 1}", b'{"metadata":{"a":"\xff"}}', b'{"metadata":{"a":"\\ud800"}}'])
async def test_a_body_that_is_not_json_is_refused(api: Api, raw: bytes) -> None:
    reply = await api.call("POST", "/threads", raw=raw, headers=NEWER)
    assert reply.status == 400
    assert reply.json["error"]["message"].startswith("We could not parse the JSON body of your request.")


async def test_a_body_above_the_limit_is_refused_in_json(api: Api) -> None:
    reply = await api.call("POST", "/threads", raw=b" " * 4_194_305, headers=NEWER)
    assert (reply.status, reply.json["error"]["message"]) == (
        413,
        "Request body is too large. Expected at most 4194304 bytes.",
    )


@pytest.mark.parametrize("raw", [b"", b"null", b"{}", b"  "])
async def test_no_body_is_an_empty_object(api: Api, raw: bytes) -> None:
    assert (await api.call("POST", "/threads", raw=raw, headers=NEWER)).status == 200


async def test_an_integer_of_any_length_is_echoed(api: Api) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 10**30}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    made = await api.ok("POST", "/assistants", {"model": "m", "tools": [tool]})
    assert made["tools"][0]["function"]["parameters"] == schema


async def test_an_internal_error_is_a_500_without_details(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("gateway.emulator.state.store.ObjectTable.page", broken)
    reply = await api.call("GET", "/assistants")
    assert (reply.status, reply.json["error"]["type"]) == (500, "server_error")
    assert "secret" not in reply.text
    assert "sk-test" not in caplog.text


def test_the_emulators_own_pages_are_not_the_api() -> None:
    assert not is_api_path("/")
    assert not is_api_path("/_emulator/requests")
    assert is_api_path("/v1/threads")
    assert is_api_path("/favicon.ico")


def test_unicode_is_not_escaped() -> None:
    assert "京都" in json_response({"a": "京都"}).text  # type: ignore[operator]
