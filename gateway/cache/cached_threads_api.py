"""The port, cached: what the inner port answers, kept and shared for one principal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from gateway.cache import tags
from gateway.cache.read_through import ReadThrough
from gateway.cache.response_cache import ResponseRecorder
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
    """The `ThreadsApi` of one principal for one operation, over an inner one of the same principal.

    `scope` names the principal in every key, tag, lease and shared call. A read that begins after a write through
    any gateway has ended sees that write; what changes behind the gateways' back is seen when the lifetime of what is
    kept is over (`policy`). What the cache saved is counted into the inner port's `cost`. `on_write` is told which run
    and which thread was written, whatever came of it.
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
        self._reader = ReadThrough(shared, scope, inner.cost)
        self._notes = ResponseRecorder(shared, scope, inner.cost)
        self._on_write = on_write

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def cost(self) -> Cost:
        return self._inner.cost

    async def find_response(self, question: ResponseKey) -> bytes | None:
        return await self._notes.find(question) if self._shared.options.enabled else None

    def store_response(self, question: ResponseKey, data: bytes) -> None:
        if self._shared.options.enabled:
            self._notes.keep(question, data)

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
        made = await self._inner.create_thread(body)
        await self._shared.store.end_write(self._scope, tags.thread_made(made.id))
        return made

    async def update_thread(self, key: ThreadKey, body: ThreadUpdateBody) -> ThreadObject:
        async with self._writing(tags.thread_updated(key), key):
            return await self._inner.update_thread(key, body)

    async def delete_thread(self, key: ThreadKey) -> None:
        async with self._writing(tags.thread_deleted(key), key):
            await self._inner.delete_thread(key)

    async def create_message(self, thread: ThreadKey, body: MessageBody) -> MessageObject:
        async with self._writing(tags.message_added(thread), thread):
            return await self._inner.create_message(thread, body)

    async def update_message(self, key: MessageKey, body: MetadataUpdateBody) -> MessageObject:
        async with self._writing(tags.message_changed(key), ThreadKey(key.thread_id)):
            return await self._inner.update_message(key, body)

    async def delete_message(self, key: MessageKey) -> None:
        async with self._writing(tags.message_changed(key), ThreadKey(key.thread_id)):
            await self._inner.delete_message(key)

    async def create_run(self, thread: ThreadKey, body: RunBody) -> RunObject:
        async with self._writing(tags.run_begun(thread, body), thread):
            return await self._inner.create_run(thread, body)

    async def create_thread_and_run(self, body: ThreadAndRunBody) -> RunObject:
        made = await self._inner.create_thread_and_run(body)
        if made.thread_id is not None:
            await self._shared.store.end_write(self._scope, tags.thread_made(made.thread_id))
        return made

    async def update_run(self, key: RunKey, body: MetadataUpdateBody) -> RunObject:
        async with self._writing(tags.run_updated(key), key):
            return await self._inner.update_run(key, body)

    async def cancel_run(self, key: RunKey) -> RunObject:
        async with self._writing(tags.run_moved_on(key), key):
            return await self._inner.cancel_run(key)

    async def submit_tool_outputs(self, key: RunKey, body: ToolOutputsBody) -> RunObject:
        async with self._writing(tags.run_moved_on(key), key):
            return await self._inner.submit_tool_outputs(key, body)

    async def create_assistant(self, body: AssistantBody) -> AssistantObject:
        async with self._writing(tags.assistant_made()):
            return await self._inner.create_assistant(body)

    async def update_assistant(self, key: AssistantKey, body: AssistantUpdateBody) -> AssistantObject:
        async with self._writing(tags.assistant_changed(key)):
            return await self._inner.update_assistant(key, body)

    async def delete_assistant(self, key: AssistantKey) -> None:
        async with self._writing(tags.assistant_changed(key)):
            await self._inner.delete_assistant(key)

    async def _read(
        self, keys: Sequence[KeyT], fetch: Callable[[Sequence[KeyT]], Awaitable[Results[ValueT]]]
    ) -> Results[ValueT]:
        if not self._shared.options.enabled:
            return await fetch(keys)
        return await self._read_and_note(keys, fetch)

    async def _list(
        self, keys: Sequence[KeyT], fetch: FetchPages[KeyT, ValueT], on_result: OnResult[KeyT, ValueT] | None
    ) -> Results[ValueT]:
        if not self._shared.options.enabled:
            return await fetch(keys, on_result=on_result)
        if on_result is None:
            return await self._read_and_note(keys, fetch)

        def note_and_land(key: KeyT, answer: ValueT | GatewayError) -> None:
            # The operation may be over before the slowest list is, since it knows what it wants to know.
            self._notes.note(key, answer)
            on_result(key, answer)

        return await self._read_and_note(keys, fetch, note_and_land)

    async def _read_and_note(
        self,
        keys: Sequence[KeyT],
        fetch: Callable[..., Awaitable[Results[ValueT]]],
        on_result: OnResult[KeyT, ValueT] | None = None,
    ) -> Results[ValueT]:
        self._notes.begin(keys)
        answers = await self._reader.read(keys, fetch, on_result)
        for key, answer in zip(keys, answers, strict=True):
            self._notes.note(key, answer)
        return answers

    @asynccontextmanager
    async def _writing(self, changed: Tags, written: RunKey | ThreadKey | None = None) -> AsyncIterator[None]:
        """Tell all processes of a write, before and after: also of one that failed, or of which nobody knows."""
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
