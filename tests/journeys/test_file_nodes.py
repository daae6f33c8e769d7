"""Files through the gateway: found by either id, read once for all who cite them, deleted."""

from schema.contract.keys import to_file_id
from tests.support.emulator import Emulator
from tests.support.gateway import Gateway
from tests.support.mutations import refusal, succeed

FILE_ID = to_file_id("file-handbook")


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


async def test_a_deleted_file_is_gone_at_once(gateway: Gateway) -> None:
    query = '{ file(id: "file-handbook") { filename } }'
    assert await gateway.data(query) == {"file": {"filename": "handbook.md"}}
    assert (await succeed(gateway, "deleteFile", "deletedId", fileId=FILE_ID))["deletedId"] == FILE_ID
    assert await gateway.data(query) == {"file": None}
    error = await refusal(gateway, "deleteFile", fileId=FILE_ID)
    assert (error["code"], error["field"]) == ("NOT_FOUND", ["fileId"])
