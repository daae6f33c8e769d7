"""The port over the cache: results of the inner port, stored and shared for one principal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gateway.cache import tags
from gateway.cache.read_through import ReadThrough
from gateway.cache.shared_cache import SharedCache
from schema.contract.cost import Cost
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import Kind, NodeKeyT, ObjectT, PageKeyT
from schema.contract.ports import Capabilities, OnResult, ResponseKey, Results, ThreadsApi
from schema.contract.wire import Page
from schema.contract.writes import BodyT, ResultT, Write, WriteKeyT


class CachedThreadsApi:
    """The cached `ThreadsApi` of one principal for one operation, over an inner one of the same principal.

    `scope` names the principal in every key, tag and shared call. A read that begins after a write through any
    gateway has ended sees that write. A change made directly at the upstream is seen when the lifetime of the stored
    value is over (`policy`). The calls that the cache saved are counted in the inner port's `cost`. `on_write` is
    called with the run and the thread of each write, even if the write failed.
    """

    def __init__(
        self,
        inner: ThreadsApi,
        shared: SharedCache,
        scope: str,
        on_write: Callable[[RunKey | ThreadKey], None] = lambda _: None,
    ) -> None:
        self._inner = inner
        self._shared = shared
        self._scope = scope
        self._read_through = ReadThrough(shared, scope, inner.cost)
        self._on_write = on_write

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def cost(self) -> Cost:
        return self._inner.cost

    async def find_response(self, response_key: ResponseKey) -> bytes | None:
        shared, scope = self._shared, self._scope
        if not shared.options.enabled or shared.is_refused(scope):
            return None
        response = await shared.responses.find_response(scope, response_key, shared.redis_deadline())
        if response is None:
            return None
        self.cost.cache_hits += len(response.reads)
        return response.data

    def store_response(self, response_key: ResponseKey, data: bytes) -> None:
        if self._shared.options.enabled:
            self._shared.responses.store_response(self._scope, response_key, data, self._read_through.recorded)

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        fetch = partial(self._inner.get, kind)
        return await (self._read_through.read(keys, fetch) if self._shared.options.enabled else fetch(keys))

    async def list(
        self,
        kind: Kind[Any, ObjectT, PageKeyT],
        keys: Sequence[PageKeyT],
        *,
        on_result: OnResult[PageKeyT, Page[ObjectT]] | None = None,
    ) -> Results[Page[ObjectT]]:
        fetch = partial(self._inner.list, kind)
        if not self._shared.options.enabled:
            return await fetch(keys, on_result=on_result)
        return await self._read_through.read(keys, fetch, on_result)

    async def write(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        """Send a write, and invalidate tags in all processes around it: also if it fails, or its outcome is unknown."""
        changed, store = tags.changed_by(operation, key, body), self._shared.store
        if changed:
            await store.begin_write(self._scope, changed)
        try:
            result = await self._inner.write(operation, key, body)
            changed += tags.created_by(operation, result)
            return result
        finally:
            if changed:
                await store.end_write(self._scope, changed)
            if isinstance(key, RunKey):
                self._on_write(key)
            if (thread_id := getattr(key, "thread_id", None)) is not None:
                self._on_write(ThreadKey(thread_id))
