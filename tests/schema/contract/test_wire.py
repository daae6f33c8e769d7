"""Wire objects accept the deviations of real servers from the specification, one sample of each."""

import gc
from typing import Any

import msgspec
import pytest

from schema.contract.wire import (
    NULL,
    AssistantObject,
    MessageFileObject,
    MessageObject,
    Page,
    RunObject,
    RunStepObject,
    ThreadObject,
)
from tests.support.wire_samples import decoded, message, run

LISTED = [AssistantObject, MessageFileObject, MessageObject, RunObject, RunStepObject, ThreadObject]


@pytest.mark.parametrize("wire_type", LISTED)
def test_only_an_id_is_needed(wire_type: type[Any]) -> None:
    made = decoded(wire_type, {"id": "x_1", "brand_new": {"a": 1}})
    assert (made.id, made.created_at) == ("x_1", 0)


@pytest.mark.parametrize("wire_type", LISTED)
@pytest.mark.parametrize(
    "sent", [{"created_at": 5}, {"id": 5}, {"id": "x", "created_at": "5"}, {"id": "x", "created_at": 10**12}, []]
)
def test_an_object_without_an_id_or_with_a_bad_time_is_refused(wire_type: type[Any], sent: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(wire_type, sent)


@pytest.mark.parametrize("wire_type", LISTED)
def test_optional_keys_may_be_null(wire_type: type[Any]) -> None:
    optional = {
        field.name: None
        for field in msgspec.structs.fields(wire_type)
        if field.default is None or field.default is NULL
    }
    assert decoded(wire_type, {"id": "x_1", "created_at": 5} | optional).id == "x_1"


def test_counts_may_be_floats_and_a_usage_any_json() -> None:
    strategy = {"type": "last_messages", "last_messages": 2.0}
    for usage in ({"prompt_tokens": 4.0}, {"prompt_tokens": "many"}, [1.5], None):
        sent = run(max_prompt_tokens=300.0, max_completion_tokens=300.0, truncation_strategy=strategy, usage=usage)
        assert sent.usage == usage
        assert sent.max_prompt_tokens == 300


def test_times_may_have_fractions() -> None:
    assert message(created_at=1795329859.0, completed_at=1795329860.5).completed_at == 1795329860.5


def test_a_message_of_version_1_and_one_of_version_2() -> None:
    old = message(file_ids=["file-1"], assistant_id=None, run_id=None)
    new = message(attachments=[{"file_id": "file-1", "tools": [{"type": "file_search"}]}], metadata={})
    assert (old.file_ids, old.attachments) == (["file-1"], None)
    assert (new.file_ids, [bytes(raw)[:20] for raw in new.attachments or ()]) == (None, [b'{"file_id": "file-1"'])


def test_content_may_be_a_bare_string() -> None:
    assert message(content="hello").content == "hello"


def test_metadata_values_need_not_be_strings() -> None:
    assert message(metadata={"a": 1, "b": None}).metadata == {"a": 1, "b": None}


def test_union_fields_of_a_run_stay_undecoded() -> None:
    made = run(tools=None, tool_choice={"type": "function"}, response_format="auto", required_action={"type": "new"})
    assert (made.tools, made.tool_choice, made.response_format) == (None, {"type": "function"}, "auto")
    assert bytes(made.required_action) == b'{"type": "new"}'
    assert bytes(run().required_action) == b"null"


def test_a_page_needs_only_its_data() -> None:
    page = decoded(Page[ThreadObject], {"data": [{"id": "thread_1", "created_at": 5}]})
    assert (page.has_more, page.data[0].id) == (False, "thread_1")


def test_wire_objects_are_immutable_and_invisible_to_the_garbage_collector() -> None:
    made = message()
    with pytest.raises(AttributeError, match="immutable"):
        made.role = "assistant"  # type: ignore[misc]  # the assignment is expected to fail
    assert not gc.is_tracked(made)
