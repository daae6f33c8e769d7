"""Builders of test data: a small conversation behind the port, and the real schema over it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from strawberry.types.execution import ExecutionResult

from schema.contract.content_urls import ContentUrls
from schema.contract.errors import GatewayError
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.kinds import Key
from schema.contract.paging import PagingLimits
from schema.contract.ports import Results, ThreadsApi
from schema.engine.context import Context
from schema.root import build_schema
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.fake_viewer_api import FakeViewerApi
from tests.support.wire_samples import assistant, message, message_file, run, run_step, thread

SCHEMA = build_schema()
THREAD = ThreadKey("thread_1")

KeyT = TypeVar("KeyT", bound=Key)
ValueT = TypeVar("ValueT")


class GatedThreadsApi(FakeThreadsApi):
    """A fake port that returns no result before its gate opens, so that a test sees which calls start without one."""

    def __init__(self, source: FakeThreadsApi) -> None:
        super().__init__(
            threads=source.threads,
            messages=source.messages,
            runs=source.runs,
            run_steps=source.run_steps,
            assistants=source.assistants,
            message_files=source.message_files,
            files=source.files,
            capabilities=source.capabilities,
        )
        self.gate = asyncio.Event()

    async def _answer(
        self, name: str, keys: Sequence[KeyT], find: Callable[[KeyT], ValueT | GatewayError]
    ) -> Results[ValueT]:
        results = await super()._answer(name, keys, find)
        await self.gate.wait()
        return results


def conversation(messages: int = 3) -> FakeThreadsApi:
    """Make `thread_1`, with alternating messages of a user and of `run_1`, which took two steps for `asst_1`."""
    return FakeThreadsApi(
        threads={THREAD: thread(metadata={"topic": "tea"})},
        messages={
            MessageKey("thread_1", f"msg_{number}"): message(
                f"msg_{number}",
                created_at=number,
                content=[{"type": "text", "text": {"value": f"number {number}", "annotations": []}}],
                **({"role": "assistant", "run_id": "run_1", "assistant_id": "asst_1"} if number % 2 == 0 else {}),
            )
            for number in range(1, messages + 1)
        },
        runs={RunKey("thread_1", "run_1"): run()},
        run_steps={
            RunStepKey("thread_1", "run_1", "step_1"): run_step(type="tool_calls", step_details=CALLED),
            RunStepKey("thread_1", "run_1", "step_2"): run_step(
                "step_2", created_at=1_699_009_710, type="message_creation", step_details=WROTE
            ),
        },
        assistants={AssistantKey("asst_1"): assistant()},
    )


CALLED = {"type": "tool_calls", "tool_calls": [{"id": "call_1", "type": "retrieval", "retrieval": {}}]}
WROTE = {"type": "message_creation", "message_creation": {"message_id": "msg_2"}}


def conversation_with_files() -> FakeThreadsApi:
    """Make `msg_1` of `thread_1` with two files, over version 1 of the API."""
    return FakeThreadsApi(
        threads={THREAD: thread()},
        messages={MessageKey("thread_1", "msg_1"): message(file_ids=["file-1", "file-2"])},
        message_files={MessageFileKey("thread_1", "msg_1", name): message_file(name) for name in ("file-1", "file-2")},
    )


async def execute(
    api: ThreadsApi,
    query: str,
    variables: Mapping[str, Any] | None = None,
    *,
    limits: PagingLimits | None = None,
    viewer: FakeViewerApi | None = None,
    content_urls: ContentUrls | None = None,
) -> ExecutionResult:
    """Execute one operation as the gateway does: with its own context, which is closed afterwards."""
    context = Context(api, limits, viewer=viewer)
    context.content_urls = content_urls
    try:
        result = await SCHEMA.execute(query, variable_values=dict(variables or {}), context_value=context)
    finally:
        await context.aclose()
    assert isinstance(result, ExecutionResult)
    return result


async def query_data(
    api: FakeThreadsApi,
    query: str,
    variables: Mapping[str, Any] | None = None,
    *,
    viewer: FakeViewerApi | None = None,
    content_urls: ContentUrls | None = None,
) -> Any:
    """Execute an operation and return its data. It must have no errors."""
    result = await execute(api, query, variables, viewer=viewer, content_urls=content_urls)
    assert result.errors is None
    return result.data


def paths_and_codes(result: ExecutionResult) -> list[tuple[list[str | int] | None, object]]:
    """Return path and code of each error. Every public error must say whether a retry can help."""
    found = []
    for error in result.errors or []:
        assert error.extensions is not None
        assert isinstance(error.extensions["retryable"], bool)
        found.append((error.path, error.extensions["code"]))
    return found


def called_functions(api: FakeThreadsApi) -> list[str]:
    """Return the sorted names of the port calls."""
    return sorted(name for name, _ in api.calls)


async def run_ready_tasks(count: int = 40) -> None:
    """Let all tasks run that wait for no result."""
    for _ in range(count):
        await asyncio.sleep(0)
