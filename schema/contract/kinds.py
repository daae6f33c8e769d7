"""The kinds of upstream objects, one row each: all rooms derive what they do for a kind from its row.

A room that knows more of a kind (its paths, its tags) has a table by kind of its own; `tests/test_kinds.py` compares
each such table with `KINDS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Never, Protocol, TypeAlias, TypeVar, cast

from schema.contract.keys import (
    TYPE_NAMES,
    AssistantKey,
    FileKey,
    MessageFileKey,
    MessageKey,
    NodeKey,
    RunKey,
    RunStepKey,
    ThreadKey,
)
from schema.contract.paging import Window
from schema.contract.wire import (
    AssistantObject,
    FileObject,
    MessageFileObject,
    MessageObject,
    RunObject,
    RunStepObject,
    ThreadObject,
)


class MessagePageKey(NamedTuple):
    """A page of a thread's messages, or of the messages that one run wrote."""

    thread_id: str
    run_id: str | None
    window: Window


class RunPageKey(NamedTuple):
    """A page of a thread's runs."""

    thread_id: str
    window: Window


class RunStepPageKey(NamedTuple):
    """A page of a run's steps."""

    thread_id: str
    run_id: str
    window: Window


class AssistantPageKey(NamedTuple):
    """A page of the list of assistants."""

    window: Window


class MessageFilePageKey(NamedTuple):
    """A page of a message's files (version 1)."""

    thread_id: str
    message_id: str
    window: Window


PageKey: TypeAlias = MessagePageKey | RunPageKey | RunStepPageKey | AssistantPageKey | MessageFilePageKey
Key: TypeAlias = NodeKey | PageKey


class HasId(Protocol):
    """An upstream object with an id."""

    @property
    def id(self) -> str:
        """The upstream's id."""


NodeKeyT = TypeVar("NodeKeyT", bound=NodeKey)
ObjectT = TypeVar("ObjectT", bound=HasId)
PageKeyT = TypeVar("PageKeyT", bound=PageKey)


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[NodeKeyT, ObjectT, PageKeyT]):
    """A kind of object: its plural name, and the types of its keys, of its wire objects and of the pages of its lists.

    A page key begins with the parts that it shares with the keys of its objects.
    """

    name: str
    key_type: type[NodeKeyT]
    wire_type: type[ObjectT]
    page_key_type: type[PageKeyT] | None = None

    @property
    def type_name(self) -> str:
        """The name of the GraphQL type."""
        return TYPE_NAMES[cast("type[NodeKey]", self.key_type)]

    def to_parent_key(self, page_key: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the common part of the keys of a page's objects: all but the object's own id."""
        return page_key[: len(self.key_type._fields) - 1]


THREADS: Kind[ThreadKey, ThreadObject, Never] = Kind("threads", ThreadKey, ThreadObject)
MESSAGES = Kind("messages", MessageKey, MessageObject, MessagePageKey)
RUNS = Kind("runs", RunKey, RunObject, RunPageKey)
RUN_STEPS = Kind("run_steps", RunStepKey, RunStepObject, RunStepPageKey)
ASSISTANTS = Kind("assistants", AssistantKey, AssistantObject, AssistantPageKey)
MESSAGE_FILES = Kind("message_files", MessageFileKey, MessageFileObject, MessageFilePageKey)
FILES: Kind[FileKey, FileObject, Never] = Kind("files", FileKey, FileObject)

AnyKind: TypeAlias = Kind[Any, Any, Any]
KINDS: tuple[AnyKind, ...] = (THREADS, MESSAGES, RUNS, RUN_STEPS, ASSISTANTS, MESSAGE_FILES, FILES)
KINDS_BY_PAGE_KEY: dict[type[Any], AnyKind] = {kind.page_key_type: kind for kind in KINDS if kind.page_key_type}
