"""The ports of an operation whose callers may still name threads by their ids of before a move to another upstream.

They stand before all others: nothing below them sees an old id. What a caller reads by an old id keeps it, so that a
node, its pages and their cursors go on under the id that the caller knows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from gateway.ledger.stored_ownership import unavailable_error
from gateway.ledger.thread_aliases import ThreadAliases
from schema.contract.cost import Cost
from schema.contract.encoded_json import EncodedJson
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import Kind, NodeKeyT, ObjectT, PageKeyT
from schema.contract.ports import (
    Capabilities,
    EventFeed,
    FileCitations,
    OnResult,
    ResponseCache,
    ResponseKey,
    Results,
    RunEvents,
    ThreadsApi,
)
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
from schema.contract.viewer import RateLimitState, ViewerApi, ViewerIdentity
from schema.contract.wire import Page
from schema.contract.writes import BodyT, ResultT, Write, WriteKeyT

AnyKeyT = TypeVar("AnyKeyT", bound=Any)
"""A key with a `thread_id`."""


class _ResolvedKeys:
    """Keys with the present ids of their threads, each of them once, and the way back to the keys of before."""

    def __init__(self, keys: Sequence[Any], present_ids: Mapping[str, str]) -> None:
        self._new_keys = {key: _with_thread(key, present_ids) for key in keys}
        self._old_keys: dict[Any, list[Any]] = {}
        for key, new_key in self._new_keys.items():
            self._old_keys.setdefault(new_key, []).append(key)
        self._present_ids = present_ids

    @property
    def new_keys(self) -> Sequence[Any]:
        return list(self._old_keys)

    def report_to(self, on_result: OnResult[Any, Any] | None) -> OnResult[Any, Any] | None:
        if on_result is None:
            return None

        def report(new_key: Any, result: Any) -> None:
            for key in self._old_keys[new_key]:
                on_result(key, self._check(key, result))

        return report

    def to_results(self, keys: Sequence[Any], results: Sequence[Any]) -> Sequence[Any]:
        by_key = dict(zip(self._old_keys, results, strict=True))
        return [self._check(key, by_key[self._new_keys[key]]) for key in keys]

    def _check(self, key: Any, result: Any) -> Any:
        return _honest_error(result, key, self._present_ids) if isinstance(result, GatewayError) else result


class AliasedThreadsApi:
    """The `ThreadsApi` of one operation over that of its principal."""

    def __init__(self, inner: ThreadsApi, aliases: ThreadAliases) -> None:
        self._inner = inner
        self._aliases = aliases

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def cost(self) -> Cost:
        return self._inner.cost

    async def find_response(self, response_key: ResponseKey) -> EncodedJson | None:
        """Find a response. An old id stands for the same thread for ever, so that of an old id is as valid as any."""
        inner = self._inner
        return await inner.find_response(response_key) if isinstance(inner, ResponseCache) else None

    def store_response(self, response_key: ResponseKey, data: EncodedJson) -> None:
        if isinstance(self._inner, ResponseCache):
            self._inner.store_response(response_key, data)

    def record_cited(self, file_ids: Iterable[str]) -> None:
        if isinstance(self._inner, FileCitations):
            self._inner.record_cited(file_ids)

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        resolved = await self._resolve(keys)
        if resolved is None:
            return await self._inner.get(kind, keys)
        return resolved.to_results(keys, await self._inner.get(kind, resolved.new_keys))

    async def list(
        self,
        kind: Kind[Any, ObjectT, PageKeyT],
        keys: Sequence[PageKeyT],
        *,
        on_result: OnResult[PageKeyT, Page[ObjectT]] | None = None,
    ) -> Results[Page[ObjectT]]:
        resolved = await self._resolve(keys)
        if resolved is None:
            return await self._inner.list(kind, keys, on_result=on_result)
        report = resolved.report_to(on_result)
        return resolved.to_results(keys, await self._inner.list(kind, resolved.new_keys, on_result=report))

    async def write(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        resolved = None if key is None else await self._resolve((key,))
        if resolved is None:
            return await self._inner.write(operation, key, body)
        (new_key,) = resolved.new_keys
        try:
            return await self._inner.write(operation, new_key, body)
        except GatewayError as error:
            (shown,) = resolved.to_results((key,), (error,))
            if shown is error:
                raise
            raise shown from None

    async def _resolve(self, keys: Sequence[Any]) -> _ResolvedKeys | None:
        """Replace old ids in keys. None if there are none, or if keys are not of threads."""
        if self._aliases.has_none or not keys or not hasattr(keys[0], "thread_id"):
            return None
        thread_ids = {key.thread_id for key in keys}
        present_ids = await self._aliases.resolve(thread_ids)
        if all(present_ids.get(thread_id) == thread_id for thread_id in thread_ids):
            return None
        return _ResolvedKeys(keys, present_ids)


class AliasedRunEvents:
    """The `RunEvents` of one operation over those of its principal."""

    def __init__(self, inner: RunEvents, aliases: ThreadAliases) -> None:
        self._inner = inner
        self._aliases = aliases

    async def follow_status(self, key: RunKey, *, after: str | None = None) -> EventFeed:
        return await self._follow(self._inner.follow_status, key, after)

    async def follow_run(self, key: RunKey, *, after: str | None = None) -> EventFeed:
        return await self._follow(self._inner.follow_run, key, after)

    async def follow_thread(self, key: ThreadKey, *, after: str | None = None) -> EventFeed:
        return await self._follow(self._inner.follow_thread, key, after)

    async def _follow(self, follow: Callable[..., Awaitable[EventFeed]], key: AnyKeyT, after: str | None) -> EventFeed:
        present_ids = await self._aliases.resolve((key.thread_id,))
        try:
            return await follow(_with_thread(key, present_ids), after=after)
        except GatewayError as error:
            if (shown := _honest_error(error, key, present_ids)) is error:
                raise
            raise shown from None


class AliasedViewer:
    """The `ViewerApi` of one operation over that of its principal."""

    def __init__(self, inner: ViewerApi, aliases: ThreadAliases) -> None:
        self._inner = inner
        self._aliases = aliases

    @property
    def identity(self) -> ViewerIdentity:
        return self._inner.identity

    @property
    def keeps_records(self) -> bool:
        return self._inner.keeps_records

    def predict_calls(self, *, lists_threads: bool) -> int:
        return self._inner.predict_calls(lists_threads=lists_threads)

    async def get_records(self, keys: Sequence[ThreadKey]) -> Results[ThreadRecord | None]:
        present_ids = await self._aliases.resolve({key.thread_id for key in keys})
        return await self._inner.get_records([_with_thread(key, present_ids) for key in keys])

    async def list_records(
        self, conditions: RecordFilter, order: RecordOrder, window: RecordWindow
    ) -> KeysetPage[ThreadRecord]:
        return await self._inner.list_records(conditions, order, window)

    async def list_waiting_runs(self, window: WaitingRunWindow) -> KeysetPage[WaitingRun]:
        return await self._inner.list_waiting_runs(window)

    async def get_usage(self, since_ms: int | None, until_ms: int | None) -> TokenUsage:
        return await self._inner.get_usage(since_ms, until_ms)

    async def get_rate_limit(self) -> RateLimitState | None:
        return await self._inner.get_rate_limit()

    async def update_record(self, key: ThreadKey, update: RecordUpdate, *, is_part: bool = False) -> ThreadRecord:
        present_ids = await self._aliases.resolve((key.thread_id,))
        return await self._inner.update_record(_with_thread(key, present_ids), update, is_part=is_part)

    async def follow(self, *, after: str | None = None) -> EventFeed:
        return await self._inner.follow(after=after)


def _honest_error(error: GatewayError, key: Any, present_ids: Mapping[str, str]) -> GatewayError:
    """Never say that a thread is not there as long as nobody knows which one is meant."""
    is_known = key.thread_id in present_ids
    return error if is_known or error.code is not ErrorCode.NOT_FOUND else unavailable_error()


def _with_thread(key: AnyKeyT, present_ids: Mapping[str, str]) -> AnyKeyT:
    present_id = present_ids.get(key.thread_id, key.thread_id)
    if present_id == key.thread_id:
        return key
    replaced: AnyKeyT = key._replace(thread_id=present_id)
    return replaced
