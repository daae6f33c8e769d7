"""The fields of an assistant as servers send it, through the real schema."""

from schema.contract.keys import AssistantKey, to_global_id
from tests.schema.builders import query_data
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import assistant


async def test_an_assistant_of_either_version() -> None:
    document = """
        {
            assistant(id: "asst_1") {
                id upstreamId createdAt name description model instructions
                tools { ... on FileSearchTool { type maxNumResults } }
                toolResources { vectorStoreIds } temperature topP responseFormat metadata fileIds
            }
        }
    """
    sent = assistant(
        name="n",
        tools=[{"type": "file_search"}],
        tool_resources={"file_search": {"vector_store_ids": ["vs_1"]}},
        response_format={"type": "json_object"},
        file_ids=None,
    )
    found = (await query_data(FakeThreadsApi(assistants={AssistantKey("asst_1"): sent}), document))["assistant"]
    assert found == dict.fromkeys(found) | {
        "id": to_global_id(AssistantKey("asst_1")),
        "upstreamId": "asst_1",
        "createdAt": "2023-11-03T11:08:29Z",
        "name": "n",
        "model": "gpt-4o-mini",
        "tools": [{"type": "file_search", "maxNumResults": None}],
        "toolResources": {"vectorStoreIds": ["vs_1"]},
        "responseFormat": {"type": "json_object"},
        "metadata": {},
        "fileIds": [],
    }
