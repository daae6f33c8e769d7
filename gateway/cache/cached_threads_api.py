"""The port over the cache: results of the inner port, stored and shared within one scope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gateway.cache import tags
from gateway.cache.read_through import ReadThrough
from gateway.cache.response_cache import ObjectScopes, RecordedReads
from gateway.cache.shared_cache import SharedCache
from schema.contract.cost import Cost
from schema.contract.encoded_json import EncodedJson
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import AnyKind, Kind, NodeKeyT, ObjectT, PageKeyT
from schema.contract.ports import Capabilities, OnResult, ResponseKey, Results, ThreadsApi
from schema.contract.wire import Page
from schema.contract.writes import BodyT, ResultT, Write, WriteKeyT


class OperationResponses:
    """The response cache as one operation sees it. `caller` names those who may see the same responses."""

    def __init__(self, shared: SharedCache, caller: str, cost: Cost) -> None:
        self._shared = shared
        self._caller = caller
        self._cost = cost

    def find_object_scopes(self, response_key: ResponseKey) -> ObjectScopes | None:
        """Return the scopes of all threads and files that a stored response named, or None if there is no response."""
        response = self._shared.responses.get_response(self._caller, response_key)
        return None if response is None else response.object_scopes

    async def find_data(self, response_key: ResponseKey) -> EncodedJson | None:
        """Return the data of a response that is still valid, and count its reads as cache hits."""
        shared, caller = self._shared, self._caller
        if not shared.options.enabled or shared.is_refused(caller):
            return None
        response = await shared.responses.find_response(caller, response_key, shared.redis_deadline())
        if response is None:
            return None
        self._cost.cache_hits += response.read_count
        return response.data

    def store_data(
        self,
        response_key: ResponseKey,
        data: EncodedJson,
        recorded: Sequence[RecordedReads],
        object_scopes: ObjectScopes | None = None,
    ) -> None:
        """Store the data of the operation, with its reads in each scope."""
        if self._shared.options.enabled:
            self._shared.responses.store_response(self._caller, response_key, data, recorded, object_scopes)


class CachedThreadsApi:
    """The cached `ThreadsApi` of one operation in one scope, over an inner one of the same caller.

    `scope` is in every key, tag and shared call: the caller, or the owner of what is read. A read that begins after a
    write through any gateway has ended sees that write. A change made directly at the upstream is seen when the
    lifetime of the stored value is over (`policy`). The calls that the cache saved are counted in the inner port's
    `cost`. `on_write` is called with the run and the thread of each write, even if the write failed.
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
        self._responses = OperationResponses(shared, scope, inner.cost)
        self._on_write = on_write

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def cost(self) -> Cost:
        return self._inner.cost

    @property
    def recorded(self) -> RecordedReads:
        """The reads through this port so far."""
        return self._read_through.recorded

    async def find_response(self, response_key: ResponseKey) -> EncodedJson | None:
        return await self._responses.find_data(response_key)

    def store_response(self, response_key: ResponseKey, data: EncodedJson) -> None:
        self._responses.store_data(response_key, data, [self.recorded])

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        fetch = partial(self._inner.get, kind)
        self._record_batch(kind, keys)
        return await (self._read_through.read(keys, fetch) if self._shared.options.enabled else fetch(keys))

    async def list(
        self,
        kind: Kind[Any, ObjectT, PageKeyT],
        keys: Sequence[PageKeyT],
        *,
        on_result: OnResult[PageKeyT, Page[ObjectT]] | None = None,
    ) -> Results[Page[ObjectT]]:
        fetch = partial(self._inner.list, kind)
        self._record_batch(kind, keys)
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

    def _record_batch(self, kind: AnyKind, keys: Sequence[Any]) -> None:
        if self._shared.metrics is not None:
            self._shared.metrics.record_batch(kind.name, len(keys))
