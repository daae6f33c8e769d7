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
        ("/openai/v1/responses", "azure_v1"),
        ("/openai/v1beta/responses", "azure"),
        ("/api/projects/demo/openai/v1/responses", "foundry_v1"),
        ("/api/projects/openai/v1", "foundry"),
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


SUCCESSORS = ["/openai/v1", "/api/projects/demo/openai/v1"]


async def conversation_with(api: Api, *texts: str) -> str:
    items = [{"role": "user", "content": text} for text in texts]
    return str((await api.ok("POST", "/conversations", {"items": items}))["id"])


@pytest.mark.parametrize("base", SUCCESSORS)
async def test_azures_successors_need_no_api_version_and_list_conversations(api: Api, base: str) -> None:
    made = [await conversation_with(api) for _ in range(3)]
    page = await (await api.client.get(f"{base}/conversations?limit=2&agent_name=x", headers=KEY)).json()
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (made[:0:-1], True)
    page = await (await api.client.get(f"{base}/conversations?before={made[0]}&limit=1", headers=KEY)).json()
    assert [one["id"] for one in page["data"]] == [made[1]]
    refused = await api.call("GET", "/conversations")
    assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    missing = await api.client.get(f"{base}/threads/thread_1", headers=KEY)
    assert missing.status == 404


@pytest.mark.parametrize("base", SUCCESSORS)
async def test_azures_successors_list_the_responses_of_a_conversation(api: Api, base: str) -> None:
    conversation_id = await conversation_with(api)
    body = {"model": "gpt-5-mini", "background": True, "store": True}
    first = await api.ok("POST", "/responses", {**body, "input": "One?", "conversation": conversation_id})
    other = await api.ok("POST", "/responses", {**body, "input": "Two?"})
    page = await (await api.client.get(f"{base}/responses?conversation_id={conversation_id}", headers=KEY)).json()
    assert [one["id"] for one in page["data"]] == [first["id"]]
    api.clock.advance(60)
    page = await (await api.client.get(f"{base}/responses", headers=KEY)).json()
    assert {(one["id"], one["status"]) for one in page["data"]} == {
        (first["id"], "completed"),
        (other["id"], "completed"),
    }
    missing = await api.client.get(f"{base}/responses?conversation_id=conv_none", headers=KEY)
    assert missing.status == 404


@pytest.mark.parametrize("base", SUCCESSORS)
async def test_azures_successors_filter_items_and_read_backwards(api: Api, base: str) -> None:
    conversation_id = await conversation_with(api, "One", "Two", "Three")
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
    made = await api.ok("POST", f"/conversations/{conversation_id}/items", {"items": [call]})
    url = f"{base}/conversations/{conversation_id}/items"
    calls = await (await api.client.get(f"{url}?item_type=function_call", headers=KEY)).json()
    assert ([one["id"] for one in calls["data"]], calls["has_more"]) == ([made["first_id"]], False)
    whole = await (await api.client.get(f"{url}?order=asc", headers=KEY)).json()
    ids = [one["id"] for one in whole["data"]]
    for query, expected in ((f"before={ids[2]}&limit=1", ids[1:2]), (f"after={ids[0]}&before={ids[3]}", ids[1:3])):
        page = await (await api.client.get(f"{url}?order=asc&{query}", headers=KEY)).json()
        assert [one["id"] for one in page["data"]] == expected
    filtered = await (await api.client.get(f"{url}?item_type=message&after={ids[3]}", headers=KEY)).json()
    assert filtered["error"]["message"] == f"Item with id '{ids[3]}' not found."


async def test_the_api_itself_ignores_before_and_the_type_of_items(api: Api) -> None:
    conversation_id = await conversation_with(api, "One", "Two")
    whole = await api.ok("GET", f"/conversations/{conversation_id}/items")
    path = f"/conversations/{conversation_id}/items?before={whole['last_id']}&item_type=function_call"
    assert await api.ok("GET", path) == whole


@pytest.mark.parametrize("base", SUCCESSORS)
async def test_requests_to_azures_successors_are_counted_and_fail_under_the_same_names(api: Api, base: str) -> None:
    await api.client.get(f"{base}/conversations", headers=KEY)
    await api.client.post(f"{base}/responses", headers=KEY, json={})
    assert (await api.client.get(f"{base}/conversations")).status == 401
    counts = await (await api.client.get("/_emulator/requests")).json()
    assert counts["by_operation"] == {"listConversations": 2, "createResponse": 1}
