"""The port of a poller, whose calls count among those of the caller who follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from gateway.rate_limits.reservation import Reservation
from schema.contract.cost import Cost
from schema.contract.keys import RunKey
from schema.contract.kinds import Kind, NodeKeyT, ObjectT, PageKeyT
from schema.contract.ports import Capabilities, OnResult, Results, RunReplay, ThreadsApi
from schema.contract.rate_limits import RateLimitedError
from schema.contract.run_streams import RunStream
from schema.contract.wire import Page
from schema.contract.writes import BodyT, ResultT, Write, WriteKeyT

ValueT = TypeVar("ValueT")


class MeteredThreadsApi:
    """The port `inner`, whose reads are refused once the caller has too few calls left.

    `reserve` begins to count one read, or several at the same time: since they share one cost, what they did not send
    is given back when the last of them has ended.
    """

    def __init__(self, inner: ThreadsApi, reserve: Callable[[], Reservation | None]) -> None:
        self._inner = inner
        self._reserve = reserve
        self._reservation: Reservation | None = None
        self._in_flight = 0
        self._counted_calls = 0

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def cost(self) -> Cost:
        return self._inner.cost

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        return await self._read(len(set(keys)), len(keys), lambda: self._inner.get(kind, keys))

    async def list(
        self,
        kind: Kind[Any, ObjectT, PageKeyT],
        keys: Sequence[PageKeyT],
        *,
        on_result: OnResult[PageKeyT, Page[ObjectT]] | None = None,
    ) -> Results[Page[ObjectT]]:
        return await self._read(len(set(keys)), len(keys), lambda: self._inner.list(kind, keys, on_result=on_result))

    async def write(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        return await self._inner.write(operation, key, body)

    async def _read(
        self, calls: int, result_count: int, read: Callable[[], Awaitable[Results[ValueT]]]
    ) -> Results[ValueT]:
        reservation = self._reservation = self._reservation or self._reserve()
        if reservation is None:
            return await read()
        self._in_flight += 1
        try:
            await reservation.admit(calls=calls)
            return await read()
        except RateLimitedError as refused:
            return [refused] * result_count
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._reservation = None
                counted, self._counted_calls = self._counted_calls, self.cost.upstream_calls
                await reservation.end(Cost(upstream_calls=self._counted_calls - counted))


class MeteredReplayApi(MeteredThreadsApi):
    """The port `inner`, whose streams count as one call each, however long they are read."""

    async def open_stream(self, key: RunKey, after: str | None) -> RunStream | None:
        if not isinstance(self._inner, RunReplay):
            return None
        reservation = self._reserve()
        if reservation is None:
            return await self._inner.open_stream(key, after)
        sent = Cost()
        try:
            await reservation.admit(calls=1)
            sent.start_call()
            return await self._inner.open_stream(key, after)
        finally:
            await reservation.end(sent)
