from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.emulator.app import create_app
from gateway.emulator.bodies.api_errors import ApiError
from gateway.emulator.http.partitions import KeyRing, partition_from_key
from gateway.emulator.objects import ServerKind
from tests.gateway.emulator.api_client import Api

AZURES_WORDS = "Access denied due to invalid subscription key"
REFUSED_WITHOUT_KEY: dict[ServerKind, str] = {
    "openai": "You didn't provide an API key.",
    "azure": AZURES_WORDS,
    "foundry": AZURES_WORDS,
}


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer sk-1"}, {"Authorization": "bearer  sk-1 "}, {"api-key": "sk-1"}],
)
def test_a_key_is_read_from_either_header(headers: dict[str, str]) -> None:
    for keys in (KeyRing(), KeyRing(["sk-0", "sk-1"])):
        assert keys.partition_from_headers(headers) == partition_from_key("sk-1")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic abc"}, {"api-key": " "}, {"Authorization": ""}],
)
def test_a_call_without_a_key_is_refused(headers: dict[str, str]) -> None:
    for kind, words in REFUSED_WITHOUT_KEY.items():
        with pytest.raises(ApiError) as refused:
            KeyRing().partition_from_headers(headers, kind)
        assert refused.value.status == 401
        assert refused.value.message.startswith(words)


@pytest.mark.parametrize("keys", [KeyRing(), KeyRing(["sk-invalid-very-secret"]), KeyRing(["sk-1"])])
def test_a_refused_key_is_not_repeated(keys: KeyRing) -> None:
    with pytest.raises(ApiError, match=r"Incorrect API key provided: sk-\.\.\.,") as refused:
        keys.partition_from_headers({"Authorization": "Bearer sk-invalid-very-secret"})
    assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/assistants", "invalid_api_key"),
        ("/openai/assistants?api-version=x", "401"),
        ("/api/projects/demo/assistants?api-version=x", "401"),
    ],
)
@pytest.mark.parametrize("header", ["Authorization", "api-key"])
async def test_with_keys_of_its_own_it_takes_no_other_on_any_path(
    aiohttp_client: Any, path: str, code: str, header: str
) -> None:
    client: TestClient[web.Request, web.Application] = await aiohttp_client(create_app(keys=["sk-1", "sk-2"]))
    for key, status in (("sk-1", 200), ("sk-2", 200), ("sk-3", 401), ("sk-", 401), ("sk-1,sk-2", 401)):
        sent = f"Bearer {key}" if header == "Authorization" else key
        reply = await client.get(path, headers={header: sent, "OpenAI-Beta": "assistants=v2"})
        assert reply.status == status, key
        if status == 401:
            assert (await reply.json())["error"]["code"] == code


def test_a_partition_does_not_contain_the_key() -> None:
    assert "sk-secret" not in partition_from_key("sk-secret")


async def test_the_data_of_one_key_are_hidden_from_another(api: Api) -> None:
    stranger = api.using(key="sk-other")
    assistant_id = await api.new_assistant()
    thread_id = await api.new_thread("Hello")
    message_id = (await api.ok("GET", f"/threads/{thread_id}/messages"))["first_id"]
    run = await api.ok("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id})
    for method, path in [
        ("GET", f"/threads/{thread_id}"),
        ("POST", f"/threads/{thread_id}"),
        ("DELETE", f"/threads/{thread_id}"),
        ("GET", f"/threads/{thread_id}/messages"),
        ("GET", f"/threads/{thread_id}/messages/{message_id}"),
        ("GET", f"/threads/{thread_id}/runs/{run['id']}"),
        ("POST", f"/threads/{thread_id}/runs/{run['id']}/cancel"),
        ("GET", f"/assistants/{assistant_id}"),
        ("DELETE", f"/assistants/{assistant_id}"),
    ]:
        assert (await stranger.call(method, path)).status == 404, path
    assert (await stranger.ok("GET", "/assistants"))["data"] == []
    other_thread = await stranger.new_thread("Hi")
    refused = await stranger.error("POST", f"/threads/{other_thread}/runs", {"assistant_id": assistant_id})
    assert refused[0] == 404
    cursor = await stranger.error("GET", f"/threads/{other_thread}/messages?after={message_id}")
    assert cursor[0] == 404
    assert (await api.ok("GET", f"/threads/{thread_id}"))["id"] == thread_id
