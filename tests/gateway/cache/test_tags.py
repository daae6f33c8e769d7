from typing import Any

import pytest

from gateway.cache import tags
from gateway.cache.cache_keys import group_of
from gateway.cache.tags import Tag, Tags, candidate_tags, dependencies
from schema.contract.bodies import RunBody
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey
from tests.gateway.cache.upstream import ALL_KEYS, OPEN, T
from tests.support.fake_threads_api import Key

HELLO = {"role": "user", "content": [{"type": "text", "text": "Hello?"}]}
PLAIN_RUN = RunBody(assistant_id="asst_1")
RUN_WITH_MESSAGES = RunBody.model_validate({"assistant_id": "asst_1", "additional_messages": [HELLO]})

# One of each kind; (key, found, settled, known from a page).
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
MESSAGES_MADE = {*MESSAGE_PAGES, "no message", "no files"}
UNSETTLED = {"unsettled message", "no message", "open messages"}
RUN_PAGES = {"runs"}
OF_THE_THREAD = {name for name, (key, *_) in KINDS.items() if group_of(key) == group_of(ThreadKey(T))}
RUN_MOVED = {"run", "listed run", *RUN_PAGES, "no step", "steps", *UNSETTLED}

WRITES: list[tuple[str, Tags, set[str]]] = [
    ("create_thread", tags.thread_made(T), OF_THE_THREAD),
    ("update_thread", tags.thread_updated(ThreadKey(T)), {"thread", "no thread"}),
    ("delete_thread", tags.thread_deleted(ThreadKey(T)), OF_THE_THREAD),
    ("create_message", tags.message_added(ThreadKey(T)), MESSAGES_MADE),
    (
        "update_message",
        tags.message_changed(MessageKey(T, "m1")),
        {"message", "listed message", *MESSAGE_PAGES, "file", "files"},
    ),
    ("create_run", tags.run_begun(ThreadKey(T), PLAIN_RUN), {*RUN_PAGES, "no run", *UNSETTLED}),
    (
        "create_run with messages",
        tags.run_begun(ThreadKey(T), RUN_WITH_MESSAGES),
        {*RUN_PAGES, "no run", *UNSETTLED, *MESSAGES_MADE},
    ),
    ("update_run", tags.run_updated(RunKey(T, "r1")), {"run", "listed run", *RUN_PAGES}),
    ("cancel_run", tags.run_moved_on(RunKey(T, "r1")), RUN_MOVED),
    (
        "run seen moving",
        tags.seen_moving(RunKey(T, "r1")),
        {*RUN_MOVED, *MESSAGES_MADE, *MESSAGE_PAGES, "listed message", "no run"},
    ),
    (
        "thread seen moving",
        tags.seen_moving(ThreadKey(T)),
        {*RUN_PAGES, "listed run", "no run", *UNSETTLED, *MESSAGES_MADE, *MESSAGE_PAGES, "listed message"},
    ),
    ("create_assistant", tags.assistant_made(), {"assistants", "no assistant"}),
    ("update_assistant", tags.assistant_changed(AssistantKey("a1")), {"assistant", "listed assistant", "assistants"}),
]


@pytest.mark.parametrize(("changed", "expected"), [row[1:] for row in WRITES], ids=[row[0] for row in WRITES])
def test_a_write_outdates_what_it_changes_and_nothing_else(changed: Tags, expected: set[str]) -> None:
    outdated = {
        name
        for name, (key, found, settled, from_page) in KINDS.items()
        if set(changed) & set(dependencies(key, found=found, settled=settled, from_page=from_page))
    }
    assert outdated == expected


@pytest.mark.parametrize("key", ALL_KEYS, ids=repr)
@pytest.mark.parametrize("flags", [(found, settled) for found in (True, False) for settled in (True, False)])
def test_an_answer_depends_on_candidates_of_its_own_group(key: Any, flags: tuple[bool, bool]) -> None:
    found, settled = flags
    tags_of_answer = dependencies(key, found=found, settled=settled)
    assert tags_of_answer
    assert set(tags_of_answer) <= set(candidate_tags(key))
    assert {tag.group for tag in candidate_tags(key)} == {group_of(key)}


def test_ids_are_written_so_that_no_tag_is_that_of_another() -> None:
    assert tags.run_updated(RunKey(T, "a/b"))[0] == Tag(group_of(ThreadKey(T)), "run/a%2Fb")
