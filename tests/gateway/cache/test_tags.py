from typing import Any

import pytest

from gateway.cache import tags
from gateway.cache.cache_keys import to_group
from gateway.cache.tags import Tag, Tags, candidate_tags, changed_by, dependencies
from schema.contract import writes
from schema.contract.bodies import AssistantBody, MessageBody, MetadataUpdateBody, RunBody, ThreadUpdateBody
from schema.contract.keys import AssistantKey, FileKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.kinds import AssistantPageKey, Key, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey
from tests.gateway.cache.upstream import ALL_KEYS, OPEN, T
from tests.support.wire_samples import thread

HELLO = {"role": "user", "content": [{"type": "text", "text": "Hello?"}]}
NEW_MESSAGE = MessageBody.model_validate(HELLO)
PLAIN_RUN = RunBody(assistant_id="asst_1")
RUN_WITH_MESSAGES = RunBody.model_validate({"assistant_id": "asst_1", "additional_messages": [HELLO]})

# One value of each kind: (key, found, settled, taken from a page).
KINDS: dict[str, tuple[Key, bool, bool, bool]] = {
    "thread": (ThreadKey(T), True, True, False),
    "no thread": (ThreadKey(T), False, False, False),
    "message": (MessageKey(T, "m1"), True, True, False),
    "other message": (MessageKey(T, "m2"), True, True, False),
    "unsettled message": (MessageKey(T, "m2"), True, False, False),
    "listed message": (MessageKey(T, "m1"), True, True, True),
    "no message": (MessageKey(T, "m3"), False, False, False),
    "closed messages": (MessagePageKey(T, None, OPEN), True, True, False),
    "open messages": (MessagePageKey(T, None, OPEN), True, False, False),
    "run": (RunKey(T, "r1"), True, True, False),
    "other run": (RunKey(T, "r2"), True, True, False),
    "listed run": (RunKey(T, "r1"), True, True, True),
    "no run": (RunKey(T, "r3"), False, False, False),
    "runs": (RunPageKey(T, OPEN), True, False, False),
    "step": (RunStepKey(T, "r1", "s"), True, True, False),
    "no step": (RunStepKey(T, "r1", "t"), False, False, False),
    "steps": (RunStepPageKey(T, "r1", OPEN), True, False, False),
    "other steps": (RunStepPageKey(T, "r2", OPEN), True, False, False),
    "message file": (MessageFileKey(T, "m1", "f"), True, True, False),
    "message files": (MessageFilePageKey(T, "m1", OPEN), True, True, False),
    "no message files": (MessageFilePageKey(T, "m3", OPEN), False, False, False),
    "assistant": (AssistantKey("a1"), True, True, False),
    "other assistant": (AssistantKey("a2"), True, True, False),
    "listed assistant": (AssistantKey("a1"), True, True, True),
    "no assistant": (AssistantKey("a3"), False, False, False),
    "assistants": (AssistantPageKey(OPEN), True, False, False),
    "file": (FileKey("f1"), True, True, False),
    "no file": (FileKey("f1"), False, False, False),
    "other file": (FileKey("f2"), True, True, False),
    "thread elsewhere": (ThreadKey("thread_2"), True, True, False),
    "messages elsewhere": (MessagePageKey("thread_2", None, OPEN), True, False, False),
}
MESSAGE_PAGES = {"closed messages", "open messages"}
MESSAGES_CREATED = {*MESSAGE_PAGES, "no message", "no message files"}
UNSETTLED = {"unsettled message", "no message", "open messages"}
RUN_PAGES = {"runs"}
THREAD_VALUES = {name for name, (key, *_) in KINDS.items() if to_group(key) == to_group(ThreadKey(T))}
RUN_PROGRESSED = {"run", "listed run", *RUN_PAGES, "no step", "steps", *UNSETTLED}

WRITES: list[tuple[str, Tags, set[str]]] = [
    ("create_thread", tags.created_by(writes.CREATE_THREAD, thread(T)), THREAD_VALUES),
    ("update_thread", changed_by(writes.UPDATE_THREAD, ThreadKey(T), ThreadUpdateBody()), {"thread", "no thread"}),
    ("delete_thread", changed_by(writes.DELETE_THREAD, ThreadKey(T), None), THREAD_VALUES),
    ("create_message", changed_by(writes.CREATE_MESSAGE, ThreadKey(T), NEW_MESSAGE), MESSAGES_CREATED),
    (
        "update_message",
        changed_by(writes.UPDATE_MESSAGE, MessageKey(T, "m1"), MetadataUpdateBody()),
        {"message", "listed message", *MESSAGE_PAGES, "message file", "message files"},
    ),
    ("create_run", changed_by(writes.CREATE_RUN, ThreadKey(T), PLAIN_RUN), {*RUN_PAGES, "no run", *UNSETTLED}),
    (
        "create_run with messages",
        changed_by(writes.CREATE_RUN, ThreadKey(T), RUN_WITH_MESSAGES),
        {*RUN_PAGES, "no run", *UNSETTLED, *MESSAGES_CREATED},
    ),
    (
        "update_run",
        changed_by(writes.UPDATE_RUN, RunKey(T, "r1"), MetadataUpdateBody()),
        {"run", "listed run", *RUN_PAGES},
    ),
    ("cancel_run", changed_by(writes.CANCEL_RUN, RunKey(T, "r1"), None), RUN_PROGRESSED),
    (
        "run change observed",
        tags.change_observed(RunKey(T, "r1")),
        {*RUN_PROGRESSED, *MESSAGES_CREATED, *MESSAGE_PAGES, "listed message", "no run"},
    ),
    (
        "thread change observed",
        tags.change_observed(ThreadKey(T)),
        {*RUN_PAGES, "listed run", "no run", *UNSETTLED, *MESSAGES_CREATED, *MESSAGE_PAGES, "listed message"},
    ),
    (
        "create_assistant",
        changed_by(writes.CREATE_ASSISTANT, None, AssistantBody(model="m")),
        {"assistants", "no assistant"},
    ),
    (
        "update_assistant",
        changed_by(writes.DELETE_ASSISTANT, AssistantKey("a1"), None),
        {"assistant", "listed assistant", "assistants"},
    ),
    ("delete_file", changed_by(writes.DELETE_FILE, FileKey("f1"), None), {"file", "no file"}),
]


@pytest.mark.parametrize(("changed", "expected"), [row[1:] for row in WRITES], ids=[row[0] for row in WRITES])
def test_a_write_invalidates_the_values_that_it_changes_and_no_others(changed: Tags, expected: set[str]) -> None:
    outdated = {
        name
        for name, (key, found, settled, from_page) in KINDS.items()
        if set(changed) & set(dependencies(key, found=found, settled=settled, from_page=from_page))
    }
    assert outdated == expected


@pytest.mark.parametrize("key", ALL_KEYS, ids=repr)
@pytest.mark.parametrize("flags", [(found, settled) for found in (True, False) for settled in (True, False)])
def test_a_result_depends_on_candidates_of_its_own_group(key: Any, flags: tuple[bool, bool]) -> None:
    found, settled = flags
    result_tags = dependencies(key, found=found, settled=settled)
    assert result_tags
    assert set(result_tags) <= set(candidate_tags(key))
    assert {tag.group for tag in candidate_tags(key)} == {to_group(key)}


def test_ids_are_quoted_so_that_no_two_tags_are_equal() -> None:
    assert changed_by(writes.CANCEL_RUN, RunKey(T, "a/b"), None)[0] == Tag(to_group(ThreadKey(T)), "run/a%2Fb")
