"""Tags: the names of the things that a cached value depends on and that a write changes. Pure.

Every tag has a version, a random text that each change replaces. A value holds the versions that its tags had when its
read began, and is valid only while they still have them: a result in flight during a write is never stored as fresh.

| tag | changes when | dependent values |
|---|---|---|
| `all` | the thread is deleted or created | everything of the thread |
| `thread` | the thread is updated | its own object |
| `messages` | a message is added | pages of messages, "not found" of messages and files |
| `message-edits` | any message is updated or deleted | pages of messages, messages taken from a page |
| `message/ID` | that message is updated or deleted | the message, its files |
| `work` | a run begins, is cancelled, continues or ends | unsettled messages and pages, which a run may still write |
| `runs` | a run is created | pages of runs, "not found" of runs |
| `run-edits` | any run is updated or progresses | pages of runs, runs taken from a page |
| `run/ID` | that run is updated or progresses | the run |
| `steps/ID` | that run progresses | its unsettled steps and pages of steps |
| `assistants`, `assistant-edits`, `assistant/ID` | one is created; any is changed; that one is | as for runs |
| `file/ID` | that file is deleted | the file |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import Any, TypeAlias, cast

from gateway.cache.cache_keys import ASSISTANTS_GROUP, FILES_GROUP, CacheKey, quote_id, to_group, to_thread_group
from schema.contract import writes
from schema.contract.bodies import RunBody
from schema.contract.keys import AssistantKey, FileKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.kinds import AssistantPageKey, Key, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey
from schema.contract.writes import AnyWrite, BodyT, Write, WriteKeyT

Tag: TypeAlias = CacheKey
Tags: TypeAlias = tuple[Tag, ...]

_ASSISTANTS = Tag(ASSISTANTS_GROUP, "assistants")
_ASSISTANT_EDITS = Tag(ASSISTANTS_GROUP, "assistant-edits")


# Keys of different types may be equal, so the type counts.
@lru_cache(maxsize=8192, typed=True)
def candidate_tags(key: Key) -> Tags:
    """List every tag that the value of a key may depend on; their versions are read before the value is."""
    return CANDIDATES[type(key)](to_group(key), key)


def dependencies(key: Key, *, found: bool, settled: bool, from_page: bool = False) -> Tags:
    """List the tags that a result depends on, a part of its key's candidates.

    An object taken `from_page` depends on the tags of its page instead of its own tag, whose version was not read.
    """
    candidates = candidate_tags(key)
    return tuple([candidates[index] for index in _DEPENDENCY_INDEXES[type(key), found, settled, from_page]])


def _is_dependency(name: str, key_type: type[Key], *, found: bool, settled: bool, from_page: bool) -> bool:
    if name == "work" or name.startswith("steps/"):
        return not settled
    if key_type in {MessageKey, RunKey, AssistantKey}:
        if name.endswith("-edits"):
            return from_page
        if name.startswith(("message/", "run/", "assistant/")):
            return not from_page
    may_be_missing = key_type in {MessageKey, RunKey, AssistantKey, MessageFileKey, MessageFilePageKey}
    return not (found and may_be_missing and name in {"messages", "runs", "assistants"})


def _named_tags(*names: str) -> Callable[[str, Any], Tags]:
    return lambda group, _: tuple([Tag(group, name) for name in names])


def _message_tags(group: str, key: MessageKey | MessageFileKey | MessageFilePageKey) -> Tags:
    own = Tag(group, f"message/{quote_id(key.message_id)}")
    common = (Tag(group, "all"), own, Tag(group, "messages"))
    return (*common, Tag(group, "message-edits"), Tag(group, "work")) if isinstance(key, MessageKey) else common


def _run_tags(group: str, key: RunKey) -> Tags:
    return (
        Tag(group, "all"),
        Tag(group, f"run/{quote_id(key.run_id)}"),
        Tag(group, "run-edits"),
        Tag(group, "runs"),
    )


def _step_tags(group: str, key: RunStepKey | RunStepPageKey) -> Tags:
    return (Tag(group, "all"), Tag(group, f"steps/{quote_id(key.run_id)}"))


def _assistant_tags(_: str, key: AssistantKey) -> Tags:
    return (_assistant_tag(key), _ASSISTANT_EDITS, _ASSISTANTS)


def _assistant_tag(key: AssistantKey) -> Tag:
    return Tag(ASSISTANTS_GROUP, f"assistant/{quote_id(key.assistant_id)}")


def _file_tags(_: str, key: FileKey) -> Tags:
    return (Tag(FILES_GROUP, f"file/{quote_id(key.file_id)}"),)


CANDIDATES: dict[type[Key], Callable[[str, Any], Tags]] = {
    ThreadKey: _named_tags("all", "thread"),
    MessageKey: _message_tags,
    MessagePageKey: _named_tags("all", "messages", "message-edits", "work"),
    RunKey: _run_tags,
    RunPageKey: _named_tags("all", "runs", "run-edits"),
    RunStepKey: _step_tags,
    RunStepPageKey: _step_tags,
    AssistantKey: _assistant_tags,
    AssistantPageKey: _named_tags("assistants", "assistant-edits"),
    MessageFileKey: _message_tags,
    MessageFilePageKey: _message_tags,
    FileKey: _file_tags,
}

_DEPENDENCY_INDEXES = {
    (key_type, found, settled, from_page): tuple(
        index
        for index, tag in enumerate(candidates("", cast("Any", key_type)(*["some"] * len(key_type._fields))))
        if _is_dependency(tag.name, key_type, found=found, settled=settled, from_page=from_page)
    )
    for key_type, candidates in CANDIDATES.items()
    for found, settled, from_page in product((True, False), repeat=3)
}
"""The indexes of the candidates that are dependencies; they are the same for all keys of a type."""


def changed_by(write: Write[WriteKeyT, BodyT, Any], key: WriteKeyT, body: BodyT) -> Tags:
    """List the tags that a write to a key may change, whether it succeeds or not."""
    return CHANGES[write](key, body)


def created_by(write: AnyWrite, result: Any) -> Tags:
    """List the tags of a thread that a write has created; a read before that may have stored "not found"."""
    if write is writes.CREATE_THREAD:
        thread_id = result.id
    elif write is writes.CREATE_THREAD_AND_RUN:
        thread_id = result.thread_id
    else:
        return ()
    return () if thread_id is None else (Tag(to_thread_group(thread_id), "all"),)


def _in_thread(*names: str) -> Callable[[Any, Any], Tags]:
    return lambda key, _: tuple([Tag(to_group(key), name) for name in names])


def _nothing(*_: object) -> Tags:
    return ()


def _message_changes(key: MessageKey, *_: object) -> Tags:
    group = to_group(key)
    return (Tag(group, f"message/{quote_id(key.message_id)}"), Tag(group, "message-edits"))


def _new_run_changes(thread: ThreadKey, body: RunBody) -> Tags:
    group = to_group(thread)
    changed = (Tag(group, "runs"), Tag(group, "work"))
    return (*changed, Tag(group, "messages")) if body.additional_messages else changed


def _run_changes(key: RunKey, *_: object) -> Tags:
    group = to_group(key)
    return (Tag(group, f"run/{quote_id(key.run_id)}"), Tag(group, "run-edits"))


def _run_progress(key: RunKey, *_: object) -> Tags:
    """List the tags of a run that goes on: its steps and the messages that it writes may differ now."""
    group = to_group(key)
    return (*_run_changes(key), Tag(group, f"steps/{quote_id(key.run_id)}"), Tag(group, "work"))


def _assistant_changes(key: AssistantKey, *_: object) -> Tags:
    return (_assistant_tag(key), _ASSISTANT_EDITS)


CHANGES: dict[AnyWrite, Callable[[Any, Any], Tags]] = {
    writes.CREATE_THREAD: _nothing,
    writes.UPDATE_THREAD: _in_thread("thread"),
    writes.DELETE_THREAD: _in_thread("all"),
    writes.CREATE_MESSAGE: _in_thread("messages"),
    writes.UPDATE_MESSAGE: _message_changes,
    writes.DELETE_MESSAGE: _message_changes,
    writes.CREATE_RUN: _new_run_changes,
    writes.CREATE_THREAD_AND_RUN: _nothing,
    writes.UPDATE_RUN: _run_changes,
    writes.CANCEL_RUN: _run_progress,
    writes.SUBMIT_TOOL_OUTPUTS: _run_progress,
    writes.SUBMIT_TOOL_APPROVALS: _run_progress,
    writes.CREATE_ASSISTANT: lambda *_: (_ASSISTANTS,),
    writes.UPDATE_ASSISTANT: _assistant_changes,
    writes.DELETE_ASSISTANT: _assistant_changes,
    writes.DELETE_FILE: lambda key, _: _file_tags(FILES_GROUP, key),
}


def change_observed(key: RunKey | ThreadKey) -> Tags:
    """A change of a run or a thread was observed, by any cause: also one that no write through the gateway made."""
    group = to_group(key)
    thread_tags = tuple(Tag(group, name) for name in ("messages", "message-edits", "runs", "run-edits", "work"))
    return tuple(dict.fromkeys((*thread_tags, *_run_progress(key)))) if isinstance(key, RunKey) else thread_tags
