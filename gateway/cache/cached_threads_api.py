"""The port over the cache: results of the inner port, stored and shared for one principal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from gateway.cache import tags
from gateway.cache.read_through import ReadThrough
from gateway.cache.response_cache import ResponseRecorder
from gateway.cache.result_storer import ResultStorer
from gateway.cache.shared_cache import SharedCache
from gateway.cache.tags import Tags
from schema.contract.bodies import (
    AssistantBody,
    AssistantUpdateBody,
    MessageBody,
    MetadataUpdateBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
    ThreadUpdateBody,
    ToolOutputsBody,
)
from schema.contract.cost import Cost
from schema.contract.errors import GatewayError
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.ports import (
    AssistantPageKey,
    Capabilities,
    FetchPages,
    MessageFilePageKey,
    MessagePageKey,
    OnResult,
    ResponseKey,
    Results,
    RunPageKey,
    RunStepPageKey,
    ThreadsApi,
)
from schema.contract.wire import (
    AssistantObject,
    MessageFileObject,
    MessageObject,
    Page,
    RunObject,
    RunStepObject,
    ThreadObject,
)

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


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
        storer = ResultStorer(shared, scope)
        self._read_through = ReadThrough(shared, storer, scope, inner.cost)
        self._recorder = ResponseRecorder(shared, storer, scope, inner.cost)
        self._on_write = on_write

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def cost(self) -> Cost:
        return self._inner.cost

    async def find_response(self, response_key: ResponseKey) -> bytes | None:
        return await self._recorder.find_response(response_key) if self._shared.options.enabled else None

    def store_response(self, response_key: ResponseKey, data: bytes) -> None:
        if self._shared.options.enabled:
            self._recorder.store_response(response_key, data)

    async def get_threads(self, keys: Sequence[ThreadKey]) -> Results[ThreadObject]:
        return await self._read(keys, self._inner.get_threads)

    async def get_messages(self, keys: Sequence[MessageKey]) -> Results[MessageObject]:
        return await self._read(keys, self._inner.get_messages)

    async def get_runs(self, keys: Sequence[RunKey]) -> Results[RunObject]:
        return await self._read(keys, self._inner.get_runs)

    async def get_run_steps(self, keys: Sequence[RunStepKey]) -> Results[RunStepObject]:
        return await self._read(keys, self._inner.get_run_steps)

    async def get_assistants(self, keys: Sequence[AssistantKey]) -> Results[AssistantObject]:
        return await self._read(keys, self._inner.get_assistants)

    async def get_message_files(self, keys: Sequence[MessageFileKey]) -> Results[MessageFileObject]:
        return await self._read(keys, self._inner.get_message_files)

    async def list_messages(
        self, keys: Sequence[MessagePageKey], *, on_result: OnResult[MessagePageKey, Page[MessageObject]] | None = None
    ) -> Results[Page[MessageObject]]:
        return await self._list(keys, self._inner.list_messages, on_result)

    async def list_runs(
        self, keys: Sequence[RunPageKey], *, on_result: OnResult[RunPageKey, Page[RunObject]] | None = None
    ) -> Results[Page[RunObject]]:
        return await self._list(keys, self._inner.list_runs, on_result)

    async def list_run_steps(
        self, keys: Sequence[RunStepPageKey], *, on_result: OnResult[RunStepPageKey, Page[RunStepObject]] | None = None
    ) -> Results[Page[RunStepObject]]:
        return await self._list(keys, self._inner.list_run_steps, on_result)

    async def list_assistants(
        self,
        keys: Sequence[AssistantPageKey],
        *,
        on_result: OnResult[AssistantPageKey, Page[AssistantObject]] | None = None,
    ) -> Results[Page[AssistantObject]]:
        return await self._list(keys, self._inner.list_assistants, on_result)

    async def list_message_files(
        self,
        keys: Sequence[MessageFilePageKey],
        *,
        on_result: OnResult[MessageFilePageKey, Page[MessageFileObject]] | None = None,
    ) -> Results[Page[MessageFileObject]]:
        return await self._list(keys, self._inner.list_message_files, on_result)

    async def create_thread(self, body: ThreadBody) -> ThreadObject:
        created = await self._inner.create_thread(body)
        await self._shared.store.end_write(self._scope, tags.thread_created(created.id))
        return created

    async def update_thread(self, key: ThreadKey, body: ThreadUpdateBody) -> ThreadObject:
        async with self._invalidate_around(tags.thread_updated(key), key):
            return await self._inner.update_thread(key, body)

    async def delete_thread(self, key: ThreadKey) -> None:
        async with self._invalidate_around(tags.thread_deleted(key), key):
            await self._inner.delete_thread(key)

    async def create_message(self, thread: ThreadKey, body: MessageBody) -> MessageObject:
        async with self._invalidate_around(tags.message_created(thread), thread):
            return await self._inner.create_message(thread, body)

    async def update_message(self, key: MessageKey, body: MetadataUpdateBody) -> MessageObject:
        async with self._invalidate_around(tags.message_changed(key), ThreadKey(key.thread_id)):
            return await self._inner.update_message(key, body)

    async def delete_message(self, key: MessageKey) -> None:
        async with self._invalidate_around(tags.message_changed(key), ThreadKey(key.thread_id)):
            await self._inner.delete_message(key)

    async def create_run(self, thread: ThreadKey, body: RunBody) -> RunObject:
        async with self._invalidate_around(tags.run_created(thread, body), thread):
            return await self._inner.create_run(thread, body)

    async def create_thread_and_run(self, body: ThreadAndRunBody) -> RunObject:
        created = await self._inner.create_thread_and_run(body)
        if created.thread_id is not None:
            await self._shared.store.end_write(self._scope, tags.thread_created(created.thread_id))
        return created

    async def update_run(self, key: RunKey, body: MetadataUpdateBody) -> RunObject:
        async with self._invalidate_around(tags.run_updated(key), key):
            return await self._inner.update_run(key, body)

    async def cancel_run(self, key: RunKey) -> RunObject:
        async with self._invalidate_around(tags.run_progressed(key), key):
            return await self._inner.cancel_run(key)

    async def submit_tool_outputs(self, key: RunKey, body: ToolOutputsBody) -> RunObject:
        async with self._invalidate_around(tags.run_progressed(key), key):
            return await self._inner.submit_tool_outputs(key, body)

    async def create_assistant(self, body: AssistantBody) -> AssistantObject:
        async with self._invalidate_around(tags.assistant_created()):
            return await self._inner.create_assistant(body)

    async def update_assistant(self, key: AssistantKey, body: AssistantUpdateBody) -> AssistantObject:
        async with self._invalidate_around(tags.assistant_changed(key)):
            return await self._inner.update_assistant(key, body)

    async def delete_assistant(self, key: AssistantKey) -> None:
        async with self._invalidate_around(tags.assistant_changed(key)):
            await self._inner.delete_assistant(key)

    async def _read(
        self, keys: Sequence[KeyT], fetch: Callable[[Sequence[KeyT]], Awaitable[Results[ValueT]]]
    ) -> Results[ValueT]:
        if not self._shared.options.enabled:
            return await fetch(keys)
        return await self._read_recorded(keys, fetch)

    async def _list(
        self, keys: Sequence[KeyT], fetch: FetchPages[KeyT, ValueT], on_result: OnResult[KeyT, ValueT] | None
    ) -> Results[ValueT]:
        if not self._shared.options.enabled:
            return await fetch(keys, on_result=on_result)
        if on_result is None:
            return await self._read_recorded(keys, fetch)

        def record_and_forward(key: KeyT, result: ValueT | GatewayError) -> None:
            # The operation may end before the slowest list arrives, if it does not need that list.
            self._recorder.record_result(key, result)
            on_result(key, result)

        return await self._read_recorded(keys, fetch, record_and_forward)

    async def _read_recorded(
        self,
        keys: Sequence[KeyT],
        fetch: Callable[..., Awaitable[Results[ValueT]]],
        on_result: OnResult[KeyT, ValueT] | None = None,
    ) -> Results[ValueT]:
        self._recorder.record_start(keys)
        results = await self._read_through.read(keys, fetch, on_result)
        for key, result in zip(keys, results, strict=True):
            self._recorder.record_result(key, result)
        return results

    @asynccontextmanager
    async def _invalidate_around(self, changed: Tags, written: RunKey | ThreadKey | None = None) -> AsyncIterator[None]:
        """Invalidate tags in all processes around a write, also one that fails or whose outcome is unknown."""
        store = self._shared.store
        await store.begin_write(self._scope, changed)
        try:
            yield
        finally:
            await store.end_write(self._scope, changed)
            if isinstance(written, RunKey):
                self._on_write(written)
            if written is not None:
                self._on_write(ThreadKey(written.thread_id))
