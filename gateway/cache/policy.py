"""What may be kept, and how long: a function of the object's own state. Pure.

| what came | fresh | serves a failing upstream until |
|---|---|---|
| a terminal run, a final step, a settled message | 10 minutes | 6 hours |
| a thread, an assistant, a file of a message | 1 minute | 6 hours |
| a closed page of such objects | as its objects | as its objects |
| a page that can still grow, with nothing recent in it | 2 seconds | 1 hour |
| a message of which nobody knows whether it is finished, not recent | 2 seconds | 1 hour |
| the same, recent: a run may be at work, and whoever sees its end must see its work | not kept | - |
| "not found" | 3 seconds | - |
| an active run, an unfinished step or message, a page that holds one, any other error | not kept | - |

The fresh time is also the window in which a change made behind the gateway's back (metadata changed or an object
deleted by another program) may go unseen. What is written through the gateway is seen at once (`tags`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from gateway.cache.cache_keys import Key
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.ports import MessagePageKey, RunStepPageKey
from schema.contract.run_events import is_terminal
from schema.contract.wire import (
    AssistantObject,
    MessageFileObject,
    MessageObject,
    Page,
    RunObject,
    RunStepObject,
    ThreadObject,
)

CachedObject: TypeAlias = ThreadObject | MessageObject | RunObject | RunStepObject | AssistantObject | MessageFileObject
Answer: TypeAlias = CachedObject | Page[Any] | GatewayError
RunIsOver: TypeAlias = Callable[[RunKey], bool]

FINAL_STEP_STATUSES = frozenset({"completed", "failed", "cancelled", "expired"})
"""Statuses in which a step cannot change. Source: the run step object's `status` in the API's specification."""

FINISHED_MESSAGE_STATUSES = frozenset({"completed", "incomplete"})
"""Statuses in which a message is whole. Source: the message object's `status` in the API's specification."""


RECENT_SECONDS = 900.0
"""What is younger may still be changed by a run: one lives for 10 minutes, and clocks differ by some."""


class Lifetime(NamedTuple):
    """How long a value answers, then how long it may still serve when the upstream fails.

    `settled`: no run that works, and none that begins, changes it any more.
    """

    fresh_seconds: float
    stale_seconds: float
    settled: bool


SETTLED = Lifetime(600.0, 21_000.0, settled=True)
EDITABLE = Lifetime(60.0, 21_540.0, settled=True)
BRIEF = Lifetime(2.0, 3_598.0, settled=False)
ABSENT = Lifetime(3.0, 0.0, settled=False)

MAX_LIFETIME_SECONDS = SETTLED.fresh_seconds + SETTLED.stale_seconds


def lifetime_of(key: Key, answer: Answer, run_is_over: RunIsOver, now_seconds: float) -> Lifetime | None:
    """Say how long an answer may be kept, None for not at all.

    `run_is_over` tells whether a run was known to be terminal before the answer was asked for; false where unknown.
    `now_seconds` is Unix time.
    """
    if isinstance(answer, GatewayError):
        return ABSENT if answer.code is ErrorCode.NOT_FOUND else None
    if not isinstance(answer, Page):
        return _of_object(key, answer, run_is_over, now_seconds)
    closed = is_closed(key, answer, run_is_over)
    if not closed and _may_be_at_work(key, answer, now_seconds):
        return None
    shortest = latest = SETTLED if closed else BRIEF
    for one in answer.data:
        kept = _of_object(key, one, run_is_over, now_seconds)
        if kept is None:
            return None
        if kept is latest:
            continue  # as most objects of a page are alike
        latest = kept
        shortest = Lifetime(
            min(shortest.fresh_seconds, kept.fresh_seconds),
            min(shortest.stale_seconds, kept.stale_seconds),
            shortest.settled and kept.settled,
        )
    return shortest


def is_closed(key: Key, page: Page[Any], run_is_over: RunIsOver) -> bool:
    """Tell whether no new object can enter a page: new ones come at the other side, or not at all.

    Oldest first, a full page with more behind it is closed. Newest first, a page behind a cursor is, since what is
    new comes before the cursor. What a run that is over wrote is whole.
    """
    if isinstance(key, RunStepPageKey) or (isinstance(key, MessagePageKey) and key.run_id is not None):
        run_id = key.run_id
        if run_id is not None and run_is_over(RunKey(key.thread_id, run_id)):
            return True
    window = getattr(key, "window", None)
    if window is None:
        return False
    if window.backwards:
        return window.after is not None
    return page.has_more and len(page.data) >= window.limit


def _may_be_at_work(key: Key, page: Page[Any], now_seconds: float) -> bool:
    """Tell whether a run may be about to add to a page of messages or steps: an empty or a recent one."""
    if not isinstance(key, (MessagePageKey, RunStepPageKey)):
        return False
    return not page.data or _is_recent(max(one.created_at for one in page.data), now_seconds)


def _is_recent(created_at: float, now_seconds: float) -> bool:
    return now_seconds - created_at < RECENT_SECONDS


def _of_object(key: Key, kept: CachedObject, run_is_over: RunIsOver, now_seconds: float) -> Lifetime | None:
    if isinstance(kept, MessageObject):
        return _of_message(key, kept, run_is_over, now_seconds)
    if isinstance(kept, RunStepObject):
        return SETTLED if kept.status in FINAL_STEP_STATUSES else None
    if isinstance(kept, RunObject):
        return SETTLED if is_terminal(kept.status) else None
    return EDITABLE


def _of_message(key: Key, message: MessageObject, run_is_over: RunIsOver, now_seconds: float) -> Lifetime | None:
    # The real service leaves `status` out of messages that are read, so it often says nothing.
    if message.status in FINISHED_MESSAGE_STATUSES:
        return SETTLED
    if message.status == "in_progress":
        return None
    if message.status is not None:
        return BRIEF
    if message.role == "user" or message.run_id is None:
        return SETTLED
    thread_id = getattr(key, "thread_id", "")
    if run_is_over(RunKey(thread_id, message.run_id)):
        return SETTLED
    return None if _is_recent(message.created_at, now_seconds) else BRIEF
