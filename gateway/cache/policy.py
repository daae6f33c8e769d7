"""The lifetime of a result in the cache: a function of the object's own state. Pure.

| result | fresh | usable when the upstream fails, until |
|---|---|---|
| a terminal run, a final step, a settled message, a file | 10 minutes | 6 hours |
| a thread, an assistant, a file of a message | 1 minute | 6 hours |
| a closed page of such objects | as its objects | as its objects |
| a page that can still grow, with nothing recent in it | 2 seconds | 1 hour |
| a message that may be unfinished, not recent | 2 seconds | 1 hour |
| either of these two, recent: a run may be writing, and a reader who sees its end must see its work | not stored | - |
| "not found" | 3 seconds | - |
| an active run, an unfinished step or message, a page that holds one, any other error | not stored | - |

A change that another program makes directly at the upstream (metadata changed, an object deleted) may go unseen for
the fresh time. A write through the gateway is seen at once (`tags`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.kinds import HasId, Key, MessagePageKey, RunStepPageKey
from schema.contract.statuses import FINAL_STEP_STATUSES, FINISHED_MESSAGE_STATUSES, is_terminal
from schema.contract.wire import (
    AssistantObject,
    FileObject,
    MessageFileObject,
    MessageObject,
    Page,
    RunObject,
    RunStepObject,
    ThreadObject,
)

Result: TypeAlias = HasId | Page[Any] | GatewayError
RunHasEnded: TypeAlias = Callable[[RunKey], bool]

RECENT_SECONDS = 900.0
"""The age below which a run may still change an object: a run lives for 10 minutes, and clocks differ."""


class Lifetime(NamedTuple):
    """How long a value is fresh, then how long it may still be used when the upstream fails.

    `settled` means that no run, active or future, changes the value any more.
    """

    fresh_seconds: float
    stale_seconds: float
    settled: bool


SETTLED = Lifetime(600.0, 21_000.0, settled=True)
EDITABLE = Lifetime(60.0, 21_540.0, settled=True)
SHORT = Lifetime(2.0, 3_598.0, settled=False)
NOT_FOUND = Lifetime(3.0, 0.0, settled=False)

MAX_LIFETIME_SECONDS = SETTLED.fresh_seconds + SETTLED.stale_seconds


def choose_lifetime(key: Key, result: Result, run_has_ended: RunHasEnded, now_seconds: float) -> Lifetime | None:
    """Return the lifetime of a result, or None if it may not be stored.

    `run_has_ended` returns whether a run was known to be terminal before the read of the result began, false if that
    is unknown. `now_seconds` is Unix time.
    """
    if isinstance(result, GatewayError):
        return NOT_FOUND if result.code is ErrorCode.NOT_FOUND else None
    if not isinstance(result, Page):
        return OBJECT_LIFETIMES[type(result)](key, result, run_has_ended, now_seconds)
    closed = is_page_closed(key, result, run_has_ended)
    if not closed and _run_may_add_objects(key, result, now_seconds):
        return None
    shortest = latest = SETTLED if closed else SHORT
    for item in result.data:
        lifetime = OBJECT_LIFETIMES[type(item)](key, item, run_has_ended, now_seconds)
        if lifetime is None:
            return None
        if lifetime is latest:
            continue  # most objects of a page have the same lifetime
        latest = lifetime
        shortest = Lifetime(
            min(shortest.fresh_seconds, lifetime.fresh_seconds),
            min(shortest.stale_seconds, lifetime.stale_seconds),
            shortest.settled and lifetime.settled,
        )
    return shortest


def is_page_closed(key: Key, page: Page[Any], run_has_ended: RunHasEnded) -> bool:
    """Return whether no new object can enter a page: new objects come at the other end of the list, or not at all.

    Oldest first, a full page with more objects after it is closed. Newest first, a page after a cursor is closed, since
    new objects come before the cursor. A page of the messages or steps of an ended run is closed.
    """
    if isinstance(key, RunStepPageKey) or (isinstance(key, MessagePageKey) and key.run_id is not None):
        run_id = key.run_id
        if run_id is not None and run_has_ended(RunKey(key.thread_id, run_id)):
            return True
    window = getattr(key, "window", None)
    if window is None:
        return False
    if window.backwards:
        return window.after is not None
    return page.has_more and len(page.data) >= window.limit


def _run_may_add_objects(key: Key, page: Page[Any], now_seconds: float) -> bool:
    """Return whether a run may soon add to a page of messages or steps: if it is empty or holds a recent object."""
    if not isinstance(key, (MessagePageKey, RunStepPageKey)):
        return False
    return not page.data or _is_recent(max(item.created_at for item in page.data), now_seconds)


def _is_recent(created_at: float, now_seconds: float) -> bool:
    """Return whether an object was created a short while ago. A time of 0 is not known."""
    return not created_at or now_seconds - created_at < RECENT_SECONDS


def _message_lifetime(
    key: Key, message: MessageObject, run_has_ended: RunHasEnded, now_seconds: float
) -> Lifetime | None:
    # The real service leaves `status` out when a message is read, so it is often missing.
    if message.status in FINISHED_MESSAGE_STATUSES:
        return SETTLED
    if message.status == "in_progress":
        return None
    if message.status is not None:
        return SHORT
    if message.role == "user":
        return SETTLED
    is_recent = _is_recent(message.created_at, now_seconds)
    if message.run_id is None:
        # Some servers do not say which run writes a message.
        return None if is_recent else SETTLED
    thread_id = getattr(key, "thread_id", "")
    if run_has_ended(RunKey(thread_id, message.run_id)):
        return SETTLED
    return None if is_recent else SHORT


def _run_lifetime(_key: Key, run: RunObject, _run_has_ended: RunHasEnded, _now_seconds: float) -> Lifetime | None:
    return SETTLED if is_terminal(run.status) else None


def _step_lifetime(_key: Key, step: RunStepObject, _run_has_ended: RunHasEnded, _now_seconds: float) -> Lifetime | None:
    return SETTLED if step.status in FINAL_STEP_STATUSES else None


def _settled_lifetime(*_: object) -> Lifetime:
    return SETTLED


def _editable_lifetime(*_: object) -> Lifetime:
    return EDITABLE


OBJECT_LIFETIMES: Mapping[type[HasId], Callable[[Key, Any, RunHasEnded, float], Lifetime | None]] = {
    ThreadObject: _editable_lifetime,
    MessageObject: _message_lifetime,
    RunObject: _run_lifetime,
    RunStepObject: _step_lifetime,
    AssistantObject: _editable_lifetime,
    MessageFileObject: _editable_lifetime,
    FileObject: _settled_lifetime,
}
"""The lifetime of each kind of object, by the type of its wire object."""
