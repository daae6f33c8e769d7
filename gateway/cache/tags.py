"""What a cached value depends on, and what a write changes: names of tags. Pure.

Every tag has a version, a random text that each change replaces. A value holds the versions under which its read
began, and is valid only while its tags still have them: an answer in flight during a write is never kept as fresh.

| tag | changes when | on it depend |
|---|---|---|
| `all` | the thread is deleted or made | everything of the thread |
| `thread` | the thread is updated | its own object |
| `messages` | a message is added | pages of messages, messages and files not found |
| `message-edits` | any message is updated or deleted | pages of messages, messages known from a page |
| `message/ID` | that message is updated or deleted | the message, its files |
| `work` | a run begins, is stopped, goes on or ends | what a run may still write: unsettled messages and pages |
| `runs` | a run is made | pages of runs, runs not found |
| `run-edits` | any run is updated or moves on | pages of runs, runs known from a page |
| `run/ID` | that run is updated or moves on | the run |
| `steps/ID` | that run moves on | its unsettled steps and pages of steps |
| `assistants`, `assistant-edits`, `assistant/ID` | one is made; any is changed; that one is | as for runs |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import Any, TypeAlias, cast

from gateway.cache.cache_keys import ASSISTANTS, CacheKey, Key, group_of, quoted, thread_group
from schema.contract.bodies import RunBody
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey

Tag: TypeAlias = CacheKey
Tags: TypeAlias = tuple[Tag, ...]

_ASSISTANTS = Tag(ASSISTANTS, "assistants")
_ASSISTANT_EDITS = Tag(ASSISTANTS, "assistant-edits")


# Keys of different types may be equal, so the type counts.
@lru_cache(maxsize=8192, typed=True)
def candidate_tags(key: Key) -> Tags:
    """List every tag on which the value of a key may depend; their versions are read before the value is."""
    return _CANDIDATES[type(key)](group_of(key), key)


def dependencies(key: Key, *, found: bool, settled: bool, from_page: bool = False) -> Tags:
    """List the tags on which an answer depends, some of its key's candidates.

    An object known `from_page` has its page's tags in place of its own, whose version nobody asked for.
    """
    candidates = candidate_tags(key)
    return tuple([candidates[place] for place in _COUNTING[type(key), found, settled, from_page]])


def _counts(name: str, key_type: type[Key], *, found: bool, settled: bool, from_page: bool) -> bool:
    if name == "work" or name.startswith("steps/"):
        return not settled
    if key_type in {MessageKey, RunKey, AssistantKey}:
        if name.endswith("-edits"):
            return from_page
        if name.startswith(("message/", "run/", "assistant/")):
            return not from_page
    finds_one = key_type in {MessageKey, RunKey, AssistantKey, MessageFileKey, MessageFilePageKey}
    return not (found and finds_one and name in {"messages", "runs", "assistants"})


def _named(*names: str) -> Callable[[str, Any], Tags]:
    return lambda group, _: tuple([Tag(group, name) for name in names])


def _of_message(group: str, key: MessageKey | MessageFileKey | MessageFilePageKey) -> Tags:
    own = Tag(group, f"message/{quoted(key.message_id)}")
    common = (Tag(group, "all"), own, Tag(group, "messages"))
    return (*common, Tag(group, "message-edits"), Tag(group, "work")) if isinstance(key, MessageKey) else common


def _of_run(group: str, key: RunKey) -> Tags:
    return (
        Tag(group, "all"),
        Tag(group, f"run/{quoted(key.run_id)}"),
        Tag(group, "run-edits"),
        Tag(group, "runs"),
    )


def _of_steps(group: str, key: RunStepKey | RunStepPageKey) -> Tags:
    return (Tag(group, "all"), Tag(group, f"steps/{quoted(key.run_id)}"))


def _of_assistant(_: str, key: AssistantKey) -> Tags:
    return (_assistant_tag(key), _ASSISTANT_EDITS, _ASSISTANTS)


def _assistant_tag(key: AssistantKey) -> Tag:
    return Tag(ASSISTANTS, f"assistant/{quoted(key.assistant_id)}")


_CANDIDATES: dict[type[Key], Callable[[str, Any], Tags]] = {
    ThreadKey: _named("all", "thread"),
    MessageKey: _of_message,
    MessagePageKey: _named("all", "messages", "message-edits", "work"),
    RunKey: _of_run,
    RunPageKey: _named("all", "runs", "run-edits"),
    RunStepKey: _of_steps,
    RunStepPageKey: _of_steps,
    AssistantKey: _of_assistant,
    AssistantPageKey: _named("assistants", "assistant-edits"),
    MessageFileKey: _of_message,
    MessageFilePageKey: _of_message,
}

_COUNTING = {
    (key_type, found, settled, from_page): tuple(
        place
        for place, tag in enumerate(candidates("", cast("Any", key_type)(*["some"] * len(key_type._fields))))
        if _counts(tag.name, key_type, found=found, settled=settled, from_page=from_page)
    )
    for key_type, candidates in _CANDIDATES.items()
    for found, settled, from_page in product((True, False), repeat=3)
}
"""Which of a key's candidates count, by their places: the same for all keys of a type."""


def thread_made(thread_id: str) -> Tags:
    """A thread was made, with or without a run: whoever asked for it before did not find it."""
    return (Tag(thread_group(thread_id), "all"),)


def thread_updated(key: ThreadKey) -> Tags:
    """A thread's own object changed."""
    return (Tag(group_of(key), "thread"),)


def thread_deleted(key: ThreadKey) -> Tags:
    """A thread is gone with all that was in it."""
    return (Tag(group_of(key), "all"),)


def message_added(thread: ThreadKey) -> Tags:
    """A thread has one more message."""
    return (Tag(group_of(thread), "messages"),)


def message_changed(key: MessageKey) -> Tags:
    """A message was updated or deleted."""
    group = group_of(key)
    return (Tag(group, f"message/{quoted(key.message_id)}"), Tag(group, "message-edits"))


def run_begun(thread: ThreadKey, body: RunBody) -> Tags:
    """A thread has one more run, and the messages that it brought."""
    group = group_of(thread)
    begun = (Tag(group, "runs"), Tag(group, "work"))
    return (*begun, Tag(group, "messages")) if body.additional_messages else begun


def run_updated(key: RunKey) -> Tags:
    """A run's metadata changed."""
    group = group_of(key)
    return (Tag(group, f"run/{quoted(key.run_id)}"), Tag(group, "run-edits"))


def run_moved_on(key: RunKey) -> Tags:
    """A run was cancelled, got what it waited for, or ended: its steps and what it writes may differ now."""
    group = group_of(key)
    return (*run_updated(key), Tag(group, f"steps/{quoted(key.run_id)}"), Tag(group, "work"))


def assistant_made() -> Tags:
    """There is one more assistant."""
    return (_ASSISTANTS,)


def assistant_changed(key: AssistantKey) -> Tags:
    """An assistant was updated or deleted."""
    return (_assistant_tag(key), _ASSISTANT_EDITS)


def seen_moving(key: RunKey | ThreadKey) -> Tags:
    """Something new was seen of a run or a thread, whoever did it: also what no write of ours has outdated."""
    group = group_of(key)
    of_thread = tuple(Tag(group, name) for name in ("messages", "message-edits", "runs", "run-edits", "work"))
    return tuple(dict.fromkeys((*of_thread, *run_moved_on(key)))) if isinstance(key, RunKey) else of_thread
