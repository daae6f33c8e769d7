"""Rows of the tables of records, made from what the records hold, and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Row

from gateway.ledger.record_merging import FirstWords, RunState, ThreadState
from schema.contract.thread_records import TokenUsage


class RowKey(NamedTuple):
    """Identity of a row of `THREADS`: the digest of the owner, and the thread."""

    owner: str
    thread_id: str


def to_thread_row(key: RowKey, state: ThreadState) -> dict[str, Any]:
    """Return the row of a thread, but for its number and upstream."""
    first = state.first_words
    return {
        "owner": key.owner,
        "thread_id": key.thread_id,
        "created_at_ms": state.created_at_ms,
        "last_activity_at_ms": state.last_activity_at_ms,
        "is_archived": state.is_archived,
        "given_title": state.given_title,
        "titled_at_ms": state.titled_at_ms,
        "first_words": None if first is None else first.words,
        "first_words_rank": None if first is None else first.rank,
        "first_words_created_at_ms": None if first is None else first.created_at_ms,
        "first_words_message_id": None if first is None else first.message_id,
        "first_words_seen_at_ms": None if first is None else first.seen_at_ms,
    }


def thread_from_row(row: Row[Any]) -> ThreadState:
    """Return the record in a row of `THREADS`."""
    first = None
    if row.first_words is not None:
        first = FirstWords(
            row.first_words,
            row.first_words_rank,
            row.first_words_created_at_ms,
            row.first_words_message_id,
            row.first_words_seen_at_ms,
        )
    return ThreadState(
        row.created_at_ms,
        row.last_activity_at_ms,
        is_archived=row.is_archived,
        given_title=row.given_title,
        titled_at_ms=row.titled_at_ms,
        first_words=first,
    )


def to_run_row(record_id: int, key: RowKey, run_id: str, state: RunState) -> dict[str, Any]:
    """Return the row of a run."""
    usage = state.usage
    return {
        "record_id": record_id,
        "run_id": run_id,
        "owner": key.owner,
        "thread_id": key.thread_id,
        "status": state.status,
        "seen_at_ms": state.seen_at_ms,
        "created_at_ms": state.created_at_ms,
        "ended_at_ms": state.ended_at_ms,
        "expires_at_ms": state.expires_at_ms,
        "waiting_since_ms": state.waiting_since_ms,
        "assistant_id": state.assistant_id,
        "prompt_tokens": None if usage is None else usage.prompt_tokens,
        "completion_tokens": None if usage is None else usage.completion_tokens,
        "total_tokens": None if usage is None else usage.total_tokens,
        "cached_tokens": None if usage is None else usage.cached_tokens,
        "reasoning_tokens": None if usage is None else usage.reasoning_tokens,
    }


def run_from_row(row: Row[Any]) -> RunState:
    """Return the record in a row of `RUNS`."""
    return RunState(
        row.status,
        row.seen_at_ms,
        created_at_ms=row.created_at_ms,
        ended_at_ms=row.ended_at_ms,
        expires_at_ms=row.expires_at_ms,
        waiting_since_ms=row.waiting_since_ms,
        assistant_id=row.assistant_id,
        usage=None if row.prompt_tokens is None else usage_from_numbers(row._mapping),
    )


def usage_from_numbers(numbers: Mapping[Any, Any]) -> TokenUsage:
    """Return a usage from columns, or from sums over rows. PostgreSQL sums whole numbers as decimals."""
    cached, reasoning = numbers["cached_tokens"], numbers["reasoning_tokens"]
    return TokenUsage(
        int(numbers["prompt_tokens"] or 0),
        int(numbers["completion_tokens"] or 0),
        int(numbers["total_tokens"] or 0),
        None if cached is None else int(cached),
        None if reasoning is None else int(reasoning),
    )
