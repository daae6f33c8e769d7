"""The files that parts of messages and steps cite: found by their ids, loaded once for all, and bounded."""

from typing import Any

import msgspec
import pytest

from schema.contract.cost import CITED_FILES_PER_OBJECT, MAX_CITED_FILES
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import (
    FileKey,
    MessageFileKey,
    MessageKey,
    RunKey,
    RunStepKey,
    ThreadKey,
    to_file_id,
    to_global_id,
)
from schema.contract.run_events import MessageFinishedChange, SnapshotChange, TextDeltaChange
from schema.engine.context import Context
from tests.schema.builders import (
    SCHEMA,
    called_functions,
    conversation_with_files,
    execute,
    paths_and_codes,
    query_data,
)
from tests.schema.subscription_helpers import begin_subscription, data_from_change, render_event
from tests.support.fake_content_urls import FakeContentUrls, to_url
from tests.support.fake_run_events import FakeRunEvents, run_event
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import file, message, raws, run, run_step, thread

MESSAGE, STEP = MessageKey("thread_1", "msg_1"), RunStepKey("thread_1", "run_1", "step_1")
RUN = RunKey("thread_1", "run_1")
AWAY = GatewayError(ErrorCode.LEDGER_UNAVAILABLE, "The ledger did not answer in time.", retryable=True)


def citing_file(kind: str, file_id: str) -> dict[str, Any]:
    """Make an annotation."""
    return {"type": kind, "text": "[]", kind: {"file_id": file_id}}


def text(*annotations: object) -> dict[str, Any]:
    """Make a text part."""
    return {"type": "text", "text": {"value": "[]", "annotations": list(annotations)}}


def image(file_id: str) -> dict[str, Any]:
    """Make an image part."""
    return {"type": "image_file", "image_file": {"file_id": file_id}}


WIRE_MESSAGE = message(
    content=[
        image("file-image"),
        text(citing_file("file_citation", "file-cited"), citing_file("file_path", "file-path")),
    ],
    attachments=[{"file_id": "file-attached"}, {"data_source": {"uri": "elsewhere"}}],
)
CALLS = [
    {
        "id": "call_1",
        "type": "code_interpreter",
        "code_interpreter": {"input": "", "outputs": [{"type": "image", "image": {"file_id": "file-made"}}]},
    },
    {"id": "call_2", "type": "file_search", "file_search": {"results": [{"file_id": "file-found"}, {"score": 1}]}},
]
WIRE_STEP = run_step(type="tool_calls", step_details={"type": "tool_calls", "tool_calls": CALLS})
MESSAGE_PARTS = """
    attachments { fileId file { %s } }
    content {
      ... on ImageFileContent { fileId file { %s } }
      ... on TextContent { annotations {
        ... on FileCitation { fileId file { %s } }
        ... on FilePath { fileId file { %s } }
      } }
    }"""
STEP_PARTS = """
    details { ... on ToolCallsDetails { toolCalls {
      ... on CodeInterpreterToolCall { outputs { ... on CodeInterpreterImage { fileId file { %s } } } }
      ... on FileSearchToolCall { results { fileId file { %s } } }
    } } }"""
OF_MESSAGE, OF_STEP = ("file-attached", "file-cited", "file-image", "file-path"), ("file-found", "file-made")


def citing_api(*file_ids: str) -> FakeThreadsApi:
    """Make an upstream with a message, a step, and these files."""
    return FakeThreadsApi(
        threads={ThreadKey("thread_1"): thread()},
        messages={MESSAGE: WIRE_MESSAGE},
        run_steps={STEP: WIRE_STEP},
        files={FileKey(file_id): file(file_id) for file_id in file_ids},
    )


def parts(selection: str) -> str:
    """Write a query of every place of a message and a step that cites files."""
    of_message, of_step = (one.replace("%s", selection) for one in (MESSAGE_PARTS, STEP_PARTS))
    return f"""{{
      message(id: "{to_global_id(MESSAGE)}") {{ {of_message} }}
      node(id: "{to_global_id(STEP)}") {{ ... on RunStep {{ {of_step} }} }}
    }}"""


def found_files(data: Any) -> list[tuple[Any, Any]]:
    """Find each `fileId` and the `file` beside it, at any depth."""
    if isinstance(data, list):
        return [found for item in data for found in found_files(item)]
    if not isinstance(data, dict):
        return []
    own = [(data["fileId"], data["file"])] if "fileId" in data else []
    return own + [found for value in data.values() for found in found_files(value)]


async def test_every_part_that_names_a_file_leads_to_it() -> None:
    api = citing_api(*OF_MESSAGE, *OF_STEP)
    data = await query_data(api, parts("id upstreamId filename bytes purpose createdAt"))
    found = {id_: shown for id_, shown in found_files(data) if id_ is not None}
    assert found == {
        to_file_id(file_id): {
            "id": to_file_id(file_id),
            "upstreamId": file_id,
            "filename": f"{file_id}.txt",
            "bytes": 7,
            "purpose": "assistants",
            "createdAt": "2023-11-03T11:08:29Z",
        }
        for file_id in (*OF_MESSAGE, *OF_STEP)
    }
    assert found_files(data).count((None, None)) == 2


async def test_files_that_arrive_together_are_loaded_in_one_batch_each_once() -> None:
    api = citing_api(*OF_MESSAGE, *OF_STEP)
    fields = parts("filename").removeprefix("{").removesuffix("}")
    again = fields.replace("message(", "again: message(").replace("node(", "more: node(")
    await query_data(api, f"{{ {fields} {again} }}")
    (keys,) = [keys for name, keys in api.calls if name == "get_files"]
    assert sorted(keys) == sorted(FileKey(file_id) for file_id in (*OF_MESSAGE, *OF_STEP))


async def test_what_the_key_and_the_gateway_answer_costs_no_call() -> None:
    api, urls = citing_api(), FakeContentUrls()
    data = await query_data(api, parts("id upstreamId contentUrl"), content_urls=urls)
    assert called_functions(api) == ["get_messages", "get_run_steps"]
    shown = {found["upstreamId"]: found["contentUrl"] for id_, found in found_files(data) if id_ is not None}
    assert shown == {file_id: to_url(file_id) for file_id in (*OF_MESSAGE, *OF_STEP)}
    assert [sorted(call) for call in urls.calls] == [sorted(shown)]


async def test_a_file_that_is_gone_is_null_without_an_error() -> None:
    data = await query_data(citing_api(*OF_STEP), parts("filename"))
    by_id = dict(found_files(data))
    assert [by_id[to_file_id(file_id)] for file_id in OF_MESSAGE] == [None] * 4
    assert [by_id[to_file_id(file_id)] for file_id in OF_STEP] == [{"filename": f"{one}.txt"} for one in OF_STEP]


async def test_a_failure_costs_only_its_own_file() -> None:
    api = citing_api(*OF_MESSAGE, *OF_STEP)
    api.fail[FileKey("file-cited")] = GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "The upstream is down.")
    result = await execute(api, parts("filename"))
    path = ["message", "content", 1, "annotations", 0, "file"]
    assert paths_and_codes(result) == [(path, "UPSTREAM_UNREACHABLE")]
    shown = [id_ for id_, found in found_files(result.data) if found is not None]
    assert sorted(shown) == sorted(map(to_file_id, ("file-attached", "file-image", "file-path", *OF_STEP)))


async def test_an_address_is_null_where_the_content_is_hidden_and_its_failure_costs_only_itself() -> None:
    urls = FakeContentUrls(hidden={"file-cited"}, fail={"file-path": AWAY})
    result = await execute(citing_api(*OF_MESSAGE), parts("upstreamId contentUrl"), content_urls=urls)
    shown = {found["upstreamId"]: found["contentUrl"] for id_, found in found_files(result.data) if id_ is not None}
    assert [shown[file_id] for file_id in ("file-cited", "file-path")] == [None, None]
    assert shown["file-image"] == to_url("file-image")
    assert paths_and_codes(result) == [
        (["message", "content", 1, "annotations", 1, "file", "contentUrl"], "LEDGER_UNAVAILABLE")
    ]


async def test_without_addresses_they_are_null() -> None:
    data = await query_data(citing_api("file-1"), '{ file(id: "file-1") { filename contentUrl } }')
    assert data == {"file": {"filename": "file-1.txt", "contentUrl": None}}


@pytest.mark.parametrize(
    ("selection", "is_storable"), [("filename", True), ("contentUrl", False), ("... on Node { id }", True)]
)
async def test_a_response_with_an_address_holds_for_this_moment_only(selection: str, is_storable: bool) -> None:
    for content_urls in (FakeContentUrls(), None):
        context = Context(citing_api(*OF_MESSAGE))
        context.content_urls = content_urls
        await SCHEMA.execute(parts(selection), context_value=context)
        await context.aclose()
        assert context.is_storable is is_storable


async def test_addresses_are_made_anew_after_a_write() -> None:
    urls = FakeContentUrls()
    write = f'updateMessage(input: {{ messageId: "{to_global_id(MESSAGE)}", metadata: {{}} }})'
    shown = "{ message { content { ... on ImageFileContent { file { filename contentUrl } } } } }"
    api = citing_api("file-image")
    await query_data(api, f"mutation {{ a: {write} {shown} b: {write} {shown} }}", content_urls=urls)
    assert urls.calls == [("file-image",)] * 2
    assert called_functions(api).count("get_files") == 2


async def test_a_file_of_a_message_in_version_1_leads_to_the_file_itself() -> None:
    api = conversation_with_files()
    api.files[FileKey("file-1")] = file("file-1")
    id_ = to_global_id(MessageFileKey("thread_1", "msg_1", "file-1"))
    query = f'{{ node(id: "{id_}") {{ ... on MessageFile {{ file {{ id %s }} }} }} }}'
    assert (await query_data(api, query % "filename"))["node"]["file"]["filename"] == "file-1.txt"
    assert called_functions(api) == ["get_files", "get_message_files"]


async def test_an_empty_id_is_none() -> None:
    api = citing_api()
    api.messages[MESSAGE] = message(attachments=[{"file_id": ""}])
    query = f'{{ message(id: "{to_global_id(MESSAGE)}") {{ attachments {{ fileId file {{ filename }} }} }} }}'
    assert await query_data(api, query) == {"message": {"attachments": [{"fileId": None, "file": None}]}}


# ---- the bound


def message_with_images(count: int) -> FakeThreadsApi:
    """Make a message that shows many different images."""
    ids = [f"file-{number}" for number in range(count)]
    api = citing_api(*ids)
    api.messages[MESSAGE] = message(content=[image(file_id) for file_id in ids])
    return api


IMAGES = "content { ... on ImageFileContent { file { filename } } }"


async def test_an_operation_loads_no_more_files_than_were_predicted() -> None:
    api = message_with_images(CITED_FILES_PER_OBJECT + 2)
    result: Any = await execute(api, f'{{ message(id: "{to_global_id(MESSAGE)}") {{ {IMAGES} }} }}')
    (keys,) = [keys for name, keys in api.calls if name == "get_files"]
    assert len(keys) == CITED_FILES_PER_OBJECT
    assert paths_and_codes(result) == [(["message", "content", CITED_FILES_PER_OBJECT, "file"], "TOO_EXPENSIVE")]
    assert "at most 20 different files, got more; the others are null" in result.errors[0].message
    assert [part["file"] is not None for part in result.data["message"]["content"]] == [True] * 20 + [False] * 2


async def test_the_files_of_a_page_are_bounded_together() -> None:
    api = message_with_images(MAX_CITED_FILES + 3)
    api.messages[MessageKey("thread_1", "msg_2")] = msgspec.structs.replace(api.messages[MESSAGE], id="msg_2")
    context = Context(api, reports_cost=True)
    document = f'{{ thread(id: "thread_1") {{ messages {{ nodes {{ {IMAGES} }} }} }} }}'
    result: Any = await SCHEMA.execute(document, context_value=context)
    await context.aclose()
    assert result.extensions["cost"]["predictedCalls"] == 1 + MAX_CITED_FILES == api.key_count
    nodes = result.data["thread"]["messages"]["nodes"]
    assert [sum(part["file"] is None for part in node["content"]) for node in nodes] == [3, 3]
    assert [code for _, code in paths_and_codes(result)] == ["TOO_EXPENSIVE"] * 2  # each place of the first of them


async def test_files_that_are_looked_up_by_their_ids_are_not_bounded_by_this() -> None:
    api = message_with_images(MAX_CITED_FILES)
    ids = " ".join(f'"{to_global_id(key)}"' for key in api.files)
    looked_up = f"nodes(ids: [{ids}]) {{ ... on File {{ filename }} }}"
    data = await query_data(api, f'{{ {looked_up} message(id: "{to_global_id(MESSAGE)}") {{ id }} }}')
    assert all(data["nodes"])


# ---- events


async def test_the_files_of_an_event_are_loaded_when_it_is_rendered() -> None:
    api = citing_api(*OF_MESSAGE, *OF_STEP)
    selection = MESSAGE_PARTS.replace("%s", "filename")
    data = await data_from_change(
        MessageFinishedChange(WIRE_MESSAGE), f"... on MessageFinished {{ message {{ {selection} }} }}", api
    )
    shown = {found["filename"] for id_, found in found_files(data) if id_ is not None}
    assert shown == {f"{one}.txt" for one in OF_MESSAGE}
    assert called_functions(api) == ["get_files"]


async def test_events_show_addresses_with_loaders_of_their_own() -> None:
    urls = FakeContentUrls()
    steps = STEP_PARTS.replace("%s", "contentUrl")
    subscribed = await begin_subscription(
        FakeRunEvents(),
        f"""subscription {{ runEvents(runId: "{to_global_id(RUN)}") {{
          ... on RunSnapshot {{ steps {{ {steps} }} }}
          ... on TextDelta {{ annotations {{ ... on FilePath {{ fileId file {{ filename contentUrl }} }} }} }}
        }} }}""",
    )
    delta = TextDeltaChange("msg_1", 0, "[]", raws(citing_file("file_path", "file-path")))
    for change in (SnapshotChange(run(), [WIRE_STEP], []), delta, delta):
        context = Context(citing_api("file-path"))
        context.content_urls = urls
        response = await subscribed.render(run_event(change), context)
        await context.aclose()
        assert "errors" not in response
        (shown, *_) = [found for id_, found in found_files(response["data"]) if id_ is not None]
        assert shown["contentUrl"].startswith("https://gateway.example/files/file-")
    assert urls.calls == [("file-made", "file-found"), ("file-path",), ("file-path",)]
    predicted = [subscribed.predict_calls(run_event(change)) for change in (SnapshotChange(run(), [], []), delta)]
    assert predicted == [0, CITED_FILES_PER_OBJECT]


async def test_an_event_loads_no_more_files_than_were_predicted_for_its_type() -> None:
    subscribed = await begin_subscription(
        FakeRunEvents(),
        f"""subscription {{ runEvents(runId: "{to_global_id(RUN)}") {{
          ... on RunSnapshot {{ messages {{ {IMAGES} }} }} ... on MessageFinished {{ message {{ {IMAGES} }} }}
        }} }}""",
    )
    api = message_with_images(30)
    event = run_event(MessageFinishedChange(api.messages[MESSAGE]))
    response = await render_event(subscribed, event, api)
    assert api.key_count == subscribed.predict_calls(event) == CITED_FILES_PER_OBJECT
    assert [error["extensions"]["code"] for error in response["errors"]] == ["TOO_EXPENSIVE"]
    snapshot = run_event(SnapshotChange(run(), [], [api.messages[MESSAGE]]))
    assert "errors" not in await render_event(subscribed, snapshot, api)
    assert subscribed.predict_calls(snapshot) == MAX_CITED_FILES
