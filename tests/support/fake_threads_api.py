"""A `ThreadsApi` over plain dicts. Schema tests use it as the port and count its calls.

It answers as an upstream does: an object of an unknown thread is not found, a list has a natural order (by
`created_at`; objects of the same second keep the order in which the test passed them), and an unknown `after` is not
found.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Protocol, TypeVar

from gateway.upstream.dialects import DIALECTS, unsupported_operation_error
from gateway.upstream.reply_readers import leave_out_other_runs
from schema.contract.cost import Cost
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import (
    AssistantKey,
    FileKey,
    MessageFileKey,
    MessageKey,
    NodeKey,
    RunKey,
    RunStepKey,
    ThreadKey,
)
from schema.contract.kinds import (
    MESSAGE_FILES,
    MESSAGES,
    RUN_STEPS,
    RUNS,
    THREADS,
    AnyKind,
    Key,
    Kind,
    MessagePageKey,
    NodeKeyT,
    ObjectT,
    PageKeyT,
)
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from schema.contract.ports import Capabilities, OnResult, Results
from schema.contract.wire import (
    AssistantObject,
    FileObject,
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

PARENTS: Mapping[AnyKind, AnyKind] = {MESSAGES: THREADS, RUNS: THREADS, RUN_STEPS: RUNS, MESSAGE_FILES: MESSAGES}

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
        files: Mapping[FileKey, FileObject] | None = None,
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
        self.files = dict(files or {})
        self.fail: dict[Key, GatewayError] = dict(fail or {})
        self.fail_writes = dict(fail_writes or {})
        self.cost = Cost()
        self.calls: list[tuple[str, tuple[Key, ...]]] = []
        self.bodies: list[Any] = []
        self.ignores_run_id = False
        """Whether a list of one run's messages is that of its thread, as from a server without the filter."""
        self._capabilities = capabilities or (V1 if message_files else V2)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def key_count(self) -> int:
        """The number of keys read plus the number of writes: roughly the calls that a client would send upstream."""
        return sum(1 if name.startswith(WRITES) else len(keys) for name, keys in self.calls)

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        return await self._answer(f"get_{kind.name}", keys, partial(self._find, kind))

    async def list(
        self,
        kind: Kind[Any, ObjectT, PageKeyT],
        keys: Sequence[PageKeyT],
        *,
        on_result: OnResult[PageKeyT, Page[ObjectT]] | None = None,
    ) -> Results[Page[ObjectT]]:
        answers = await self._answer(f"list_{kind.name}", keys, partial(self._find_page, kind))
        if on_result is not None:
            for key, answer in dict(zip(keys, answers, strict=True)).items():
                on_result(key, answer)
        return answers

    async def _answer(
        self, name: str, keys: Sequence[KeyT], find: Callable[[KeyT], ValueT | GatewayError]
    ) -> Results[ValueT]:
        self.calls.append((name, tuple(keys)))
        async with AsyncExitStack() as calls:
            for _ in keys:
                await calls.enter_async_context(self.cost.measure_call())
            await asyncio.sleep(0)  # yields like all I/O, so that a test sees which calls run at the same time
        return [self.failure_for(key) or find(key) for key in keys]

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

    def _find(self, kind: Kind[NodeKeyT, ObjectT, Any], key: NodeKeyT) -> ObjectT | GatewayError:
        if kind is MESSAGE_FILES and not self._capabilities.message_files:
            return unsupported_operation_error(self._capabilities.dialect, "getMessageFile")
        found: ObjectT | None = self._table(kind).get(key)
        return not_found(key) if found is None else found

    def _find_page(self, kind: Kind[Any, ObjectT, PageKeyT], key: PageKeyT) -> Page[ObjectT] | GatewayError:
        if kind is MESSAGE_FILES and not self._capabilities.message_files:
            return unsupported_operation_error(self._capabilities.dialect, "listMessageFiles")
        parent_key, table = kind.to_parent_key(key), self._table(kind)
        parent = PARENTS.get(kind)
        if parent is not None and (owner := parent.key_type(*parent_key)) not in self._table(parent):
            return not_found(owner)
        run_id = key.run_id if isinstance(key, MessagePageKey) else None
        listed = [found for found_key, found in table.items() if found_key[:-1] == parent_key]
        if run_id is not None and self.ignores_run_id:
            page = _page(listed, key.window)
            return leave_out_other_runs(page, run_id) if isinstance(page, Page) else page
        return _page([found for found in listed if run_id in {None, getattr(found, "run_id", None)}], key.window)

    def _table(self, kind: AnyKind) -> dict[Any, Any]:
        table: dict[Any, Any] = getattr(self, kind.name)
        return table


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
