import pytest

from gateway.emulator.http.server_paths import server_kind_from_path
from gateway.emulator.objects import ServerKind
from tests.gateway.emulator.api_client import Api

KEY = {"api-key": "sk-test"}
AZURE = "/openai"
FOUNDRY = "/api/projects/demo"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/threads", "openai"),
        ("/openai/threads", "azure"),
        ("/api/projects/demo/threads", "foundry"),
        ("/api/projects", "openai"),
        ("/nowhere", "openai"),
    ],
)
def test_a_path_belongs_to_a_kind_of_server(path: str, kind: ServerKind) -> None:
    assert server_kind_from_path(path) == kind


@pytest.mark.parametrize("base", [AZURE, FOUNDRY])
@pytest.mark.parametrize("beta", [{}, {"OpenAI-Beta": "assistants=v1"}])
async def test_azures_paths_need_an_api_version_and_no_beta(api: Api, base: str, beta: dict[str, str]) -> None:
    made = await (await api.client.post(f"{base}/threads?api-version=x", headers={**KEY, **beta})).json()
    assert "tool_resources" in made
    assert (await api.ok("GET", f"/threads/{made['id']}")) == made
    for query in ("", "?api-version="):
        refused = await api.client.get(f"{base}/threads/{made['id']}{query}", headers=KEY)
        assert refused.status == 404
        assert await refused.json() == {"error": {"code": "404", "message": "Resource not found"}}


async def test_foundry_lists_threads_and_the_others_do_not(api: Api) -> None:
    threads = [await api.new_thread() for _ in range(3)]
    url = f"{FOUNDRY}/threads?api-version=v1"
    first = await (await api.client.get(f"{url}&limit=2", headers=KEY)).json()
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (threads[:0:-1], True)
    rest = await (await api.client.get(f"{url}&after={first['last_id']}", headers=KEY)).json()
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (threads[:1], False)
    refused = await api.client.get(f"{AZURE}/threads?api-version=x", headers=KEY)
    assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    assert (await api.call("GET", "/threads")).status == 401


async def test_azure_deletes_no_messages_and_foundry_does(api: Api) -> None:
    thread_id = await api.new_thread("Hello")
    message_id = (await api.ok("GET", f"/threads/{thread_id}/messages"))["first_id"]
    path = f"/threads/{thread_id}/messages/{message_id}?api-version=x"
    refused = await api.client.delete(AZURE + path, headers=KEY)
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, POST")
    assert (await api.client.delete(FOUNDRY + path, headers=KEY)).status == 200


async def test_requests_to_azure_are_counted_and_fail_under_the_same_names(api: Api) -> None:
    await api.client.get(f"{AZURE}/assistants?api-version=x", headers=KEY)
    await api.client.get(f"{FOUNDRY}/assistants?api-version=x", headers=KEY)
    counts = await (await api.client.get("/_emulator/requests")).json()
    assert counts["by_operation"] == {"listAssistants": 2}
