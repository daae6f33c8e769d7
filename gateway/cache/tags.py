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
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import Any, TypeAlias, cast

from gateway.cache.cache_keys import ASSISTANTS_GROUP, CacheKey, Key, quote_id, to_group, to_thread_group
from schema.contract.bodies import RunBody
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey

Tag: TypeAlias = CacheKey
Tags: TypeAlias = tuple[Tag, ...]

_ASSISTANTS = Tag(ASSISTANTS_GROUP, "assistants")
_ASSISTANT_EDITS = Tag(ASSISTANTS_GROUP, "assistant-edits")


# Keys of different types may be equal, so the type counts.
@lru_cache(maxsize=8192, typed=True)
def candidate_tags(key: Key) -> Tags:
    """List every tag that the value of a key may depend on; their versions are read before the value is."""
    return _CANDIDATES[type(key)](to_group(key), key)


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


_CANDIDATES: dict[type[Key], Callable[[str, Any], Tags]] = {
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
}

_DEPENDENCY_INDEXES = {
    (key_type, found, settled, from_page): tuple(
        index
        for index, tag in enumerate(candidates("", cast("Any", key_type)(*["some"] * len(key_type._fields))))
        if _is_dependency(tag.name, key_type, found=found, settled=settled, from_page=from_page)
    )
    for key_type, candidates in _CANDIDATES.items()
    for found, settled, from_page in product((True, False), repeat=3)
}
"""The indexes of the candidates that are dependencies; they are the same for all keys of a type."""


def thread_created(thread_id: str) -> Tags:
    """A thread was created, with or without a run; a read before that may have stored "not found"."""
    return (Tag(to_thread_group(thread_id), "all"),)


def thread_updated(key: ThreadKey) -> Tags:
    """A thread's own object changed."""
    return (Tag(to_group(key), "thread"),)


def thread_deleted(key: ThreadKey) -> Tags:
    """A thread was deleted with all its content."""
    return (Tag(to_group(key), "all"),)


def message_created(thread: ThreadKey) -> Tags:
    """A thread has one more message."""
    return (Tag(to_group(thread), "messages"),)


def message_changed(key: MessageKey) -> Tags:
    """A message was updated or deleted."""
    group = to_group(key)
    return (Tag(group, f"message/{quote_id(key.message_id)}"), Tag(group, "message-edits"))


def run_created(thread: ThreadKey, body: RunBody) -> Tags:
    """A thread has one more run, and the messages that came with it."""
    group = to_group(thread)
    changed = (Tag(group, "runs"), Tag(group, "work"))
    return (*changed, Tag(group, "messages")) if body.additional_messages else changed


def run_updated(key: RunKey) -> Tags:
    """A run's metadata changed."""
    group = to_group(key)
    return (Tag(group, f"run/{quote_id(key.run_id)}"), Tag(group, "run-edits"))


def run_progressed(key: RunKey) -> Tags:
    """A run was cancelled, got its tool outputs, or ended: its steps and the messages that it writes may differ now."""
    group = to_group(key)
    return (*run_updated(key), Tag(group, f"steps/{quote_id(key.run_id)}"), Tag(group, "work"))


def assistant_created() -> Tags:
    """There is one more assistant."""
    return (_ASSISTANTS,)


def assistant_changed(key: AssistantKey) -> Tags:
    """An assistant was updated or deleted."""
    return (_assistant_tag(key), _ASSISTANT_EDITS)


def change_observed(key: RunKey | ThreadKey) -> Tags:
    """A change of a run or a thread was observed, by any cause: also one that no write through the gateway made."""
    group = to_group(key)
    thread_tags = tuple(Tag(group, name) for name in ("messages", "message-edits", "runs", "run-edits", "work"))
    return tuple(dict.fromkeys((*thread_tags, *run_progressed(key)))) if isinstance(key, RunKey) else thread_tags
