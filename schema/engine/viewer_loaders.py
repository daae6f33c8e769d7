"""The loaders of what the gateway keeps for a viewer: records, lists, usage and limits. No load is an upstream call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from schema.contract.errors import ErrorCode, GatewayError, RecordsUnavailableError
from schema.contract.keys import ThreadKey
from schema.contract.ports import Results
from schema.contract.thread_records import (
    KeysetPage,
    RecordFilter,
    RecordOrder,
    RecordWindow,
    ThreadRecord,
    TokenUsage,
    WaitingRun,
    WaitingRunWindow,
)
from schema.contract.viewer import RateLimitState, ViewerApi
from schema.engine.batches import BatchRunner, Fetch
from schema.engine.loaders import PortLoader

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


MAX_READS = 20
"""The most lists and sums of one operation. They are no upstream calls, so no budget of calls holds them."""


class RecordPageKey(NamedTuple):
    """A page of a list of records."""

    conditions: RecordFilter
    order: RecordOrder
    window: RecordWindow


class WaitingRunPageKey(NamedTuple):
    """A page of the list of waiting runs."""

    window: WaitingRunWindow


class UsageKey(NamedTuple):
    """A span of time, for the sum of the tokens used in it."""

    since_ms: int | None
    until_ms: int | None


class ViewerLoaders:
    """The loaders over the port of one viewer, for one operation. Each is made on first use."""

    def __init__(self, api: ViewerApi, batches: BatchRunner) -> None:
        self.api = api
        self._batches = batches
        self._reads_left = MAX_READS

    @cached_property
    def records(self) -> PortLoader[ThreadKey, ThreadRecord | None]:
        """The loader of records. It loads those of many threads in one batch."""
        return PortLoader(_marking(self.api.get_records), self._batches)

    @cached_property
    def record_pages(self) -> PortLoader[RecordPageKey, KeysetPage[ThreadRecord]]:
        """The loader of lists of records."""
        return PortLoader(_one_by_one(self._counted(self.api.list_records)), self._batches)

    @cached_property
    def waiting_run_pages(self) -> PortLoader[WaitingRunPageKey, KeysetPage[WaitingRun]]:
        """The loader of lists of waiting runs."""
        return PortLoader(_one_by_one(self._counted(self.api.list_waiting_runs)), self._batches)

    @cached_property
    def usage(self) -> PortLoader[UsageKey, TokenUsage]:
        """The loader of sums of used tokens."""
        return PortLoader(_one_by_one(self._counted(self.api.get_usage)), self._batches)

    @cached_property
    def rate_limits(self) -> PortLoader[tuple[()], RateLimitState | None]:
        """The loader of the limits. There is one state of them, so its key is empty."""
        return PortLoader(_one_by_one(lambda _: self.api.get_rate_limit()), self._batches)

    def _counted(self, read: Callable[..., Awaitable[ValueT]]) -> Callable[[tuple[Any, ...]], Awaitable[ValueT]]:
        async def read_key(key: tuple[Any, ...]) -> ValueT:
            self._reads_left -= 1
            if self._reads_left < 0:
                expected = (
                    f"Expected at most {MAX_READS} different lists and sums of the viewer in one operation, got more."
                )
                raise GatewayError(ErrorCode.TOO_EXPENSIVE, expected)
            return await read(*key)

        return read_key

    def make_fresh(self) -> ViewerLoaders:
        """Make loaders that hold no values."""
        return ViewerLoaders(self.api, self._batches)


def _one_by_one(read: Callable[[KeyT], Awaitable[ValueT]]) -> Fetch[KeyT, ValueT]:
    """Make the fetch function that reads each key of a batch by itself, all at the same time."""

    async def fetch(keys: Sequence[KeyT]) -> Results[ValueT]:
        results: list[Any] = await asyncio.gather(*map(read, keys), return_exceptions=True)
        return results

    return _marking(fetch)


def _marking(fetch: Fetch[KeyT, ValueT]) -> Fetch[KeyT, ValueT]:
    """Make the fetch function that marks the errors of a database that does not answer."""

    async def fetch_marked(keys: Sequence[KeyT]) -> Results[ValueT]:
        try:
            return [_mark(result) for result in await fetch(keys)]
        except GatewayError as error:
            return [_mark(error)] * len(keys)

    return fetch_marked


def _mark(result: ValueT | GatewayError) -> ValueT | GatewayError:
    if not isinstance(result, GatewayError) or result.code is not ErrorCode.LEDGER_UNAVAILABLE:
        return result
    return RecordsUnavailableError(
        result.code, result.message, retryable=result.retryable, retry_after_ms=result.retry_after_ms
    )
