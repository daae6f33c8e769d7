from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.permissions import ASSISTANT_WRITES, RUN_CREATIONS, NamedObject, Permissions, find_named_objects
from schema.contract.bodies import (
    AssistantBody,
    AttachmentBody,
    Body,
    MessageBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
    ToolOutputsBody,
)
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import ASSISTANTS, KINDS, MESSAGES, RUNS, THREADS, AnyKind
from schema.contract.run_events import (
    Change,
    MessageCreatedChange,
    Provenance,
    RunEvent,
    SnapshotChange,
    StatusChange,
    StepChange,
)
from schema.contract.wire import Page
from schema.contract.writes import (
    CANCEL_RUN,
    CREATE_MESSAGE,
    CREATE_RUN,
    CREATE_THREAD,
    CREATE_THREAD_AND_RUN,
    SUBMIT_TOOL_OUTPUTS,
    UPDATE_ASSISTANT,
    WRITES,
    AnyWrite,
)
from tests.support import wire_samples

USER = Permissions()
ADMIN = Permissions(is_admin=True)
SECRETS: dict[str, Any] = {
    "instructions": "Be secret.",
    "tools": [{"type": "function", "function": {"name": "secret"}}],
    "tool_resources": {"file_search": {"vector_store_ids": ["vs_secret"]}},
    "file_ids": ["file-secret"],
    "metadata": {"note": "secret"},
}
OVERRIDES: dict[str, Any] = {
    "model": "gpt-4o",
    "instructions": "Be brief.",
    "tools": [],
    "tool_resources": {"code_interpreter": {"file_ids": []}},
}


def refusal(operation: AnyWrite, body: Body | None, permissions: Permissions = USER) -> GatewayError:
    with pytest.raises(GatewayError) as raised:
        permissions.check_write(operation, body)
    return raised.value


def test_the_files_that_a_body_names_are_to_be_checked_but_for_an_admin() -> None:
    body = MessageBody.model_validate(
        {"role": "user", "content": [{"type": "image_file", "image_file": {"file_id": "file-a"}}]}
    )
    USER.check_write(CREATE_MESSAGE, body)
    assert USER.find_named_files(body) == [NamedObject("file_id", "file-a", "content.0.image_file.file_id")]
    assert ADMIN.find_named_files(body) == []
    assert USER.find_named_files(None) == []


def test_a_vector_store_is_for_admins() -> None:
    resources = {"file_search": {"vector_store_ids": ["vs_1"]}}
    body = ThreadBody.model_validate({"tool_resources": resources})
    error = refusal(CREATE_THREAD, body)
    assert (error.code, error.message) == (ErrorCode.FORBIDDEN, "Only an admin may set 'vectorStoreIds'.")
    assert error.argument == "tool_resources.file_search.vector_store_ids.0"
    ADMIN.check_write(CREATE_THREAD, body)


@pytest.mark.parametrize("name", OVERRIDES)
def test_an_option_that_replaces_the_assistants_is_for_admins(name: str) -> None:
    body = ThreadAndRunBody.model_validate({"assistant_id": "asst_1", name: OVERRIDES[name]})
    error = refusal(CREATE_THREAD_AND_RUN, body)
    assert (error.code, error.argument) == (ErrorCode.FORBIDDEN, name)
    ADMIN.check_write(CREATE_THREAD_AND_RUN, body)
    replace(USER, may_override_runs=True).check_write(CREATE_THREAD_AND_RUN, body)


def test_overrides_may_be_allowed_without_the_files_and_vector_stores_in_them() -> None:
    user = replace(USER, may_override_runs=True)
    resources: dict[str, Any] = {"code_interpreter": {"file_ids": ["file-a"]}}
    body = ThreadAndRunBody.model_validate({"assistant_id": "asst_1", "tool_resources": resources})
    user.check_write(CREATE_THREAD_AND_RUN, body)
    assert [named.path for named in user.find_named_files(body)] == ["tool_resources.code_interpreter.file_ids.0"]
    resources = {"file_search": {"vector_store_ids": ["vs_1"]}}
    body = ThreadAndRunBody.model_validate({"assistant_id": "asst_1", "tool_resources": resources})
    assert refusal(CREATE_THREAD_AND_RUN, body, user).code is ErrorCode.FORBIDDEN


def test_other_options_of_a_run_and_the_resources_of_a_thread_are_free() -> None:
    options = {"assistant_id": "asst_1", "temperature": 0.5, "additional_instructions": "Be brief.", "model": None}
    USER.check_write(CREATE_RUN, RunBody.model_validate(options))
    thread = {"tool_resources": {"file_search": {"vector_stores": [{"metadata": {"file_id": "x"}}]}}}
    USER.check_write(CREATE_THREAD_AND_RUN, ThreadAndRunBody.model_validate({"assistant_id": "a", "thread": thread}))


@pytest.mark.parametrize(
    "operation", [write for write in WRITES if write in ASSISTANT_WRITES], ids=lambda one: str(one.name)
)
def test_only_an_admin_writes_assistants(operation: AnyWrite) -> None:
    body = AssistantBody(model="gpt-4o") if operation.name != "delete_assistant" else None
    error = refusal(operation, body, Permissions(may_override_runs=True, sees_instructions=True))
    assert (error.code, error.argument) == (ErrorCode.FORBIDDEN, None)
    ADMIN.check_write(operation, body)


def test_every_write_of_an_assistant_and_every_new_run_is_known() -> None:
    assert {write for write in WRITES if "assistant" in write.name} == ASSISTANT_WRITES
    assert {write for write in WRITES if write.name.startswith("create") and "run" in write.name} == RUN_CREATIONS


def test_writes_that_name_nothing_are_free() -> None:
    USER.check_write(CANCEL_RUN, None)
    outputs = [{"tool_call_id": "call_1", "output": '{"file_id": "file-a"}'}]
    USER.check_write(SUBMIT_TOOL_OUTPUTS, ToolOutputsBody.model_validate({"tool_outputs": outputs}))


IDS = st.from_regex(r"file-[a-z0-9]{1,8}", fullmatch=True)
FREE_TEXT = st.dictionaries(st.sampled_from(["file_id", "file_ids", "vector_store_ids", "note"]), IDS, max_size=3)
FILE_LISTS = st.lists(IDS, max_size=3)
MESSAGES_WITH_FILES = st.fixed_dictionaries(
    {
        "role": st.just("user"),
        "content": st.lists(
            st.one_of(
                IDS.map(lambda file_id: {"type": "image_file", "image_file": {"file_id": file_id}}),
                IDS.map(lambda text: {"type": "text", "text": text}),
                IDS.map(lambda name: {"type": "image_url", "image_url": {"url": f"https://files.test/{name}"}}),
            ),
            min_size=1,
            max_size=3,
        ),
    },
    optional={
        "attachments": st.lists(
            IDS.map(lambda file_id: {"file_id": file_id, "tools": [{"type": "file_search"}]}), max_size=2
        ),
        "file_ids": FILE_LISTS,
        "metadata": FREE_TEXT,
    },
)
RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        "code_interpreter": FILE_LISTS.map(lambda ids: {"file_ids": ids}),
        "file_search": st.fixed_dictionaries(
            {},
            optional={
                "vector_store_ids": st.lists(IDS, max_size=1),
                "vector_stores": st.lists(
                    st.fixed_dictionaries({}, optional={"file_ids": FILE_LISTS, "metadata": FREE_TEXT}), max_size=1
                ),
            },
        ),
    },
)
THREADS_WITH_FILES = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(MESSAGES_WITH_FILES, max_size=2),
        "tool_resources": RESOURCES,
        "metadata": FREE_TEXT,
    },
)
FUNCTIONS = FREE_TEXT.map(lambda schema: {"type": "function", "function": {"name": "f", "parameters": schema}})
BODIES: st.SearchStrategy[Body] = st.one_of(
    MESSAGES_WITH_FILES.map(MessageBody.model_validate),
    THREADS_WITH_FILES.map(ThreadBody.model_validate),
    st.fixed_dictionaries(
        {"assistant_id": IDS},
        optional={"additional_messages": st.lists(MESSAGES_WITH_FILES, max_size=2), "tools": st.lists(FUNCTIONS)},
    ).map(RunBody.model_validate),
    st.fixed_dictionaries(
        {"assistant_id": IDS}, optional={"thread": THREADS_WITH_FILES, "tool_resources": RESOURCES}
    ).map(ThreadAndRunBody.model_validate),
    st.fixed_dictionaries(
        {"model": IDS}, optional={"tool_resources": RESOURCES, "file_ids": FILE_LISTS, "metadata": FREE_TEXT}
    ).map(AssistantBody.model_validate),
)
FREE_FORM = {"metadata", "parameters"}


def named_in_json(value: Any, path: tuple[str, ...] = (), field: str = "") -> list[NamedObject]:
    """Find the same objects in the JSON that is sent, which knows nothing of the classes of bodies."""
    if isinstance(value, str):
        return [NamedObject(field, value, ".".join(path))] if field else []
    if isinstance(value, list):
        return [each for index, one in enumerate(value) for each in named_in_json(one, (*path, str(index)), field)]
    if isinstance(value, dict):
        named = {"file_id", "file_ids", "vector_store_ids"}
        return [
            each
            for name, one in value.items()
            if name not in FREE_FORM
            for each in named_in_json(one, (*path, name), name if name in named else "")
        ]
    return []


@given(BODIES)
def test_every_named_object_is_found_at_any_depth(body: Body) -> None:
    expected = named_in_json(body.to_wire())
    assert sorted(find_named_objects(body)) == sorted(expected)
    if isinstance(body, RunBody | ThreadAndRunBody):
        operation: AnyWrite = CREATE_RUN if isinstance(body, RunBody) else CREATE_THREAD_AND_RUN
    else:
        operation = UPDATE_ASSISTANT if isinstance(body, AssistantBody) else CREATE_MESSAGE
    user = Permissions(may_override_runs=True)
    files = [named for named in expected if named.field != "vector_store_ids"]
    if len(files) < len(expected) or operation is UPDATE_ASSISTANT:
        assert refusal(operation, body, user).code is ErrorCode.FORBIDDEN
    else:
        user.check_write(operation, body)
    assert sorted(user.find_named_files(body)) == sorted(files)
    ADMIN.check_write(operation, body)


def test_an_attachment_is_a_body_with_a_file() -> None:
    body = AttachmentBody.model_validate({"file_id": "file-a", "tools": []})
    assert list(find_named_objects(body)) == [NamedObject("file_id", "file-a", "file_id")]


def test_instructions_and_their_like_are_hidden_from_users() -> None:
    hidden = USER.redact_object(ASSISTANTS, wire_samples.assistant(name="Helper", **SECRETS))
    assert hidden == wire_samples.assistant(name="Helper", tools=SECRETS["tools"])
    run = USER.redact_object(RUNS, wire_samples.run(model="gpt-4o", **SECRETS))
    assert run == wire_samples.run(model="gpt-4o", metadata=SECRETS["metadata"])


@pytest.mark.parametrize("permissions", [ADMIN, Permissions(sees_instructions=True)])
def test_those_who_may_see_everything_get_the_same_objects(permissions: Permissions) -> None:
    page = Page([wire_samples.run(**SECRETS)])
    event = RunEvent("cursor", 1.0, Provenance.STREAMED, StatusChange(page.data[0]))
    assert permissions.redact_object(RUNS, page.data[0]) is page.data[0]
    assert permissions.redact_page(RUNS, page) is page
    assert permissions.redact_result(CREATE_RUN, page.data[0]) is page.data[0]
    assert permissions.redact_event(event) is event


def test_pages_keep_all_but_the_hidden_fields() -> None:
    page = Page([wire_samples.assistant("asst_1", **SECRETS), wire_samples.assistant("asst_2")], has_more=True)
    hidden = USER.redact_page(ASSISTANTS, page)
    assert (hidden.has_more, [each.id for each in hidden.data]) == (True, ["asst_1", "asst_2"])
    assert hidden.data[0] == USER.redact_object(ASSISTANTS, page.data[0]) != page.data[0]


def test_objects_without_hidden_fields_and_errors_stay_the_same() -> None:
    error = GatewayError(ErrorCode.NOT_FOUND, "No run found with id 'run_1'.")
    samples: dict[AnyKind, Any] = {
        THREADS: wire_samples.thread(**SECRETS),
        MESSAGES: wire_samples.message(metadata={"a": "b"}),
    }
    for kind in KINDS:
        assert USER.redact_object(kind, error) is error
        assert USER.redact_page(kind, error) is error
    for kind, obj in samples.items():
        assert USER.redact_object(kind, obj) is obj
        assert USER.redact_page(kind, page := Page([obj])) is page
    assert USER.redact_result(CREATE_THREAD, samples[THREADS]) is samples[THREADS]
    assert USER.redact_result(CANCEL_RUN, None) is None


def test_the_result_of_a_write_hides_what_a_read_hides() -> None:
    assert USER.redact_result(CREATE_RUN, wire_samples.run(**SECRETS)).instructions is None
    assert USER.redact_result(UPDATE_ASSISTANT, wire_samples.assistant(**SECRETS)).instructions is None


@pytest.mark.parametrize(
    "change",
    [
        SnapshotChange(wire_samples.run(**SECRETS), [wire_samples.run_step()], [wire_samples.message()]),
        StatusChange(wire_samples.run(**SECRETS), previous="queued"),
    ],
)
def test_the_run_of_an_event_hides_what_a_read_hides(change: SnapshotChange | StatusChange) -> None:
    event = RunEvent("cursor", 1.0, Provenance.STREAMED, change)
    redacted = USER.redact_event(event)
    expected = msgspec.structs.replace(change, run=USER.redact_object(RUNS, change.run))
    assert redacted == replace(event, change=expected)
    assert redacted != event


def test_every_change_that_holds_a_run_or_an_assistant_is_redacted() -> None:
    holders = {
        change
        for change in Change.__args__
        if {"RunObject", "AssistantObject"} & {str(each).rpartition(".")[2] for each in hints_of(change)}
    }
    assert holders == {SnapshotChange, StatusChange}
    for untouched in (StepChange(wire_samples.run_step()), MessageCreatedChange(wire_samples.message())):
        event = RunEvent("cursor", 1.0, Provenance.POLLED, untouched)
        assert USER.redact_event(event) is event


def hints_of(change: type[Any]) -> set[str]:
    return {field.type.__name__ for field in msgspec.structs.fields(change) if hasattr(field.type, "__name__")}
