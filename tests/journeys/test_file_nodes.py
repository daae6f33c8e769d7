"""Files through the gateway: found by either id, read once for all who cite them, gone at once when deleted."""

import pytest

from schema.contract.keys import to_file_id
from tests.journeys.test_cached_reads import processes
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.gateway import Gateway
from tests.support.mutations import refusal, succeed
from tests.support.valkey import Valkey

FILE_ID = to_file_id("file-handbook")
HANDBOOK = '{ file(id: "file-handbook") { filename } }'
CONVERSATION = """query ($id: ID!) { thread(id: $id) { createdAt messages { nodes {
    attachments { file { filename } }
    content { ... on ImageFileContent { file { filename bytes purpose } } } } } } }"""


async def conversation_with_files(emulator: Emulator) -> str:
    """Create a thread whose three messages name three files, two of them twice. Returns its id."""
    image = {"type": "image_file", "image_file": {"file_id": "file-cat"}}
    code = [{"type": "code_interpreter"}]
    messages = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Compare these."}, image],
            "attachments": [{"file_id": file_id, "tools": code} for file_id in ("file-handbook", "file-prices")],
        },
        {"role": "user", "content": "And this?", "attachments": [{"file_id": "file-handbook", "tools": code}]},
        {"role": "user", "content": [image]},
    ]
    thread_id: str = (await emulator.post("/threads", {"messages": messages}))["id"]
    emulator.counts.reset()
    return thread_id


async def test_a_file_is_found_by_its_global_id_and_its_upstream_id(emulator: Emulator, gateway: Gateway) -> None:
    emulator.counts.reset()
    data = await gateway.data(
        """query ($id: ID!) {
             byNode: node(id: $id) { ... on File { filename bytes purpose createdAt } }
             byId: file(id: $id) { id upstreamId }
             byUpstreamId: file(id: "file-handbook") { id }
             missing: file(id: "file-missing") { id }
           }""",
        {"id": FILE_ID},
    )
    assert data == {
        "byNode": {"filename": "handbook.md", "bytes": 5, "purpose": "assistants", "createdAt": None},
        "byId": {"id": FILE_ID, "upstreamId": "file-handbook"},
        "byUpstreamId": {"id": FILE_ID},
        "missing": None,
    }
    assert emulator.counts.by_operation == {"retrieveFile": 2}


async def test_the_files_of_a_conversation_are_read_once_each_and_side_by_side(
    emulator: Emulator, gateway: Gateway
) -> None:
    thread_id = await conversation_with_files(emulator)
    headers = {"Authorization": AUTHORIZATION, "GraphQL-Cost": "1"}
    answer = await gateway.execute(CONVERSATION, {"id": thread_id}, headers=headers)
    handbook, prices = {"file": {"filename": "handbook.md"}}, {"file": {"filename": "prices.md"}}
    image = {"file": {"filename": "cat.md", "bytes": 5, "purpose": "assistants"}}
    assert answer["data"]["thread"]["messages"]["nodes"] == [
        {"attachments": [handbook, prices], "content": [{}, image]},
        {"attachments": [handbook], "content": [{}]},
        {"attachments": [], "content": [image]},
    ]
    assert emulator.counts.by_operation == {"getThread": 1, "listMessages": 1, "retrieveFile": 3}
    cost = answer["extensions"]["cost"]
    assert (cost["upstreamCalls"], cost["longestChain"], cost["predictedCalls"]) == (5, 2, 2 + 100)


async def test_the_id_of_a_cited_file_costs_no_call(emulator: Emulator, gateway: Gateway) -> None:
    thread_id = await conversation_with_files(emulator)
    data = await gateway.data(
        """query ($id: ID!) { thread(id: $id) { messages(last: 2) { nodes {
             attachments { file { id upstreamId } } } } } }""",
        {"id": thread_id},
    )
    assert data["thread"]["messages"]["nodes"] == [
        {"attachments": [{"file": {"id": FILE_ID, "upstreamId": "file-handbook"}}]},
        {"attachments": []},
    ]
    assert emulator.counts.by_operation == {"listMessages": 1}


async def test_a_file_of_a_message_in_version_1_leads_to_the_file_itself(
    emulator: Emulator, gateway_v1: Gateway
) -> None:
    message = {"content": [{"text": "Read this."}], "fileIds": [FILE_ID]}
    shown = "thread { messages { nodes { files { nodes { upstreamId file { id filename } } } } } }"
    created = await succeed(gateway_v1, "createThread", shown, messages=[message])
    (node,) = created["thread"]["messages"]["nodes"]
    file = {"id": FILE_ID, "filename": "handbook.md"}
    assert node["files"]["nodes"] == [{"upstreamId": "file-handbook", "file": file}]


async def test_another_callers_files_are_not_there(gateway: Gateway) -> None:
    assert await gateway.data(HANDBOOK) == {"file": {"filename": "handbook.md"}}
    other = {"Authorization": "Bearer another-key"}
    assert await gateway.execute(HANDBOOK, headers=other) == {"data": {"file": None}}
    delete = 'mutation { deleteFile(input: { fileId: "file-handbook" }) { deletedId userErrors { code field } } }'
    refused = {"deletedId": None, "userErrors": [{"code": "NOT_FOUND", "field": ["fileId"]}]}
    assert await gateway.execute(delete, headers=other) == {"data": {"deleteFile": refused}}
    assert await gateway.data(HANDBOOK) == {"file": {"filename": "handbook.md"}}


async def test_a_deleted_file_is_gone_at_once(gateway: Gateway) -> None:
    assert await gateway.data(HANDBOOK) == {"file": {"filename": "handbook.md"}}
    assert (await succeed(gateway, "deleteFile", "deletedId", fileId=FILE_ID))["deletedId"] == FILE_ID
    assert await gateway.data(HANDBOOK) == {"file": None}
    error = await refusal(gateway, "deleteFile", fileId=FILE_ID)
    assert (error["code"], error["field"]) == ("NOT_FOUND", ["fileId"])


@pytest.mark.usefixtures("shared_clock")
async def test_a_file_is_read_once_for_all_operations_until_it_is_deleted_through_any_gateway(
    emulator: Emulator, valkey: Valkey
) -> None:
    thread_id = await conversation_with_files(emulator)
    async with processes(emulator, 2, redis_url=valkey.url) as (writer, reader):
        for gateway in (writer, reader):
            await gateway.data(CONVERSATION, {"id": thread_id})
        emulator.counts.reset()
        assert await reader.data(HANDBOOK) == {"file": {"filename": "handbook.md"}}
        assert emulator.counts.total == 0
        await succeed(writer, "deleteFile", "deletedId", fileId=FILE_ID)
        assert await reader.data(HANDBOOK) == {"file": None}
        (first, *_) = (await reader.data(CONVERSATION, {"id": thread_id}))["thread"]["messages"]["nodes"]
        assert first["attachments"] == [{"file": None}, {"file": {"filename": "prices.md"}}]
        assert emulator.counts.by_operation["retrieveFile"] == 1
