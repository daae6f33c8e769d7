"""Tests that what passes through the observing port becomes records, and that their changes are told."""

from collections.abc import AsyncIterator

import pytest

from gateway.viewer.observing_threads_api import ObservingThreadsApi
from schema.contract.bodies import MessageBody, ThreadBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageKey, RunKey, ThreadKey
from schema.contract.kinds import ASSISTANTS, MESSAGES, RUNS, THREADS, Key, MessagePageKey, RunPageKey
from schema.contract.paging import Window
from schema.contract.run_events import StatusChange
from schema.contract.writes import CREATE_MESSAGE, CREATE_THREAD, DELETE_MESSAGE, DELETE_THREAD
from tests.gateway.viewer.keepers import ANN_PRINCIPAL, NOW_MS, Kept, running_keeper, told, wait_until_told
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.subscription_gateway import until
from tests.support.wire_samples import assistant, message, run, thread

KEY = ThreadKey("thread_1")
NEWEST, OLDEST = Window(10, "desc"), Window(10, "asc")


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    async with running_keeper() as kept:
        yield kept


@pytest.fixture
def upstream() -> FakeThreadsApi:
    return FakeThreadsApi(
        threads={KEY: thread()},
        messages={MessageKey("thread_1", "msg_1"): message(content="Hello there")},
        runs={RunKey("thread_1", "run_1"): run(status="requires_action")},
        assistants={AssistantKey("asst_1"): assistant()},
    )


@pytest.fixture
def port(kept: Kept, upstream: FakeThreadsApi) -> ObservingThreadsApi:
    return ObservingThreadsApi(upstream, kept.keeper, kept.ann, unix_seconds=lambda: NOW_MS / 1000)


async def test_reads_make_records_and_return_what_the_upstream_returned(
    kept: Kept, upstream: FakeThreadsApi, port: ObservingThreadsApi
) -> None:
    assert (port.capabilities, port.cost) == (upstream.capabilities, upstream.cost)
    assert await port.get(ASSISTANTS, [AssistantKey("asst_1")]) == [assistant()]
    assert await kept.titles() == {}
    assert await port.get(THREADS, [KEY]) == [thread()]
    assert await kept.titles() == {"thread_1": None}
    found = []
    (page,) = await port.list(
        MESSAGES, [MessagePageKey("thread_1", None, OLDEST)], on_result=lambda _, result: found.append(result)
    )
    assert found == [page]
    assert await kept.titles() == {"thread_1": "Hello there"}


async def test_what_is_new_is_told_once(kept: Kept, port: ObservingThreadsApi) -> None:
    reader = await kept.follow()
    for _ in range(2):
        await port.list(RUNS, [RunPageKey("thread_1", NEWEST)])
        await kept.titles()
    assert await told(reader) == ["thread_1 is None", "thread_1/run_1 is requires_action"]
    await port.get(MESSAGES, [MessageKey("thread_1", "msg_1")])
    assert await told(reader) == ["thread_1 is Hello there"]


async def test_writes_make_records_and_deletions_remove_them_before_they_return(
    kept: Kept, port: ObservingThreadsApi
) -> None:
    body = ThreadBody.model_validate({"messages": [{"role": "user", "content": [{"type": "text", "text": "First"}]}]})
    made = await port.write(CREATE_THREAD, None, body)
    assert await kept.titles() == {made.id: "First"}
    words = MessageBody.model_validate({"role": "user", "content": [{"type": "text", "text": "More"}]})
    written = await port.write(CREATE_MESSAGE, ThreadKey(made.id), words)
    await kept.titles()
    reader = await kept.follow()
    await port.write(DELETE_MESSAGE, MessageKey(made.id, written.id), None)
    # Nobody knows which message the thread was created with.
    assert await told(reader) == [f"{made.id} is None"]
    await port.write(DELETE_THREAD, ThreadKey(made.id), None)
    assert await told(reader) == [f"{made.id} is gone"]
    assert await kept.titles() == {}


async def test_a_write_that_fails_makes_no_record(
    kept: Kept, upstream: FakeThreadsApi, port: ObservingThreadsApi
) -> None:
    upstream.fail_writes["create_thread"] = GatewayError(ErrorCode.UPSTREAM_FAILED, "no")
    with pytest.raises(GatewayError):
        await port.write(CREATE_THREAD, None, ThreadBody())
    assert await kept.titles() == {}


async def test_what_the_upstream_does_not_delete_stays_and_goes_on(
    kept: Kept, upstream: FakeThreadsApi, port: ObservingThreadsApi
) -> None:
    await port.get(MESSAGES, [MessageKey("thread_1", "msg_1")])
    assert await kept.titles() == {"thread_1": "Hello there"}
    refused = GatewayError(ErrorCode.UPSTREAM_FAILED, "no")
    upstream.fail_writes.update(delete_message=refused, delete_thread=refused)
    with pytest.raises(GatewayError, match="no"):
        await port.write(DELETE_MESSAGE, MessageKey("thread_1", "msg_1"), None)
    with pytest.raises(GatewayError, match="no"):
        await port.write(DELETE_THREAD, KEY, None)
    assert await kept.store.records.find_unfinished_removals(0, 2 * NOW_MS) == []
    assert await kept.titles() == {"thread_1": "Hello there"}
    upstream.fail_writes["delete_thread"] = GatewayError(ErrorCode.NOT_FOUND, "No thread found with id 'thread_1'.")
    reader = await kept.follow()
    with pytest.raises(GatewayError):
        await port.write(DELETE_THREAD, KEY, None)
    assert await told(reader) == ["thread_1 is gone"]
    # No sighting was dropped for good: it may be another's who asked for the deletion.
    await port.get(THREADS, [KEY])
    assert await kept.titles() == {"thread_1": None}


async def test_what_nobody_finished_is_removed_and_told_by_the_next_gateway(
    kept: Kept, port: ObservingThreadsApi
) -> None:
    await port.get(MESSAGES, [MessageKey("thread_1", "msg_1")])
    await kept.titles()
    assert await kept.keeper.begin_removal(kept.ann, MessageKey("thread_1", "msg_1"))
    reader = await kept.follow()
    async with running_keeper(lambda: NOW_MS / 1000 + 121, kept.store, kept.log):
        await wait_until_told(reader, "thread_1 is None")
    assert await kept.keeper.begin_removal(kept.ann, KEY)
    async with running_keeper(lambda: NOW_MS / 1000 + 119, kept.store, kept.log) as early:
        assert await early.titles() == {"thread_1": None}
    async with running_keeper(lambda: NOW_MS / 1000 + 121, kept.store, kept.log):
        await wait_until_told(reader, "thread_1 is gone")
    assert await kept.titles() == {}


@pytest.mark.parametrize("way", ["get", "messages", "runs"])
async def test_a_thread_that_is_not_found_any_more_leaves_the_list(
    kept: Kept, upstream: FakeThreadsApi, port: ObservingThreadsApi, way: str
) -> None:
    await port.get(THREADS, [KEY])
    await kept.titles()
    reader = await kept.follow()
    missing = GatewayError(ErrorCode.NOT_FOUND, "No thread found with id 'thread_1'.")
    messages, runs = MessagePageKey("thread_1", None, NEWEST), RunPageKey("thread_1", NEWEST)
    pages: dict[str, Key] = {"messages": messages, "runs": runs}
    upstream.fail[pages.get(way, KEY)] = missing
    await port.get(RUNS, [RunKey("thread_1", "run_9")])
    await port.list(MESSAGES, [MessagePageKey("thread_1", "run_9", NEWEST)])
    if way == "get":
        await port.get(THREADS, [KEY])
    elif way == "messages":
        await port.list(MESSAGES, [messages])
    else:
        await port.list(RUNS, [runs])
    assert (await told(reader))[-1] == "thread_1 is gone"
    assert await kept.titles() == {}
    # It comes back when it is seen again.
    upstream.fail.clear()
    await port.get(THREADS, [KEY])
    assert await kept.titles() == {"thread_1": None}


async def test_a_thread_that_is_gone_before_it_was_written_does_not_come_into_the_list(
    kept: Kept, upstream: FakeThreadsApi, port: ObservingThreadsApi
) -> None:
    await port.get(THREADS, [KEY])
    upstream.fail[KEY] = GatewayError(ErrorCode.NOT_FOUND, "No thread found with id 'thread_1'.")
    await port.get(THREADS, [KEY])
    await until(lambda: not kept.keeper.writer.has_pending(kept.ann))
    assert await kept.titles() == {}


async def test_changes_of_followed_runs_make_records_of_the_scope_s_owner(kept: Kept) -> None:
    kept.keeper.observe_changes("another scope", KEY, [StatusChange(run(status="queued"))])
    assert await kept.titles() == {}
    kept.keeper.observe_changes(ANN_PRINCIPAL.digest, KEY, [StatusChange(run(status="queued"))])
    assert await kept.titles() == {"thread_1": None}
