"""The viewer of one operation of a gateway that keeps no records: it has an identity and limits, and no list."""

# ruff: noqa: ARG002 - the arguments of a protocol

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from schema.contract.keys import ThreadKey
from schema.contract.ports import EventFeed, Results
from schema.contract.thread_records import (
    KeysetPage,
    RecordFilter,
    RecordOrder,
    RecordUpdate,
    RecordWindow,
    ThreadRecord,
    TokenUsage,
    WaitingRun,
    WaitingRunWindow,
)
from schema.contract.viewer import RateLimitState, ViewerIdentity, unsupported_without_ledger


class RecordlessViewer:
    """The `ViewerApi` without a database."""

    keeps_records = False

    def __init__(
        self,
        get_identity: Callable[[], ViewerIdentity],
        *,
        get_rate_limit: Callable[[], Awaitable[RateLimitState | None]],
    ) -> None:
        self._get_identity = get_identity
        self._get_rate_limit = get_rate_limit

    @property
    def identity(self) -> ViewerIdentity:
        return self._get_identity()

    def predict_calls(self, *, lists_threads: bool) -> int:
        return 0

    async def get_records(self, keys: Sequence[ThreadKey]) -> Results[ThreadRecord | None]:
        return [None] * len(keys)

    async def list_records(
        self, conditions: RecordFilter, order: RecordOrder, window: RecordWindow
    ) -> KeysetPage[ThreadRecord]:
        raise unsupported_without_ledger("The list of threads")

    async def list_waiting_runs(self, window: WaitingRunWindow) -> KeysetPage[WaitingRun]:
        raise unsupported_without_ledger("The list of waiting runs")

    async def get_usage(self, since_ms: int | None, until_ms: int | None) -> TokenUsage:
        raise unsupported_without_ledger("The sum of used tokens")

    async def get_rate_limit(self) -> RateLimitState | None:
        return await self._get_rate_limit()

    async def update_record(self, key: ThreadKey, update: RecordUpdate, *, is_part: bool = False) -> ThreadRecord:
        raise unsupported_without_ledger("The title and the archiving of a thread")

    async def follow(self, *, after: str | None = None) -> EventFeed:
        raise unsupported_without_ledger("The feed of the list of threads")
