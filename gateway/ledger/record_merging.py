"""Rules by which sightings become records: the same for every store, in whatever order the sightings come. Pure.

Times only move one way: a creation and an end to the earliest that was seen, an activity to the latest. Of two states
of an object, the one further along its life stays; of two equally far, the one seen later.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from gateway.ledger.sightings import SeenMessage, SeenRun, SeenThread
from schema.contract.statuses import is_terminal
from schema.contract.thread_records import RecordUpdate, TokenUsage

MAX_FIRST_WORDS_LENGTH = 80
"""Limit of a title that is made from the first message, in characters."""

MAX_TOKENS = 10**12
"""Limit of each number of tokens of a run, so that a sum fits into a column."""

WAITING_STATUS = "requires_action"

_CANCELLING_STATUS = "cancelling"

_FIRST, _OPENING, _ANY = 2, 1, 0
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class FirstWords:
    """The title that a message gives its thread.

    `rank` says how sure it is that the message is the first one: known as such, given with the thread, or any message.
    `message_id` is empty if the message was given with the thread.
    """

    words: str
    rank: int
    created_at_ms: int
    message_id: str
    seen_at_ms: int


@dataclass(frozen=True, slots=True)
class ThreadState:
    """The record of a thread, without its runs and its words."""

    created_at_ms: int
    last_activity_at_ms: int
    is_archived: bool = False
    given_title: str | None = None
    titled_at_ms: int | None = None
    first_words: FirstWords | None = None

    @property
    def title(self) -> str | None:
        """The title that is shown."""
        if self.given_title is not None:
            return self.given_title
        return (self.first_words.words or None) if self.first_words is not None else None

    @property
    def first_message_id(self) -> str | None:
        """The message that is known to be the first one and gave its words."""
        first = self.first_words
        return first.message_id if first is not None and first.rank == _FIRST else None

    @property
    def shown(self) -> tuple[object, ...]:
        """The values that the graph shows."""
        return (self.title, self.is_archived, self.created_at_ms, self.last_activity_at_ms)


@dataclass(frozen=True, slots=True)
class RunState:
    """The record of a run. `waiting_since_ms` is the time when it was first seen waiting, None if it does not."""

    status: str
    seen_at_ms: int
    created_at_ms: int | None = None
    ended_at_ms: int | None = None
    expires_at_ms: int | None = None
    waiting_since_ms: int | None = None
    assistant_id: str | None = None
    usage: TokenUsage | None = None

    @property
    def counted_usage(self) -> TokenUsage | None:
        """The usage that is part of the thread's."""
        return self.usage if self.ended_at_ms is not None else None


@dataclass(frozen=True, slots=True)
class TextState:
    """The words of a message, the time when it was seen with them, and the digest of its text if that is known."""

    words: frozenset[str]
    seen_at_ms: int
    text_digest: int | None = None


def merge_thread(state: ThreadState | None, seen: SeenThread) -> ThreadState:
    """Merge the sighting of a thread."""
    state = _with_times(state, seen.created_at_ms, (seen.created_at_ms,), seen.seen_at_ms)
    if seen.title is not None and (state.titled_at_ms is None or seen.title.given_at_ms > state.titled_at_ms):
        state = replace(state, given_title=seen.title.title, titled_at_ms=seen.title.given_at_ms)
    if seen.opening is not None:
        created_at_ms = seen.seen_at_ms if seen.created_at_ms is None else seen.created_at_ms
        opening = FirstWords(to_first_words(seen.opening), _OPENING, created_at_ms, "", seen.seen_at_ms)
        state = replace(state, first_words=_choose_first(state.first_words, opening))
    return state


def merge_thread_message(state: ThreadState | None, seen: SeenMessage) -> ThreadState:
    """Merge the sighting of a message into its thread."""
    state = _with_times(state, None, (seen.created_at_ms,), seen.seen_at_ms)
    if seen.text is None:
        return state
    created_at_ms = seen.seen_at_ms if seen.created_at_ms is None else seen.created_at_ms
    rank = _FIRST if seen.is_first else _ANY
    present = state.first_words
    if present is not None and present.rank > rank and present.message_id != seen.message_id:
        return state  # as most messages, which are not the first one
    found = FirstWords(to_first_words(seen.text), rank, created_at_ms, seen.message_id, seen.seen_at_ms)
    chosen = _choose_first(present, found)
    return state if chosen == present else replace(state, first_words=chosen)


def merge_thread_run(state: ThreadState | None, seen: SeenRun) -> ThreadState:
    """Merge the sighting of a run into its thread."""
    ended_at_ms = seen.ended_at_ms if is_terminal(seen.status) else None
    return _with_times(state, None, (seen.created_at_ms, ended_at_ms), seen.seen_at_ms)


def run_from_sighting(seen: SeenRun) -> RunState:
    """Make the state of a run from a sighting."""
    return RunState(
        seen.status,
        seen.seen_at_ms,
        created_at_ms=seen.created_at_ms,
        ended_at_ms=_ended_at_ms(seen),
        expires_at_ms=seen.expires_at_ms,
        waiting_since_ms=seen.seen_at_ms if seen.status == WAITING_STATUS else None,
        assistant_id=seen.assistant_id,
        usage=None if seen.usage is None else _bounded(seen.usage),
    )


def merge_runs(state: RunState | None, other: RunState) -> RunState:
    """Merge the record of a run with a sighting of it, or with the record of another owner."""
    if state is None:
        return other
    latest, waiting_since_ms = state, state.waiting_since_ms
    if _progress(other) > _progress(state):
        latest = other
        if other.waiting_since_ms is None or waiting_since_ms is None:
            waiting_since_ms = other.waiting_since_ms
    return RunState(
        latest.status,
        latest.seen_at_ms,
        created_at_ms=_earliest(state.created_at_ms, other.created_at_ms),
        ended_at_ms=_earliest(state.ended_at_ms, other.ended_at_ms),
        expires_at_ms=_largest(state.expires_at_ms, other.expires_at_ms),
        waiting_since_ms=waiting_since_ms,
        assistant_id=state.assistant_id or other.assistant_id,
        usage=_largest_usage(state.usage, other.usage),
    )


def merge_texts(state: TextState | None, other: TextState) -> TextState:
    """Return the words that were seen later."""
    return other if is_new_text(state, other.text_digest, other.seen_at_ms) else state or other


def is_new_text(state: TextState | None, text_digest: int | None, seen_at_ms: int) -> bool:
    """Return whether a text is to be stored. One that did not change is not."""
    if state is None:
        return True
    is_same = text_digest is not None and text_digest == state.text_digest
    return seen_at_ms > state.seen_at_ms and not is_same


def update_thread(state: ThreadState, update: RecordUpdate, updated_at_ms: int) -> ThreadState:
    """Make a requested change. It counts as later than the state of the record, also if clocks differ."""
    if isinstance(update.is_archived, bool):
        state = replace(state, is_archived=update.is_archived)
    if update.title is None or isinstance(update.title, str):
        titled_at_ms = updated_at_ms if state.titled_at_ms is None else max(updated_at_ms, state.titled_at_ms + 1)
        state = replace(state, given_title=update.title, titled_at_ms=titled_at_ms)
    return state


def may_give_title(state: ThreadState, message_id: str) -> bool:
    """Return whether a title is kept that a message gave, or may have given, even if another one is shown."""
    return state.first_words is not None and state.first_words.message_id in {message_id, ""}


def remove_first_words(state: ThreadState, message_id: str) -> ThreadState:
    """Remove the title that a message gave, or may have given."""
    return replace(state, first_words=None) if may_give_title(state, message_id) else state


def titling_message_ids(state: ThreadState, seen_before_ms: int) -> frozenset[str]:
    """Return the id of the message that gave a title, if it was seen before a time; as a set of one or none."""
    first = state.first_words
    return frozenset() if first is None or first.seen_at_ms >= seen_before_ms else frozenset({first.message_id})


def forget_first_words(state: ThreadState, message_ids: Collection[str]) -> ThreadState:
    """Remove the title that one of these messages gave."""
    if state.first_words is not None and state.first_words.message_id in message_ids:
        return replace(state, first_words=None)
    return state


def merge_threads(state: ThreadState, other: ThreadState) -> ThreadState:
    """Merge the records that two owners had of one thread. The first keeps its own title and archiving."""
    first_words = state.first_words
    if other.first_words is not None:
        first_words = _choose_first(first_words, other.first_words)
    titled = state if state.given_title is not None or other.given_title is None else other
    return ThreadState(
        min(state.created_at_ms, other.created_at_ms),
        max(state.last_activity_at_ms, other.last_activity_at_ms),
        is_archived=state.is_archived,
        given_title=titled.given_title,
        titled_at_ms=titled.titled_at_ms,
        first_words=first_words,
    )


def to_first_words(text: str) -> str:
    """Make a title from the text of a message."""
    words = _SPACES.sub(" ", text[: 10 * MAX_FIRST_WORDS_LENGTH]).strip()
    if len(words) <= MAX_FIRST_WORDS_LENGTH:
        return words
    head = words[:MAX_FIRST_WORDS_LENGTH]
    whole = head.rpartition(" ")[0]
    return (whole if len(whole) > MAX_FIRST_WORDS_LENGTH // 2 else head[:-1]).rstrip() + "…"


def sum_usage(runs: Iterable[RunState]) -> TokenUsage:
    """Sum up the usage of runs that ended. A part is None if none of them has it."""
    usages = [usage for run in runs if (usage := run.counted_usage) is not None]
    cached = [usage.cached_tokens for usage in usages if usage.cached_tokens is not None]
    reasoning = [usage.reasoning_tokens for usage in usages if usage.reasoning_tokens is not None]
    return TokenUsage(
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        sum(usage.total_tokens for usage in usages),
        sum(cached) if cached else None,
        sum(reasoning) if reasoning else None,
    )


def _with_times(
    state: ThreadState | None, created_at_ms: int | None, active_at_ms: tuple[int | None, ...], seen_at_ms: int
) -> ThreadState:
    """Return a state that knows of these times. `seen_at_ms` stands for a creation of which nothing is known."""
    known = [time for time in active_at_ms if time is not None]
    earliest = min([created_at_ms] if created_at_ms is not None else known or [seen_at_ms])
    latest = max([earliest, *known])
    if state is None:
        return ThreadState(earliest, latest)
    if state.created_at_ms <= earliest and (not known or latest <= state.last_activity_at_ms):
        return state
    return replace(
        state,
        created_at_ms=min(state.created_at_ms, earliest),
        last_activity_at_ms=max(state.last_activity_at_ms, latest) if known else state.last_activity_at_ms,
    )


def _choose_first(present: FirstWords | None, found: FirstWords) -> FirstWords | None:
    if present is not None and present.message_id == found.message_id:
        if (found.words, found.created_at_ms) == (present.words, present.created_at_ms) and found.rank <= present.rank:
            return present  # as texts, it is not written again
        latest = found if found.seen_at_ms >= present.seen_at_ms else present
        return replace(latest, rank=max(present.rank, found.rank))
    if not found.words:
        return present
    if present is None or found.rank > present.rank:
        return found
    if found.rank < present.rank:
        return present
    if found.rank == _FIRST and found.seen_at_ms != present.seen_at_ms:
        # The one that was the first before was removed.
        return max(present, found, key=lambda first: first.seen_at_ms)
    return min(present, found, key=lambda first: (first.created_at_ms, first.message_id))


def _progress(run: RunState) -> tuple[int, int, str]:
    """Order the states of a run. A run may wait, go on and be queued again, until it is cancelled or ends."""
    level = 2 if is_terminal(run.status) else int(run.status == _CANCELLING_STATUS)
    return (level, run.seen_at_ms, run.status)


def _ended_at_ms(seen: SeenRun) -> int | None:
    if not is_terminal(seen.status):
        return None
    return seen.seen_at_ms if seen.ended_at_ms is None else seen.ended_at_ms


def _earliest(one: int | None, other: int | None) -> int | None:
    return min((time for time in (one, other) if time is not None), default=None)


def _largest(one: int | None, other: int | None) -> int | None:
    return max((number for number in (one, other) if number is not None), default=None)


def _largest_usage(one: TokenUsage | None, other: TokenUsage | None) -> TokenUsage | None:
    """Return the larger of two counts of one run's tokens, number by number: the tokens of a run only grow."""
    if one is None or other is None:
        return one if other is None else other
    return TokenUsage(
        max(one.prompt_tokens, other.prompt_tokens),
        max(one.completion_tokens, other.completion_tokens),
        max(one.total_tokens, other.total_tokens),
        _largest(one.cached_tokens, other.cached_tokens),
        _largest(one.reasoning_tokens, other.reasoning_tokens),
    )


def _bounded(usage: TokenUsage) -> TokenUsage:
    def bound(number: int) -> int:
        return min(max(number, 0), MAX_TOKENS)

    return TokenUsage(
        bound(usage.prompt_tokens),
        bound(usage.completion_tokens),
        bound(usage.total_tokens),
        None if usage.cached_tokens is None else bound(usage.cached_tokens),
        None if usage.reasoning_tokens is None else bound(usage.reasoning_tokens),
    )
