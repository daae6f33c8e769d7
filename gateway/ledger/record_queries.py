"""The statements that read records: lists, sums, and search. Each walks through an index of its owner. Pure."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Select, and_, cast, func, literal, literal_column, or_, select, tuple_
from sqlalchemy.dialects.postgresql import TSQUERY

from gateway.ledger.record_tables import REMOVALS, RUNS, TEXTS, THREADS, WORDS
from gateway.ledger.removal_marks import ANY_MESSAGE
from gateway.ledger.search_words import SearchQuery, to_owner_mark
from schema.contract.thread_records import RecordFilter, RecordOrder, RecordWindow, WaitingRunWindow

EARLIEST_MS, _LATEST_MS = -(2**62), 2**62

USAGE_COLUMNS = tuple(
    RUNS.c[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
)

USAGE_SUMS = tuple(func.sum(column).label(column.name) for column in USAGE_COLUMNS)


def select_records(
    owner: str,
    conditions: RecordFilter,
    query: SearchQuery | None,
    order: RecordOrder,
    window: RecordWindow,
    *,
    postgresql: bool,
) -> Select[Any]:
    """Select one record more than the window holds. With `backwards`, the last one of the list comes first."""
    time = THREADS.c.last_activity_at_ms if order is RecordOrder.LAST_ACTIVITY else THREADS.c.created_at_ms
    position = (time, THREADS.c.thread_id)
    statement = select(THREADS).where(THREADS.c.owner == owner)
    if conditions.is_archived is not None:
        statement = statement.where(THREADS.c.is_archived == literal(conditions.is_archived, Boolean))
    if conditions.active_since_ms is not None:
        statement = statement.where(THREADS.c.last_activity_at_ms >= conditions.active_since_ms)
    if conditions.assistant_id is not None:
        by_assistant = (RUNS.c.owner == owner, RUNS.c.assistant_id == conditions.assistant_id)
        statement = statement.where(THREADS.c.record_id.in_(select(RUNS.c.record_id).where(*by_assistant)))
    if query is not None:
        statement = statement.where(THREADS.c.record_id.in_(_select_found(owner, query, postgresql=postgresql)))
    if window.position is not None:
        edge = tuple_(literal(window.position.time_ms), literal(window.position.thread_id, THREADS.c.thread_id.type))
        statement = statement.where(tuple_(*position) > edge if window.backwards else tuple_(*position) < edge)
    ordered = position if window.backwards else tuple(column.desc() for column in position)
    return statement.order_by(*ordered).limit(window.limit + 1)


def select_waiting_runs(owner: str, window: WaitingRunWindow, now_ms: int) -> Select[Any]:
    """Select one waiting run more than the window holds. With `backwards`, the last one of the list comes first."""
    position = (RUNS.c.waiting_since_ms, RUNS.c.thread_id, RUNS.c.run_id)
    statement = select(*position).where(
        RUNS.c.owner == owner,
        RUNS.c.waiting_since_ms.is_not(None),
        or_(RUNS.c.expires_at_ms.is_(None), RUNS.c.expires_at_ms > now_ms),
    )
    if window.position is not None:
        edge = tuple_(
            literal(window.position.time_ms),
            *(literal(text, RUNS.c.run_id.type) for text in (window.position.thread_id, window.position.run_id)),
        )
        statement = statement.where(tuple_(*position) < edge if window.backwards else tuple_(*position) > edge)
    ordered = tuple(column.desc() for column in position) if window.backwards else position
    return statement.order_by(*ordered).limit(window.limit + 1)


def select_usage(owner: str, since_ms: int | None, until_ms: int | None) -> Select[Any]:
    """Sum up the tokens of runs that ended in this time."""
    return select(*USAGE_SUMS).where(
        RUNS.c.owner == owner,
        RUNS.c.ended_at_ms >= (EARLIEST_MS if since_ms is None else since_ms),
        RUNS.c.ended_at_ms < (_LATEST_MS if until_ms is None else until_ms),
    )


def select_unfinished_removals(upstream: str, after_ms: int, before_ms: int) -> Select[Any]:
    """Select what was marked between two times although its record, its words or the title that it gave are there."""
    is_thread = REMOVALS.c.message_id == ""
    is_record = and_(THREADS.c.upstream == REMOVALS.c.upstream, THREADS.c.thread_id == REMOVALS.c.thread_id)
    # A title has no words of its own here: its message id is empty, too.
    is_text = and_(TEXTS.c.record_id == THREADS.c.record_id, TEXTS.c.message_id == REMOVALS.c.message_id, ~is_thread)
    gave_title = THREADS.c.first_words_message_id.in_([REMOVALS.c.message_id, literal("")])
    return (
        select(REMOVALS.c.thread_id, REMOVALS.c.message_id)
        .distinct()
        .join(THREADS, is_record)
        .outerjoin(TEXTS, is_text)
        .where(
            REMOVALS.c.upstream == upstream,
            REMOVALS.c.removed_at_ms > after_ms,
            REMOVALS.c.removed_at_ms < before_ms,
            REMOVALS.c.message_id != ANY_MESSAGE,
            or_(is_thread, TEXTS.c.text_id.is_not(None), gave_title),
        )
    )


def _select_found(owner: str, query: SearchQuery, *, postgresql: bool) -> Select[Any]:
    """Select the records of the texts that have the words. The mark of the owner stands before each of the words."""
    mark = to_owner_mark(owner)
    words = sorted(mark + word for word in query.words)
    # Words are letters and digits: none of them ends the quotation.
    if postgresql:
        terms = " & ".join([*(f"'{word}'" for word in words), f"'{mark}{query.last}':*"])
        return select(TEXTS.c.record_id).where(TEXTS.c.words.op("@@")(cast(terms, TSQUERY)))
    terms = " ".join([*(f'"{word}"' for word in words), f'"{mark}{query.last}"*'])
    found: ColumnElement[bool] = literal_column("ledger_words").op("MATCH")(terms)
    return select(TEXTS.c.record_id).join(WORDS, WORDS.c.rowid == TEXTS.c.text_id).where(found)
