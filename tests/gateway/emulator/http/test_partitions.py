import pytest

from gateway.emulator.bodies.api_errors import ApiError
from gateway.emulator.http.partitions import partition_from_headers, partition_from_key
from tests.gateway.emulator.api_client import Api


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer sk-1"}, {"Authorization": "bearer  sk-1 "}, {"api-key": "sk-1"}],
)
def test_a_key_is_read_from_either_header(headers: dict[str, str]) -> None:
    assert partition_from_headers(headers) == partition_from_key("sk-1")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic abc"}, {"api-key": " "}, {"Authorization": ""}],
)
def test_a_call_without_a_key_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refused:
        partition_from_headers(headers)
    assert refused.value.status == 401
    assert refused.value.message.startswith("You didn't provide an API key.")


def test_a_refused_key_is_not_repeated() -> None:
    with pytest.raises(ApiError, match=r"Incorrect API key provided: sk-\.\.\.,") as refused:
        partition_from_headers({"Authorization": "Bearer sk-invalid-very-secret"})
    assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")
    assert "secret" not in refused.value.message


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
