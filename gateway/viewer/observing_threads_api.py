"""The port that observes what passes: the results of reads and writes are seen for the records of their owner."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from gateway.ledger.sightings import RecordOwner
from gateway.viewer.record_keeper import RecordKeeper
from gateway.viewer.seen_objects import seen_in_write
from schema.contract.cost import Cost
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import (
    MESSAGES,
    RUNS,
    THREADS,
    AnyKind,
    Kind,
    NodeKeyT,
    ObjectT,
    PageKeyT,
)
from schema.contract.ports import Capabilities, OnResult, Results, ThreadsApi
from schema.contract.wire import Page
from schema.contract.writes import DELETE_MESSAGE, DELETE_THREAD, AnyWrite, BodyT, ResultT, Write, WriteKeyT

_DELETIONS: frozenset[AnyWrite] = frozenset({DELETE_MESSAGE, DELETE_THREAD})

OBSERVED_KINDS: frozenset[AnyKind] = frozenset({THREADS, MESSAGES, RUNS})


class ObservingThreadsApi:
    """The port `inner`, whose objects belong to `owner`. Nothing waits for a record, but a deletion, which needs it."""

    def __init__(
        self,
        inner: ThreadsApi,
        keeper: RecordKeeper,
        owner: RecordOwner,
        *,
        unix_seconds: Callable[[], float] = time.time,
    ) -> None:
        self._inner = inner
        self._keeper = keeper
        self._owner = owner
        self._unix_seconds = unix_seconds

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def cost(self) -> Cost:
        return self._inner.cost

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        began_ms = self._now_ms()
        results = await self._inner.get(kind, keys)
        self._observe(kind, keys, results, began_ms)
        return results

    async def list(
        self,
        kind: Kind[Any, ObjectT, PageKeyT],
        keys: Sequence[PageKeyT],
        *,
        on_result: OnResult[PageKeyT, Page[ObjectT]] | None = None,
    ) -> Results[Page[ObjectT]]:
        began_ms = self._now_ms()
        results = await self._inner.list(kind, keys, on_result=on_result)
        self._observe(kind, keys, results, began_ms)
        return results

    async def write(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        if operation in _DELETIONS:
            return await self._delete(operation, key, body)
        result = await self._inner.write(operation, key, body)
        if result is not None:
            self._keeper.observe(self._owner, seen_in_write(self._owner, key, body, result, self._now_ms()))
        return result

    async def _delete(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        """Delete what the ledger has marked, so that it is found no more even if this process ends meanwhile."""
        deleted: Any = key
        is_marked = await self._keeper.begin_removal(self._owner, deleted)
        try:
            result = await self._inner.write(operation, key, body)
        except GatewayError as error:
            if is_marked:
                await self._keeper.record_not_removed(deleted)
            if error.code is ErrorCode.NOT_FOUND:
                self._keeper.missing.observe_not_found(self._owner, key)
            raise
        await self._keeper.record_removed(self._owner, deleted)
        return result

    def _observe(self, kind: AnyKind, keys: Sequence[Any], results: Sequence[object], began_ms: int) -> None:
        """Observe the results of a read. They are at least as new as its beginning."""
        if kind not in OBSERVED_KINDS:
            return
        for key, result in zip(keys, results, strict=True):
            if not isinstance(result, GatewayError):
                self._keeper.observe_read(self._owner, key, result, began_ms)
                self._keeper.missing.observe_page(self._owner, key, result, began_ms)
            elif result.code is ErrorCode.NOT_FOUND:
                self._keeper.missing.observe_not_found(self._owner, key)

    def _now_ms(self) -> int:
        return int(self._unix_seconds() * 1000)
