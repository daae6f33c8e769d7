"""The upstream behind the cache in its tests: it can hold reads back, and has a few objects of each kind."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gateway.cache.cached_threads_api import CachedThreadsApi
from gateway.cache.page_index import to_list_key
from gateway.cache.shared_cache import SharedCache
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
    KINDS,
    AssistantPageKey,
    Key,
    MessageFilePageKey,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
)
from schema.contract.paging import Window
from schema.contract.ports import Results, ThreadsApi
from tests.support.fake_threads_api import V1, FakeThreadsApi
from tests.support.wire_samples import assistant, file, message, message_file, run, run_step, thread

T = "thread_1"
THREAD, OTHER_THREAD = ThreadKey(T), ThreadKey("thread_2")
OPEN = Window(20, "asc")
USER_MESSAGE, ASSISTANT_MESSAGE = MessageKey(T, "msg_1"), MessageKey(T, "msg_2")
ENDED, ACTIVE = RunKey(T, "run_1"), RunKey(T, "run_2")
STEP = RunStepKey(T, "run_1", "step_1")
ASSISTANT = AssistantKey("asst_1")
MESSAGE_FILE = MessageFileKey(T, "msg_1", "file-1")
FILE = FileKey("file-1")
DOWN = GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "The upstream is down.")

OBJECT_KEYS: tuple[NodeKey, ...] = (
    THREAD,
    USER_MESSAGE,
    ASSISTANT_MESSAGE,
    ENDED,
    ACTIVE,
    STEP,
    ASSISTANT,
    MESSAGE_FILE,
    FILE,
)
PAGE_KEYS = (
    MessagePageKey(T, None, OPEN),
    MessagePageKey(T, "run_1", OPEN),
    RunPageKey(T, OPEN),
    RunStepPageKey(T, "run_1", OPEN),
    AssistantPageKey(OPEN),
    MessageFilePageKey(T, "msg_1", OPEN),
)
ALL_KEYS: tuple[Key, ...] = (*OBJECT_KEYS, *PAGE_KEYS)
KeyT = TypeVar("KeyT", bound=Key)
ValueT = TypeVar("ValueT")


class Upstream(FakeThreadsApi):
    """An upstream with few objects. While its gate is closed, reads wait, then return the state at their arrival."""

    def __init__(self, owner: str = "anybody") -> None:
        metadata = {"owner": owner}
        super().__init__(
            threads={THREAD: thread(T, metadata=metadata), OTHER_THREAD: thread("thread_2", metadata=metadata)},
            messages={
                USER_MESSAGE: message("msg_1", metadata=metadata, file_ids=["file-1"]),
                ASSISTANT_MESSAGE: message("msg_2", metadata=metadata, role="assistant", run_id="run_1"),
            },
            runs={
                ENDED: run("run_1", metadata=metadata, tools=[{"type": "code_interpreter"}]),
                ACTIVE: run("run_2", metadata=metadata, status="in_progress"),
            },
            run_steps={STEP: run_step("step_1", metadata=metadata, step_details={"type": "tool_calls"})},
            assistants={ASSISTANT: assistant("asst_1", metadata=metadata)},
            message_files={MESSAGE_FILE: message_file("file-1", message_id=owner)},
            files={FILE: file("file-1", filename=owner)},
            capabilities=V1,
        )
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    async def _answer(
        self, name: str, keys: Sequence[KeyT], find: Callable[[KeyT], ValueT | GatewayError]
    ) -> Results[ValueT]:
        answers = await super()._answer(name, keys, find)
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        return answers

    def fails(self, *keys: Key) -> None:
        """Make reads of these keys fail with a retryable error."""
        self.fail = dict.fromkeys(keys, DOWN)


class WithCost:
    """An upstream as one operation sees it: with a cost of its own."""

    def __init__(self, upstream: FakeThreadsApi) -> None:
        self.cost = Cost()
        self._upstream = upstream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._upstream, name)


def cached(upstream: FakeThreadsApi, shared: SharedCache, scope: str = "ann") -> CachedThreadsApi:
    """Return the cached port of one operation."""
    inner: ThreadsApi = WithCost(upstream)
    return CachedThreadsApi(inner, shared, scope)


async def read(api: ThreadsApi, *keys: Key) -> list[Any]:
    """Read keys of one type."""
    key_type = type(keys[0])
    kind = next(kind for kind in KINDS if key_type in {kind.key_type, kind.page_key_type})
    results: Sequence[Any] = await (api.get(kind, keys) if key_type is kind.key_type else api.list(kind, keys))
    return list(results)


def object_key(page_key: Key, object_id: str) -> Any:
    """Return the key that reads an object of a page alone."""
    key_type, parent_ids = to_list_key(page_key)
    return key_type(*parent_ids, object_id)  # type: ignore[call-arg]


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until a condition holds; the test's own timeout ends an endless wait."""
    while not condition():  # noqa: ASYNC110 # the condition changes in the loop or at a server
        await asyncio.sleep(0.001)
