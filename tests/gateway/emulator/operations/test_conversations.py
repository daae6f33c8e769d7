"""Conversations and their items, over HTTP."""

from typing import Any

import pytest

from tests.gateway.emulator.api_client import Api

HELLO = {"role": "user", "content": "Hello"}


async def new_conversation(api: Api, *items: Any) -> str:
    return str((await api.ok("POST", "/conversations", {"items": list(items)}))["id"])


async def items_of(api: Api, conversation_id: str, query: str = "") -> list[Any]:
    page = await api.ok("GET", f"/conversations/{conversation_id}/items?order=asc&limit=100{query}")
    return list(page["data"])


async def test_a_conversation_has_exactly_the_keys_of_the_api(api: Api) -> None:
    made = await api.ok("POST", "/conversations", {"metadata": {"a": "b"}})
    assert made == {
        "id": made["id"],
        "object": "conversation",
        "created_at": int(api.clock.now()),
        "metadata": {"a": "b"},
    }
    assert await api.ok("GET", f"/conversations/{made['id']}") == made


@pytest.mark.parametrize("body", [None, {}, {"items": None, "metadata": None}, {"items": []}])
async def test_a_conversation_may_be_empty(api: Api, body: Any) -> None:
    made = await api.ok("POST", "/conversations", body)
    assert made["metadata"] == {}
    page = await api.ok("GET", f"/conversations/{made['id']}/items")
    assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


async def test_at_most_twenty_items_come_at_once(api: Api) -> None:
    conversation_id = await new_conversation(api, *[HELLO] * 20)
    for path in ("/conversations", f"/conversations/{conversation_id}/items"):
        status, error = await api.error("POST", path, {"items": [HELLO] * 21})
        assert (status, error["param"], error["code"]) == (400, "items", "array_above_max_length")
    status, error = await api.error("POST", f"/conversations/{conversation_id}/items", {"items": []})
    assert (status, error["code"]) == (400, "empty_array")
    status, error = await api.error("POST", f"/conversations/{conversation_id}/items", {})
    assert (status, error["message"]) == (400, "Missing required parameter: 'items'.")
    assert len(await items_of(api, conversation_id)) == 20


async def test_metadata_is_required_for_an_update_and_replaced_as_a_whole(api: Api) -> None:
    made = await api.ok("POST", "/conversations", {"metadata": {"a": "1", "b": "2"}})
    path = f"/conversations/{made['id']}"
    assert (await api.error("POST", path, {}))[1]["message"] == "Missing required parameter: 'metadata'."
    assert (await api.ok("POST", path, {"metadata": {"b": "3"}}))["metadata"] == {"b": "3"}


async def test_an_item_of_an_unknown_type_keeps_its_json(api: Api) -> None:
    strange = {"type": "telepathy_call", "waves": [1, {"deep": None}], "id": "mine"}
    (item,) = await items_of(api, await new_conversation(api, strange))
    assert item.pop("id") != "mine"
    assert item == {"type": "telepathy_call", "waves": [1, {"deep": None}]}


async def test_the_ids_that_a_client_sends_are_not_used(api: Api) -> None:
    (item,) = await items_of(api, await new_conversation(api, {**HELLO, "id": "msg_mine"}))
    assert item["id"].startswith("msg_")
    assert item["id"] != "msg_mine"


async def test_a_reference_becomes_a_copy_of_its_item(api: Api) -> None:
    conversation_id = await new_conversation(api, HELLO)
    (item,) = await items_of(api, conversation_id)
    for reference in ({"type": "item_reference", "id": item["id"]}, {"id": item["id"]}):
        await api.ok("POST", f"/conversations/{conversation_id}/items", {"items": [reference]})
    first, *copies = await items_of(api, conversation_id)
    assert len({one["id"] for one in (first, *copies)}) == 3
    assert [one["content"] for one in copies] == [first["content"]] * 2
    body = {"items": [{"type": "item_reference", "id": "msg_none"}]}
    status, error = await api.error("POST", f"/conversations/{conversation_id}/items", body)
    assert (status, error["message"]) == (404, "Item with id 'msg_none' not found.")


async def test_items_are_listed_newest_first_in_pages(api: Api) -> None:
    conversation_id = await new_conversation(api, *[{"role": "user", "content": str(one)} for one in range(5)])
    ids = [item["id"] for item in await items_of(api, conversation_id)]
    page = await api.ok("GET", f"/conversations/{conversation_id}/items?limit=2")
    assert ([item["id"] for item in page["data"]], page["has_more"]) == ([ids[4], ids[3]], True)
    assert (page["first_id"], page["last_id"]) == (ids[4], ids[3])
    page = await api.ok("GET", f"/conversations/{conversation_id}/items?limit=3&after={ids[3]}")
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (ids[2::-1], False)
    status, error = await api.error("GET", f"/conversations/{conversation_id}/items?after=msg_none")
    assert (status, error["message"]) == (404, "Item with id 'msg_none' not found.")
    assert (await api.error("GET", f"/conversations/{conversation_id}/items?limit=101"))[0] == 400


async def test_results_and_outputs_are_shown_on_request(api: Api) -> None:
    search = {"type": "file_search_call", "status": "completed", "queries": ["q"], "results": [{"text": "found"}]}
    code = {"type": "code_interpreter_call", "status": "completed", "code": "1", "container_id": "c", "outputs": []}
    conversation_id = await new_conversation(api, search, code)
    hidden = await items_of(api, conversation_id)
    assert [hidden[0]["results"], hidden[1]["outputs"]] == [None, None]
    found, ran = await items_of(
        api, conversation_id, "&include[]=file_search_call.results&include[]=code_interpreter_call.outputs"
    )
    assert (found["results"], ran["outputs"]) == (search["results"], [])
    path = f"/conversations/{conversation_id}/items/{found['id']}"
    assert (await api.ok("GET", path))["results"] is None
    assert (await api.ok("GET", f"{path}?include=file_search_call.results"))["results"] == search["results"]


async def test_an_item_belongs_to_its_conversation_only(api: Api) -> None:
    mine, other = await new_conversation(api, HELLO), await new_conversation(api)
    (item,) = await items_of(api, mine)
    for method in ("GET", "DELETE"):
        status, error = await api.error(method, f"/conversations/{other}/items/{item['id']}")
        assert (status, error["message"]) == (404, f"Item with id '{item['id']}' not found.")
    assert (await api.ok("DELETE", f"/conversations/{mine}/items/{item['id']}"))["id"] == mine
    assert await items_of(api, mine) == []


async def test_a_deleted_conversation_takes_its_items_along_and_leaves_its_responses(api: Api) -> None:
    conversation_id = await new_conversation(api, HELLO)
    body = {"model": "m", "conversation": conversation_id, "background": True, "store": True, "input": "Hi?"}
    response = await api.ok("POST", "/responses", body)
    deleted = await api.ok("DELETE", f"/conversations/{conversation_id}")
    assert deleted == {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
    for method, path in (("GET", ""), ("POST", "/items"), ("GET", "/items"), ("DELETE", "")):
        sent = {"items": [HELLO]} if method == "POST" else None
        status, error = await api.error(method, f"/conversations/{conversation_id}{path}", sent)
        assert (status, error["message"]) == (404, f"Conversation with id '{conversation_id}' not found.")
    api.clock.advance(60)
    assert (await api.ok("GET", f"/responses/{response['id']}"))["status"] == "completed"


async def test_an_attached_file_has_to_exist(api: Api) -> None:
    image = {"type": "input_image", "file_id": "file-none", "detail": "auto"}
    status, error = await api.error("POST", "/conversations", {"items": [{"role": "user", "content": [image]}]})
    assert (status, error["param"]) == (400, "items[0].content[0].file_id")
    conversation_id = await new_conversation(api, {"role": "user", "content": [{**image, "file_id": "file-1"}]})
    (item,) = await items_of(api, conversation_id)
    assert item["content"] == [{"type": "input_image", "detail": "auto", "file_id": "file-1", "image_url": None}]


async def test_an_id_of_another_kind_is_refused(api: Api) -> None:
    status, error = await api.error("GET", "/conversations/thread_1")
    assert (status, error["param"]) == (400, "conversation_id")
    assert error["message"] == "Invalid 'conversation_id': 'thread_1'. Expected an ID that begins with 'conv'."
