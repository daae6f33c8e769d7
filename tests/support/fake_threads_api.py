"""A `ThreadsApi` over plain dicts. Schema tests use it as the port and count its calls.

It answers as an upstream does: an object of an unknown thread is not found, a list has a natural order (by
`created_at`; objects of the same second keep the order in which the test passed them), and an unknown `after` is not
found.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol, TypeAlias, TypeVar

from gateway.upstream.dialects import DIALECTS, unsupported_operation_error
from schema.contract.cost import Cost
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, NodeKey, RunKey, RunStepKey, ThreadKey
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from schema.contract.ports import (
    AssistantPageKey,
    Capabilities,
    MessageFilePageKey,
    MessagePageKey,
    OnResult,
    Results,
    RunPageKey,
    RunStepPageKey,
)
from schema.contract.wire import (
    AssistantObject,
    MessageFileObject,
    MessageObject,
    Page,
    RunObject,
    RunStepObject,
    ThreadObject,
    Timestamp,
)
from tests.support.fake_writes import FakeWrites, not_found

WRITES = ("create_", "update_", "delete_", "cancel_", "submit_")
PageKey: TypeAlias = MessagePageKey | RunPageKey | RunStepPageKey | AssistantPageKey | MessageFilePageKey
Key: TypeAlias = NodeKey | PageKey

V1 = DIALECTS["openai-v1"].capabilities
V2 = DIALECTS["openai-v2"].capabilities


class Listed(Protocol):
    """The fields that an object of a list needs."""

    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> Timestamp: ...


ListedT = TypeVar("ListedT", bound=Listed)
KeyT = TypeVar("KeyT", bound=Key)
NodeKeyT = TypeVar("NodeKeyT", bound=NodeKey)
ValueT = TypeVar("ValueT")


class FakeThreadsApi(FakeWrites):
    """Answers from its tables of objects. `calls` holds the name and keys of each port call, in order.

    A write changes the tables as an upstream would (`fake_writes.py`); its body is in `bodies`.

    `fail` maps keys (of objects or of pages) to the error that each gets. A test may change it at any time, and the
    tables too. A page key fails only if it is equal in every part, including its window. `fail_writes` maps the names
    of writes to errors.
    """

    def __init__(
        self,
        *,
        threads: Mapping[ThreadKey, ThreadObject] | None = None,
        messages: Mapping[MessageKey, MessageObject] | None = None,
        runs: Mapping[RunKey, RunObject] | None = None,
        run_steps: Mapping[RunStepKey, RunStepObject] | None = None,
        assistants: Mapping[AssistantKey, AssistantObject] | None = None,
        message_files: Mapping[MessageFileKey, MessageFileObject] | None = None,
        fail: Mapping[Key, GatewayError] | None = None,
        fail_writes: Mapping[str, GatewayError] | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.threads = dict(threads or {})
        self.messages = dict(messages or {})
        self.runs = dict(runs or {})
        self.run_steps = dict(run_steps or {})
        self.assistants = dict(assistants or {})
        self.message_files = dict(message_files or {})
        self.fail: dict[Key, GatewayError] = dict(fail or {})
        self.fail_writes = dict(fail_writes or {})
        self.cost = Cost()
        self.calls: list[tuple[str, tuple[Key, ...]]] = []
        self.bodies: list[Any] = []
        self._capabilities = capabilities or (V1 if message_files else V2)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def key_count(self) -> int:
        """The number of keys read plus the number of writes: roughly the calls that a client would send upstream."""
        return sum(1 if name.startswith(WRITES) else len(keys) for name, keys in self.calls)

    async def get_threads(self, keys: Sequence[ThreadKey]) -> Results[ThreadObject]:
        return await self._answer("get_threads", keys, lambda key: _get(self.threads, key))

    async def get_messages(self, keys: Sequence[MessageKey]) -> Results[MessageObject]:
        return await self._answer("get_messages", keys, lambda key: _get(self.messages, key))

    async def get_runs(self, keys: Sequence[RunKey]) -> Results[RunObject]:
        return await self._answer("get_runs", keys, lambda key: _get(self.runs, key))

    async def get_run_steps(self, keys: Sequence[RunStepKey]) -> Results[RunStepObject]:
        return await self._answer("get_run_steps", keys, lambda key: _get(self.run_steps, key))

    async def get_assistants(self, keys: Sequence[AssistantKey]) -> Results[AssistantObject]:
        return await self._answer("get_assistants", keys, lambda key: _get(self.assistants, key))

    async def get_message_files(self, keys: Sequence[MessageFileKey]) -> Results[MessageFileObject]:
        return await self._answer("get_message_files", keys, self._message_file)

    async def list_messages(
        self, keys: Sequence[MessagePageKey], *, on_result: OnResult[MessagePageKey, Page[MessageObject]] | None = None
    ) -> Results[Page[MessageObject]]:
        return await self._list("list_messages", keys, self._message_page, on_result)

    async def list_runs(
        self, keys: Sequence[RunPageKey], *, on_result: OnResult[RunPageKey, Page[RunObject]] | None = None
    ) -> Results[Page[RunObject]]:
        return await self._list("list_runs", keys, self._run_page, on_result)

    async def list_run_steps(
        self, keys: Sequence[RunStepPageKey], *, on_result: OnResult[RunStepPageKey, Page[RunStepObject]] | None = None
    ) -> Results[Page[RunStepObject]]:
        return await self._list("list_run_steps", keys, self._run_step_page, on_result)

    async def list_assistants(
        self,
        keys: Sequence[AssistantPageKey],
        *,
        on_result: OnResult[AssistantPageKey, Page[AssistantObject]] | None = None,
    ) -> Results[Page[AssistantObject]]:
        return await self._list(
            "list_assistants", keys, lambda key: _page(self.assistants.values(), key.window), on_result
        )

    async def list_message_files(
        self,
        keys: Sequence[MessageFilePageKey],
        *,
        on_result: OnResult[MessageFilePageKey, Page[MessageFileObject]] | None = None,
    ) -> Results[Page[MessageFileObject]]:
        return await self._list("list_message_files", keys, self._message_file_page, on_result)

    async def _answer(
        self, name: str, keys: Sequence[KeyT], find: Callable[[KeyT], ValueT | GatewayError]
    ) -> Results[ValueT]:
        self.calls.append((name, tuple(keys)))
        async with AsyncExitStack() as calls:
            for _ in keys:
                await calls.enter_async_context(self.cost.measure_call())
            await asyncio.sleep(0)  # yields like all I/O, so that a test sees which calls run at the same time
        return [self.failure_for(key) or find(key) for key in keys]

    async def _list(
        self,
        name: str,
        keys: Sequence[KeyT],
        find: Callable[[KeyT], ValueT | GatewayError],
        on_result: OnResult[KeyT, ValueT] | None,
    ) -> Results[ValueT]:
        answers = await self._answer(name, keys, find)
        if on_result is not None:
            for key, answer in dict(zip(keys, answers, strict=True)).items():
                on_result(key, answer)
        return answers

    async def begin_write(self, name: str, key: NodeKey | None) -> None:
        self.calls.append((name, () if key is None else (key,)))
        async with self.cost.measure_call():
            await asyncio.sleep(0)
        failure = self.fail_writes.get(name) or (None if key is None else self.failure_for(key))
        if failure is not None:
            raise failure

    def failure_for(self, key: Key) -> GatewayError | None:
        # Keys of different types may be equal, so their types are compared too.
        return next((error for other, error in self.fail.items() if type(other) is type(key) and other == key), None)

    def _message_file(self, key: MessageFileKey) -> MessageFileObject | GatewayError:
        return (
            _get(self.message_files, key)
            if self._capabilities.message_files
            else unsupported_operation_error(self._capabilities.dialect, "getMessageFile")
        )

    def _message_page(self, key: MessagePageKey) -> Page[MessageObject] | GatewayError:
        if (missing := _missing(self.threads, ThreadKey(key.thread_id))) is not None:
            return missing
        return _page(
            (
                message
                for owner, message in self.messages.items()
                if owner.thread_id == key.thread_id and key.run_id in {None, message.run_id}
            ),
            key.window,
        )

    def _run_page(self, key: RunPageKey) -> Page[RunObject] | GatewayError:
        if (missing := _missing(self.threads, ThreadKey(key.thread_id))) is not None:
            return missing
        return _page((run for owner, run in self.runs.items() if owner.thread_id == key.thread_id), key.window)

    def _run_step_page(self, key: RunStepPageKey) -> Page[RunStepObject] | GatewayError:
        run_key = RunKey(key.thread_id, key.run_id)
        if (missing := _missing(self.runs, run_key)) is not None:
            return missing
        return _page((step for owner, step in self.run_steps.items() if owner[:2] == run_key), key.window)

    def _message_file_page(self, key: MessageFilePageKey) -> Page[MessageFileObject] | GatewayError:
        if not self._capabilities.message_files:
            return unsupported_operation_error(self._capabilities.dialect, "listMessageFiles")
        message_key = MessageKey(key.thread_id, key.message_id)
        if (missing := _missing(self.messages, message_key)) is not None:
            return missing
        return _page((file for owner, file in self.message_files.items() if owner[:2] == message_key), key.window)


def _get(table: Mapping[NodeKeyT, ValueT], key: NodeKeyT) -> ValueT | GatewayError:
    found = table.get(key)
    return not_found(key) if found is None else found


def _missing(table: Mapping[NodeKeyT, object], key: NodeKeyT) -> GatewayError | None:
    return None if key in table else not_found(key)


def _page(objects: Iterable[ListedT], window: Window) -> Page[ListedT] | GatewayError:
    if not 1 <= window.limit <= UPSTREAM_PAGE_SIZE:
        return GatewayError(ErrorCode.BAD_USER_INPUT, f"Invalid 'limit': {window.limit}.", argument="limit")
    ordered = sorted(objects, key=lambda listed: listed.created_at)
    if window.backwards:
        ordered.reverse()
    start = 0
    if window.after is not None:
        ids = [listed.id for listed in ordered]
        if window.after not in ids:
            return GatewayError(ErrorCode.NOT_FOUND, f"No object found with id '{window.after}'.")
        start = ids.index(window.after) + 1
    end = start + window.limit
    return Page(data=ordered[start:end], has_more=len(ordered) > end)
