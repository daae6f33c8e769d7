from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import pytest

from gateway.cache.cached_threads_api import CachedThreadsApi
from gateway.cache.shared_cache import CacheOptions, SharedCache
from gateway.cache.tags import change_observed, changed_by
from schema.contract.bodies import (
    AssistantBody,
    AssistantUpdateBody,
    MessageBody,
    MetadataUpdateBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
    ThreadUpdateBody,
    ToolApprovalsBody,
    ToolOutputsBody,
)
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, RunStepKey, ThreadKey
from schema.contract.kinds import AssistantPageKey, Key, MessagePageKey, RunPageKey
from schema.contract.writes import (
    CANCEL_RUN,
    CREATE_ASSISTANT,
    CREATE_MESSAGE,
    CREATE_RUN,
    CREATE_THREAD,
    CREATE_THREAD_AND_RUN,
    DELETE_ASSISTANT,
    DELETE_MESSAGE,
    DELETE_THREAD,
    SUBMIT_TOOL_APPROVALS,
    SUBMIT_TOOL_OUTPUTS,
    UPDATE_ASSISTANT,
    UPDATE_MESSAGE,
    UPDATE_RUN,
    UPDATE_THREAD,
)
from tests.gateway.cache.processes import processes
from tests.gateway.cache.upstream import (
    ACTIVE,
    ASSISTANT,
    ENDED,
    OPEN,
    OTHER_THREAD,
    THREAD,
    USER_MESSAGE,
    T,
    Upstream,
    cached,
    read,
)
from tests.support.fake_threads_api import V1, V2
from tests.support.full_runs import long_except
from tests.support.wire_samples import run, run_step

Write: TypeAlias = Callable[[CachedThreadsApi], Awaitable[Any]]

EDITED = MetadataUpdateBody(metadata={"owner": "edited"})
HELLO = {"role": "user", "content": [{"type": "text", "text": "Hello?"}]}
WAITING = RunKey("thread_2", "run_3")
OTHER_MESSAGES = MessagePageKey("thread_2", None, OPEN)
RUN_WITH_MESSAGES = RunBody.model_validate({"assistant_id": "asst_1", "additional_messages": [HELLO]})
OUTPUTS = ToolOutputsBody.model_validate({"tool_outputs": [{"tool_call_id": "call_1", "output": "done"}]})
APPROVALS = ToolApprovalsBody.model_validate({"tool_approvals": [{"tool_call_id": "call_1", "approve": True}]})

# (name, write, the keys that are read before it and have to show it afterwards)
WRITES: list[tuple[str, Write, Sequence[Key]]] = [
    (
        "update_thread",
        lambda api: api.write(UPDATE_THREAD, THREAD, ThreadUpdateBody(metadata={"owner": "edited"})),
        [THREAD],
    ),
    (
        "delete_thread",
        lambda api: api.write(DELETE_THREAD, THREAD, None),
        [THREAD, USER_MESSAGE, MessagePageKey(T, None, OPEN)],
    ),
    (
        "create_message",
        lambda api: api.write(CREATE_MESSAGE, OTHER_THREAD, MessageBody.model_validate(HELLO)),
        [OTHER_MESSAGES],
    ),
    (
        "update_message",
        lambda api: api.write(UPDATE_MESSAGE, USER_MESSAGE, EDITED),
        [USER_MESSAGE, MessagePageKey(T, None, OPEN)],
    ),
    (
        "delete_message",
        lambda api: api.write(DELETE_MESSAGE, USER_MESSAGE, None),
        [USER_MESSAGE, MessagePageKey(T, None, OPEN)],
    ),
    (
        "create_run",
        lambda api: api.write(CREATE_RUN, OTHER_THREAD, RUN_WITH_MESSAGES),
        [OTHER_MESSAGES, RunPageKey("thread_2", OPEN)],
    ),
    ("update_run", lambda api: api.write(UPDATE_RUN, ENDED, EDITED), [ENDED, RunPageKey(T, OPEN)]),
    ("cancel_run", lambda api: api.write(CANCEL_RUN, ACTIVE, None), [ACTIVE, RunPageKey(T, OPEN)]),
    ("submit_tool_outputs", lambda api: api.write(SUBMIT_TOOL_OUTPUTS, WAITING, OUTPUTS), [WAITING]),
    ("submit_tool_approvals", lambda api: api.write(SUBMIT_TOOL_APPROVALS, WAITING, APPROVALS), [WAITING]),
    (
        "create_assistant",
        lambda api: api.write(CREATE_ASSISTANT, None, AssistantBody(model="gpt-4o")),
        [AssistantPageKey(OPEN)],
    ),
    (
        "update_assistant",
        lambda api: api.write(UPDATE_ASSISTANT, ASSISTANT, AssistantUpdateBody(name="New")),
        [ASSISTANT, AssistantPageKey(OPEN)],
    ),
    ("delete_assistant", lambda api: api.write(DELETE_ASSISTANT, ASSISTANT, None), [ASSISTANT, AssistantPageKey(OPEN)]),
]


@pytest.fixture(params=long_except(["memory", "redis", "cluster"], ["memory", "redis"]))
async def caches(request: pytest.FixtureRequest) -> AsyncIterator[list[SharedCache]]:
    """The caches of a writer and a reader: two processes with Redis, one without."""
    if request.param == "memory":
        async with processes(1, None) as (shared,):
            yield [shared, shared]
        return
    cluster = request.param == "cluster"
    server = request.getfixturevalue("valkey_cluster")[0] if cluster else request.getfixturevalue("valkey")
    async with processes(2, server.url, cluster=cluster) as two:
        yield two


def upstream_for(write: str) -> Upstream:
    upstream = Upstream()
    if write == "delete_message":
        upstream._capabilities = V2
    if write.startswith("submit_tool"):
        calls = {"submit_tool_outputs": {"tool_calls": [{"id": "call_1"}]}}
        upstream.runs[WAITING] = run("run_3", status="requires_action", required_action=calls)
    return upstream


@pytest.mark.parametrize(("name", "write", "keys"), WRITES, ids=[row[0] for row in WRITES])
async def test_a_read_after_a_write_sees_it_in_every_process(
    caches: list[SharedCache], name: str, write: Write, keys: Sequence[Key]
) -> None:
    upstream = upstream_for(name)
    writer, reader = caches
    before = [repr(await read(cached(upstream, shared), key)) for key in keys for shared in (writer, reader)][1::2]
    await write(cached(upstream, writer))
    after = [repr(await read(cached(upstream, reader), key)) for key in keys]
    assert after == [repr(await read(upstream, key)) for key in keys]
    assert not set(before) & set(after)


@pytest.mark.parametrize(("name", "write", "keys"), WRITES, ids=[row[0] for row in WRITES])
async def test_a_failed_write_invalidates_like_a_successful_one(name: str, write: Write, keys: Sequence[Key]) -> None:
    upstream = upstream_for(name)
    async with processes(1, None) as (shared,):
        for key in keys:
            await read(cached(upstream, shared), key)
        upstream.fail_writes = {
            name: GatewayError(ErrorCode.UPSTREAM_TIMEOUT, "The outcome is unknown.", retryable=False)
        }
        with pytest.raises(GatewayError, match="outcome is unknown"):
            await write(cached(upstream, shared))
        upstream.calls.clear()
        for key in keys:
            await read(cached(upstream, shared), key)
        assert len(upstream.calls) == len(keys)


async def test_a_created_thread_is_found_after_a_stored_not_found(caches: list[SharedCache]) -> None:
    upstream = Upstream()
    writer, reader = caches
    created = [ThreadKey("thread_made1"), ThreadKey("thread_made2")]
    for key in created:
        (result,) = await read(cached(upstream, reader), key)
        assert isinstance(result, GatewayError)
    await cached(upstream, writer).write(CREATE_THREAD, None, ThreadBody())
    body = {"assistant_id": "asst_1", "thread": {"messages": [HELLO]}}
    await cached(upstream, writer).write(CREATE_THREAD_AND_RUN, None, ThreadAndRunBody.model_validate(body))
    for key in created:
        (result,) = await read(cached(upstream, reader), key)
        assert result.id == key.thread_id


async def test_a_new_message_leaves_other_objects_of_its_thread_cached(caches: list[SharedCache]) -> None:
    upstream = Upstream()
    upstream.runs[ACTIVE] = run("run_2", status="completed")
    keys: list[Key] = [THREAD, USER_MESSAGE, ENDED, RunPageKey(T, OPEN)]
    writer, reader = caches
    for key in keys:
        await read(cached(upstream, reader), key)
    await cached(upstream, writer).write(CREATE_MESSAGE, THREAD, MessageBody.model_validate(HELLO))
    upstream.calls.clear()
    for key in keys:
        await read(cached(upstream, reader), key)
    assert upstream.calls == []


async def test_an_observed_change_of_a_run_is_seen_in_every_process(caches: list[SharedCache]) -> None:
    upstream = Upstream()
    writer, reader = caches
    step = RunStepKey(T, "run_2", "step_2")
    (missing,) = await read(cached(upstream, reader), step)
    assert isinstance(missing, GatewayError)
    upstream.run_steps[step] = run_step("step_2")
    await writer.store.end_write("ann", change_observed(ACTIVE))
    (found,) = await read(cached(upstream, reader), step)
    assert found.id == "step_2"


async def test_capabilities_and_cost_are_those_of_the_inner_port() -> None:
    async with processes(1, None) as (shared,):
        inner = Upstream()
        api = CachedThreadsApi(inner, shared, "ann")
        assert api.capabilities is V1
        assert api.cost is inner.cost


async def test_switched_off_all_reads_go_to_the_upstream_and_writes_still_invalidate() -> None:
    upstream = Upstream()
    async with SharedCache(CacheOptions(enabled=False)) as shared:
        for _ in range(2):
            await read(cached(upstream, shared), THREAD)
        assert len(upstream.calls) == 2
        assert len(shared.memory) == 0
        tags = changed_by(UPDATE_THREAD, THREAD, ThreadUpdateBody(metadata={}))
        before = await shared.store.look_up("ann", tags, [], 0)
        await cached(upstream, shared).write(UPDATE_THREAD, THREAD, ThreadUpdateBody(metadata={}))
        after = await shared.store.look_up("ann", tags, [], 0)
        assert before is not None
        assert after is not None
        assert before.versions != after.versions


async def test_on_write_is_called_for_each_write_even_a_failed_one() -> None:
    written: list[Any] = []
    async with processes(1, None) as (shared,):
        upstream = Upstream()
        api = CachedThreadsApi(upstream, shared, "ann", written.append)
        await api.write(CANCEL_RUN, ACTIVE, None)
        with pytest.raises(GatewayError):
            await api.write(CANCEL_RUN, RunKey(T, "run_gone"), None)
    assert written == [ACTIVE, THREAD, RunKey(T, "run_gone"), THREAD]
