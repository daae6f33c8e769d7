"""A fake `ViewerApi` over plain lists, correct by construction: it filters and sorts all that there is, then cuts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.ports import EventFeed, Results
from schema.contract.thread_records import (
    KeysetPage,
    KeysetWindow,
    PositionT,
    RecordFilter,
    RecordOrder,
    RecordPosition,
    RecordUpdate,
    RecordWindow,
    ThreadRecord,
    TokenUsage,
    WaitingRun,
    WaitingRunPosition,
    WaitingRunWindow,
)
from schema.contract.viewer import RateLimitState, ViewerIdentity, unsupported_without_ledger
from tests.support.fake_run_events import FakeRunEvents

LEDGER_AWAY = GatewayError(ErrorCode.LEDGER_UNAVAILABLE, "The ledger did not answer in time.")

ItemT = TypeVar("ItemT")


@dataclass
class FakeViewerApi:
    """Records, waiting runs and ended runs of one principal.

    `texts` holds the texts of messages, `assistants` those that runs used, both by thread. `ended` holds the time and
    the tokens of each run that ended. `calls` holds the name and the argument of each call. With `is_away` the database
    does not answer; with `keeps_records` false there is none.
    """

    records: dict[str, ThreadRecord] = field(default_factory=dict)
    waiting: list[WaitingRun] = field(default_factory=list)
    ended: list[tuple[int, TokenUsage]] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    assistants: dict[str, set[str]] = field(default_factory=dict)
    limits: RateLimitState | None = None
    identity: ViewerIdentity = field(default_factory=lambda: ViewerIdentity("viewer_1", "alice"))
    keeps_records: bool = True
    is_away: bool = False
    own_calls: int = 0
    list_calls: int = 0
    calls: list[tuple[str, Any]] = field(default_factory=list)
    events: FakeRunEvents = field(default_factory=FakeRunEvents)

    def add(self, thread_id: str, created_at_ms: int, last_activity_at_ms: int | None = None, **fields: Any) -> None:
        """Add the record of a thread."""
        activity = created_at_ms if last_activity_at_ms is None else last_activity_at_ms
        self.records[thread_id] = ThreadRecord(thread_id, created_at_ms, activity, **fields)

    def predict_calls(self, *, lists_threads: bool) -> int:
        return self.own_calls + (self.list_calls if lists_threads else 0)

    async def get_records(self, keys: Sequence[ThreadKey]) -> Results[ThreadRecord | None]:
        self.calls.append(("get_records", list(keys)))
        if not self.keeps_records:
            return [None] * len(keys)
        return [LEDGER_AWAY if self.is_away else self.records.get(key.thread_id) for key in keys]

    async def list_records(
        self, conditions: RecordFilter, order: RecordOrder, window: RecordWindow
    ) -> KeysetPage[ThreadRecord]:
        self._begin("list_records", (conditions, order, window), "The list of threads")
        found = [record for record in self.records.values() if self._meets(record, conditions)]
        return cut_page(found, lambda record: record_position(record, order), window, newest_first=True)

    async def list_waiting_runs(self, window: WaitingRunWindow) -> KeysetPage[WaitingRun]:
        self._begin("list_waiting_runs", window, "The list of waiting runs")
        return cut_page(self.waiting, lambda one: WaitingRunPosition(one.since_ms, *one.key), window)

    async def get_usage(self, since_ms: int | None, until_ms: int | None) -> TokenUsage:
        self._begin("get_usage", (since_ms, until_ms), "Usage")
        return add_up(
            tokens
            for ended_at, tokens in self.ended
            if (since_ms is None or ended_at >= since_ms) and (until_ms is None or ended_at < until_ms)
        )

    async def get_rate_limit(self) -> RateLimitState | None:
        self.calls.append(("get_rate_limit", None))
        return self.limits

    async def update_record(self, key: ThreadKey, update: RecordUpdate, *, is_part: bool = False) -> ThreadRecord:
        self._begin("update_record", (key, update), "A title")
        if key.thread_id not in self.records:
            raise GatewayError(ErrorCode.NOT_FOUND, f"No thread found with id '{key.thread_id}'.")
        changes = {name: value for name, value in update._asdict().items() if value is not UNSET}
        record = self.records[key.thread_id] = msgspec.structs.replace(self.records[key.thread_id], **changes)
        return record

    async def follow(self, *, after: str | None = None) -> EventFeed:
        self._begin("follow", after, "The events of the list")
        return await self.events.follow_thread(ThreadKey("viewer"), after=after)

    def wait(self, key: RunKey, since_ms: int) -> None:
        """Let a run wait."""
        self.waiting.append(WaitingRun(key, since_ms))

    def called(self, name: str) -> list[Any]:
        """Return the arguments of the calls of one function."""
        return [argument for called, argument in self.calls if called == name]

    def _begin(self, name: str, argument: Any, feature: str) -> None:
        self.calls.append((name, argument))
        if not self.keeps_records:
            raise unsupported_without_ledger(feature)
        if self.is_away:
            raise LEDGER_AWAY

    def _meets(self, record: ThreadRecord, conditions: RecordFilter) -> bool:
        thread_id, text = record.thread_id, conditions.text
        searched = " ".join([record.title or "", *self.texts.get(thread_id, [])]).lower().split()
        return (
            conditions.is_archived in {None, record.is_archived}
            and (text is None or set(text.lower().split()) <= set(searched))
            and (conditions.assistant_id is None or conditions.assistant_id in self.assistants.get(thread_id, set()))
            and (conditions.active_since_ms is None or record.last_activity_at_ms >= conditions.active_since_ms)
        )


def record_position(record: ThreadRecord, order: RecordOrder) -> RecordPosition:
    """Return the position of a record in a list of an order."""
    time_ms = record.created_at_ms if order is RecordOrder.CREATED else record.last_activity_at_ms
    return RecordPosition(time_ms, record.thread_id)


def cut_page(
    items: Iterable[ItemT], to_position: Any, window: KeysetWindow[PositionT], *, newest_first: bool = False
) -> KeysetPage[ItemT]:
    """Sort all items by their positions, and cut the window out of them."""
    ordered = sorted(items, key=to_position, reverse=newest_first)
    at = window.position
    if at is not None:
        is_after = [(to_position(item) < at) if newest_first else (to_position(item) > at) for item in ordered]
        is_before = [(to_position(item) > at) if newest_first else (to_position(item) < at) for item in ordered]
        chosen = is_before if window.backwards else is_after
        ordered = [item for item, is_chosen in zip(ordered, chosen, strict=True) if is_chosen]
    cut = ordered[-window.limit :] if window.backwards else ordered[: window.limit]
    return KeysetPage(cut, has_more=len(ordered) > len(cut))


def add_up(tokens: Iterable[TokenUsage]) -> TokenUsage:
    """Add sums of tokens. A part that none of them has is None."""
    many = list(tokens)
    cached = [one.cached_tokens for one in many if one.cached_tokens is not None]
    reasoning = [one.reasoning_tokens for one in many if one.reasoning_tokens is not None]
    return TokenUsage(
        sum(one.prompt_tokens for one in many),
        sum(one.completion_tokens for one in many),
        sum(one.total_tokens for one in many),
        sum(cached) if cached else None,
        sum(reasoning) if reasoning else None,
    )
