from typing import Any

import pytest

from gateway.cache import tags
from gateway.cache.cache_keys import to_group
from gateway.cache.tags import Tag, Tags, candidate_tags, dependencies
from schema.contract.bodies import RunBody
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey
from tests.gateway.cache.upstream import ALL_KEYS, OPEN, T
from tests.support.fake_threads_api import Key

HELLO = {"role": "user", "content": [{"type": "text", "text": "Hello?"}]}
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
    "file": (MessageFileKey(T, "m1", "f"), True, True, False),
    "files": (MessageFilePageKey(T, "m1", OPEN), True, True, False),
    "no files": (MessageFilePageKey(T, "m3", OPEN), False, False, False),
    "assistant": (AssistantKey("a1"), True, True, False),
    "other assistant": (AssistantKey("a2"), True, True, False),
    "listed assistant": (AssistantKey("a1"), True, True, True),
    "no assistant": (AssistantKey("a3"), False, False, False),
    "assistants": (AssistantPageKey(OPEN), True, False, False),
    "thread elsewhere": (ThreadKey("thread_2"), True, True, False),
    "messages elsewhere": (MessagePageKey("thread_2", None, OPEN), True, False, False),
}
MESSAGE_PAGES = {"closed messages", "open messages"}
MESSAGES_CREATED = {*MESSAGE_PAGES, "no message", "no files"}
UNSETTLED = {"unsettled message", "no message", "open messages"}
RUN_PAGES = {"runs"}
THREAD_VALUES = {name for name, (key, *_) in KINDS.items() if to_group(key) == to_group(ThreadKey(T))}
RUN_PROGRESSED = {"run", "listed run", *RUN_PAGES, "no step", "steps", *UNSETTLED}

WRITES: list[tuple[str, Tags, set[str]]] = [
    ("create_thread", tags.thread_created(T), THREAD_VALUES),
    ("update_thread", tags.thread_updated(ThreadKey(T)), {"thread", "no thread"}),
    ("delete_thread", tags.thread_deleted(ThreadKey(T)), THREAD_VALUES),
    ("create_message", tags.message_created(ThreadKey(T)), MESSAGES_CREATED),
    (
        "update_message",
        tags.message_changed(MessageKey(T, "m1")),
        {"message", "listed message", *MESSAGE_PAGES, "file", "files"},
    ),
    ("create_run", tags.run_created(ThreadKey(T), PLAIN_RUN), {*RUN_PAGES, "no run", *UNSETTLED}),
    (
        "create_run with messages",
        tags.run_created(ThreadKey(T), RUN_WITH_MESSAGES),
        {*RUN_PAGES, "no run", *UNSETTLED, *MESSAGES_CREATED},
    ),
    ("update_run", tags.run_updated(RunKey(T, "r1")), {"run", "listed run", *RUN_PAGES}),
    ("cancel_run", tags.run_progressed(RunKey(T, "r1")), RUN_PROGRESSED),
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
    ("create_assistant", tags.assistant_created(), {"assistants", "no assistant"}),
    ("update_assistant", tags.assistant_changed(AssistantKey("a1")), {"assistant", "listed assistant", "assistants"}),
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
    assert tags.run_updated(RunKey(T, "a/b"))[0] == Tag(to_group(ThreadKey(T)), "run/a%2Fb")
