"""The records of threads: what the gateway itself keeps of a thread, beside the upstream's object; and their lists.

Times are Unix milliseconds, in whole numbers, so that the position of a record in a list is exact in every database and
in a cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from msgspec import UNSET, Struct, UnsetType

from schema.contract.keys import RunKey

MAX_TITLE_LENGTH = 256
"""Limit of a title, in characters."""

MAX_SEARCH_LENGTH = 256
"""Limit of the words that a search looks for, in characters."""


class TokenUsage(Struct, frozen=True):
    """A sum of tokens that runs used, as the upstream counted them.

    `cached_tokens` (a part of the prompt tokens) and `reasoning_tokens` (a part of the completion tokens) are None if
    none of the runs has them.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class ThreadRecord(Struct, frozen=True):
    """The record of a thread: the part that the gateway keeps.

    Attributes:
        thread_id: The upstream's id of the thread.
        title: The title: the one that somebody gave, else the first words of the first message. None without both.
        is_archived: Whether the thread is put away.
        created_at_ms: The time when the thread was created.
        last_activity_at_ms: The time when a message or a run was last added, or a run last ended. Never before
            `created_at_ms`.
        usage: The tokens of the thread's runs that ended.
    """

    thread_id: str
    created_at_ms: int
    last_activity_at_ms: int
    title: str | None = None
    is_archived: bool = False
    usage: TokenUsage = TokenUsage()


class RecordOrder(StrEnum):
    """An order of records, the newest first. Of equal times, the larger thread id (by code points) comes first."""

    LAST_ACTIVITY = "last_activity"
    CREATED = "created"


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Conditions that a record must meet, all of those that are not None.

    Attributes:
        is_archived: Whether the thread is archived.
        text: Words that the title or a message must contain, all of them; not empty, at most `MAX_SEARCH_LENGTH`.
        assistant_id: The upstream's id of an assistant that a run of the thread has used.
        active_since_ms: The earliest time of the last activity.
    """

    is_archived: bool | None = None
    text: str | None = None
    assistant_id: str | None = None
    active_since_ms: int | None = None


class RecordPosition(NamedTuple):
    """The position of a record in a list: the time by which the list is ordered, and the thread. It need not exist."""

    time_ms: int
    thread_id: str


class WaitingRunPosition(NamedTuple):
    """The position of a run in the list of waiting runs: the time since when it waits, and the run."""

    time_ms: int
    thread_id: str
    run_id: str


PositionT = TypeVar("PositionT", RecordPosition, WaitingRunPosition)
ItemT = TypeVar("ItemT")


class KeysetWindow(NamedTuple, Generic[PositionT]):
    """A part of a list: at most `limit` items that follow a position, or with `backwards` precede it.

    Without a position it begins at the list's first item, or with `backwards` ends with its last.
    """

    limit: int
    position: PositionT | None = None
    backwards: bool = False


RecordWindow: TypeAlias = KeysetWindow[RecordPosition]
WaitingRunWindow: TypeAlias = KeysetWindow[WaitingRunPosition]


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[ItemT]):
    """The items of a window in the order of the list, also if it is read backwards.

    `has_more` says whether further items follow, or with `backwards` precede, those of the page.
    """

    items: Sequence[ItemT]
    has_more: bool = False


class WaitingRun(NamedTuple):
    """A run that waits for tool outputs, and the time since when."""

    key: RunKey
    since_ms: int


class RecordUpdate(NamedTuple):
    """A change of a record. What is UNSET stays. A title of None is the first words of the first message again."""

    title: str | UnsetType | None = UNSET
    is_archived: bool | UnsetType = UNSET

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return self.title is not UNSET or self.is_archived is not UNSET
