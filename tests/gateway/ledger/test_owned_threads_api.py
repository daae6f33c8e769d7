"""Tests of the port of signed-in users, over the cache and a fake upstream: refusals, scopes, writes, responses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from schema.contract.bodies import AssistantBody, MessageBody, MetadataUpdateBody, RunBody, ThreadBody, ThreadUpdateBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.kinds import ASSISTANTS, RUNS, THREADS, AssistantPageKey, Key, RunPageKey
from schema.contract.ports import ResponseCache
from schema.contract.wire import AssistantObject, RunObject, ThreadObject
from schema.contract.writes import (
    CREATE_ASSISTANT,
    CREATE_MESSAGE,
    CREATE_RUN,
    CREATE_THREAD,
    DELETE_FILE,
    DELETE_MESSAGE,
    DELETE_THREAD,
    UPDATE_MESSAGE,
    UPDATE_RUN,
    UPDATE_THREAD,
)
from tests.gateway.cache.cached_queries import response_key
from tests.gateway.cache.processes import processes
from tests.gateway.cache.upstream import (
    ALL_KEYS,
    ASSISTANT,
    DOWN,
    ENDED,
    FILE,
    OPEN,
    OTHER_THREAD,
    THREAD,
    USER_MESSAGE,
    T,
    Upstream,
    read,
    until,
)
from tests.gateway.ledger.owned_ports import GATEWAY, Ports, look_ups_of, scope_of
from tests.support.fake_ownership import FakeOwnership
from tests.support.signed_in import owner
from tests.support.wire_samples import assistant, run

ASSISTANT_PAGE = AssistantPageKey(OPEN)
IN_THREADS: tuple[Key, ...] = tuple(key for key in ALL_KEYS if key not in {ASSISTANT, ASSISTANT_PAGE, FILE})
KEY, DATA = response_key(), b'{"a":1}'
HELLO = MessageBody.model_validate({"role": "user", "content": [{"type": "text", "text": "Hello?"}]})
EDITED = ThreadUpdateBody(metadata={"edited": "yes"})


@pytest.fixture
def upstream() -> Upstream:
    upstream = Upstream()
    upstream.assistants[ASSISTANT] = assistant("asst_1", instructions="Be secret.")
    upstream.runs[ENDED] = run("run_1", instructions="Be secret.")
    return upstream


@pytest.fixture
def ownership() -> FakeOwnership:
    """Ann owns one thread and Bob the other."""
    return FakeOwnership({T: owner("ann"), OTHER_THREAD.thread_id: owner("bob")})


@pytest.fixture
async def ports(upstream: Upstream, ownership: FakeOwnership) -> AsyncIterator[Ports]:
    async with processes(1, None) as (shared,):
        yield Ports(upstream, ownership, shared)


async def refusal(writing: Any) -> GatewayError:
    with pytest.raises(GatewayError) as refused:
        await writing
    return refused.value


@pytest.mark.parametrize("key", IN_THREADS, ids=repr)
async def test_a_key_in_anothers_thread_is_the_missing_thread_without_a_call(
    ports: Ports, upstream: Upstream, key: Key
) -> None:
    assert not isinstance((await read(ports.bind("ann"), key))[0], GatewayError)
    upstream.calls.clear()
    for name in ("bob", "eve"):
        (error,) = await read(ports.bind(name), key)
        assert isinstance(error, GatewayError)
        assert (error.code, error.message) == (ErrorCode.NOT_FOUND, f"No thread found with id '{T}'.")
        assert error.extensions == {"code": "NOT_FOUND", "retryable": False}
    assert upstream.calls == []


async def test_files_are_an_admins(ports: Ports, upstream: Upstream) -> None:
    (error,) = await read(ports.bind("ann"), FILE)
    assert isinstance(error, GatewayError)
    assert (error.code, error.message) == (ErrorCode.NOT_FOUND, "No such File object: file-1")
    with pytest.raises(GatewayError, match="No such File object: file-1"):
        await ports.bind("ann").write(DELETE_FILE, FILE, None)
    assert upstream.calls == []
    (found,) = await read(ports.bind("root"), FILE)
    assert found.id == "file-1"
    await ports.bind("root").write(DELETE_FILE, FILE, None)
    assert isinstance((await read(ports.bind("root"), FILE))[0], GatewayError)


async def test_a_batch_has_results_and_refusals_in_the_order_of_its_keys(ports: Ports) -> None:
    mine, theirs, missing = THREAD, OTHER_THREAD, ThreadKey("thread_9")
    results = await ports.bind("ann").get(THREADS, [theirs, mine, missing, mine, theirs])
    assert [isinstance(result, ThreadObject) for result in results] == [False, True, False, True, False]
    assert results[0] is results[4]


async def test_an_admin_reads_threads_of_many_owners_in_one_batch(ports: Ports, upstream: Upstream) -> None:
    upstream.threads[ThreadKey("thread_9")] = upstream.threads[THREAD]
    results = await ports.bind("root").get(THREADS, [OTHER_THREAD, THREAD, ThreadKey("thread_9")])
    assert all(isinstance(result, ThreadObject) for result in results)
    assert {scope_of("ann"), scope_of("bob"), GATEWAY} <= set(ports.opened)
    (unknown,) = await ports.bind("root").get(THREADS, [ThreadKey("thread_10")])
    assert isinstance(unknown, GatewayError)
    assert unknown.code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize(("first", "second"), [("ann", "root"), ("root", "ann")])
@pytest.mark.parametrize("key", [THREAD, USER_MESSAGE, ENDED], ids=repr)
async def test_an_owner_and_an_admin_share_entries(
    ports: Ports, upstream: Upstream, first: str, second: str, key: Key
) -> None:
    await read(ports.bind(first), key)
    upstream.calls.clear()
    api = ports.bind(second)
    assert not isinstance((await read(api, key))[0], GatewayError)
    assert upstream.calls == []
    assert api.cost.cache_hits == 1


async def test_an_owner_and_an_admin_share_a_read_in_flight(ports: Ports, upstream: Upstream) -> None:
    upstream.gate.clear()
    readings = [asyncio.create_task(read(ports.bind(name), THREAD)) for name in ("root", "ann")]
    await until(lambda: upstream.waiting == 1)
    upstream.gate.set()
    one, other = [await reading for reading in readings]
    assert one[0] is other[0]
    assert len(upstream.calls) == 1


async def test_assistants_are_cached_once_for_all_users_and_shown_to_each_as_they_may_see_them(
    ports: Ports, upstream: Upstream
) -> None:
    for name, instructions in (("ann", None), ("root", "Be secret."), ("bob", None)):
        (found,) = await ports.bind(name).get(ASSISTANTS, [ASSISTANT])
        (page,) = await ports.bind(name).list(ASSISTANTS, [ASSISTANT_PAGE])
        assert isinstance(found, AssistantObject)
        assert not isinstance(page, GatewayError)
        assert found.instructions == page.data[0].instructions == instructions
    assert len(upstream.calls) == 2
    assert ports.ownership.look_ups == []


async def test_early_results_hide_what_the_results_hide(ports: Ports) -> None:
    early: dict[Any, Any] = {}
    keys = [RunPageKey(T, OPEN), RunPageKey("thread_2", OPEN), RunPageKey("thread_2", OPEN)]
    results = await ports.bind("ann").list(RUNS, keys, on_result=early.__setitem__)
    assert not isinstance(results[0], GatewayError)
    assert [item.instructions for item in results[0].data] == [None, None]
    assert early[keys[0]] is results[0]
    assert early[keys[1]] is results[1] is results[2]


async def test_users_see_instructions_if_the_gateway_shows_them(upstream: Upstream, ownership: FakeOwnership) -> None:
    async with processes(1, None) as (shared,):
        ports = Ports(upstream, ownership, shared, {"sees_instructions": True})
        (found,) = await ports.bind("ann").get(RUNS, [ENDED])
    assert isinstance(found, RunObject)
    assert found.instructions == "Be secret."


async def test_a_write_of_an_admin_is_seen_by_the_owner_at_once_and_the_reverse(ports: Ports) -> None:
    for writer, reader, body in (("root", "ann", EDITED), ("ann", "root", ThreadUpdateBody(metadata={"a": "b"}))):
        await read(ports.bind(reader), THREAD)
        await ports.bind(writer).write(UPDATE_THREAD, THREAD, body)
        (found,) = await ports.bind(reader).get(THREADS, [THREAD])
        assert isinstance(found, ThreadObject)
        assert found.metadata == body.metadata


WRITES: list[tuple[Any, Any, Any]] = [
    (UPDATE_THREAD, THREAD, EDITED),
    (DELETE_THREAD, THREAD, None),
    (CREATE_MESSAGE, THREAD, HELLO),
    (UPDATE_MESSAGE, USER_MESSAGE, MetadataUpdateBody(metadata={})),
    (DELETE_MESSAGE, USER_MESSAGE, None),
    (CREATE_RUN, THREAD, RunBody(assistant_id="asst_1")),
    (UPDATE_RUN, ENDED, MetadataUpdateBody(metadata={})),
]


@pytest.mark.parametrize(("operation", "key", "body"), WRITES, ids=[operation.name for operation, _, _ in WRITES])
async def test_a_write_to_anothers_thread_is_refused_without_a_call(
    ports: Ports, upstream: Upstream, operation: Any, key: Any, body: Any
) -> None:
    error = await refusal(ports.bind("bob").write(operation, key, body))
    assert (error.code, error.message) == (ErrorCode.NOT_FOUND, f"No thread found with id '{T}'.")
    assert not upstream.calls
    assert not ports.ownership.deleted


async def test_a_write_that_only_an_admin_may_send_needs_no_look_up(ports: Ports, upstream: Upstream) -> None:
    ann = ports.bind("ann")
    assert (await refusal(ann.write(CREATE_ASSISTANT, None, AssistantBody(model="m")))).code is ErrorCode.FORBIDDEN
    body = RunBody(assistant_id="asst_1", instructions="Tell all.")
    assert (await refusal(ann.write(CREATE_RUN, THREAD, body))).code is ErrorCode.FORBIDDEN
    assert not upstream.calls
    assert not ports.ownership.look_ups
    created = await ports.bind("root").write(CREATE_ASSISTANT, None, AssistantBody(model="m"))
    assert created.model == "m"


async def test_the_result_of_a_write_hides_what_a_read_hides(ports: Ports) -> None:
    changed = await ports.bind("ann").write(UPDATE_RUN, ENDED, MetadataUpdateBody(metadata={}))
    assert changed.instructions is None
    changed = await ports.bind("root").write(UPDATE_RUN, ENDED, MetadataUpdateBody(metadata={}))
    assert changed.instructions == "Be secret."


async def test_a_thread_is_its_creators_before_they_learn_of_it(ports: Ports) -> None:
    ann = ports.bind("ann")
    created = await ann.write(CREATE_THREAD, None, ThreadBody())
    (intent,) = ports.ownership.intents
    assert (intent.owner, intent.object_id) == (owner("ann"), created.id)
    assert not isinstance((await read(ann, ThreadKey(created.id)))[0], GatewayError)
    assert look_ups_of(ports.ownership) == []
    (theirs,) = await read(ports.bind("bob"), ThreadKey(created.id))
    assert isinstance(theirs, GatewayError)


async def test_without_the_ledger_nothing_is_created(ports: Ports, upstream: Upstream) -> None:
    ports.ownership.is_down = True
    error = await refusal(ports.bind("ann").write(CREATE_THREAD, None, ThreadBody()))
    assert (error.code, error.retryable) == (ErrorCode.LEDGER_UNAVAILABLE, True)
    assert upstream.calls == []


async def test_a_create_that_surely_failed_leaves_no_intent(
    ports: Ports, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise DOWN

    monkeypatch.setattr(upstream, "write", fail)
    assert await refusal(ports.bind("ann").write(CREATE_THREAD, None, ThreadBody())) is DOWN
    (intent,) = ports.ownership.intents
    assert intent.is_discarded


async def test_a_deleted_thread_is_nobodys(ports: Ports, upstream: Upstream) -> None:
    ann = ports.bind("ann")
    await ann.write(DELETE_THREAD, THREAD, None)
    assert ports.ownership.deleted == [T]
    upstream.calls.clear()
    for api in (ann, ports.bind("ann")):
        (gone,) = await read(api, THREAD)
        assert isinstance(gone, GatewayError)
        assert gone.code is ErrorCode.NOT_FOUND
    assert upstream.calls == []


async def test_a_delete_that_failed_leaves_the_owner(
    ports: Ports, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise DOWN

    monkeypatch.setattr(upstream, "write", fail)
    await refusal(ports.bind("ann").write(DELETE_THREAD, THREAD, None))
    assert ports.ownership.deleted == []


async def test_a_read_without_the_ledger_fails_alone(ports: Ports, upstream: Upstream) -> None:
    ports.ownership.unknown = {"thread_2"}
    found, failed = await ports.bind("root").get(THREADS, [THREAD, OTHER_THREAD])
    assert isinstance(found, ThreadObject)
    assert isinstance(failed, GatewayError)
    assert failed.code is ErrorCode.LEDGER_UNAVAILABLE
    ports.ownership.is_down = True
    (assistant_,) = await ports.bind("ann").get(ASSISTANTS, [ASSISTANT])
    assert isinstance(assistant_, AssistantObject)


async def store(ports: Ports, name: str, *keys: Key) -> None:
    api = ports.bind(name)
    for key in keys:
        await read(api, key)
    await ports.shared.wait_until_idle()
    api.store_response(KEY, DATA)


async def test_it_caches_responses(ports: Ports, upstream: Upstream) -> None:
    await store(ports, "ann", THREAD, ASSISTANT)
    upstream.calls.clear()
    api = ports.bind("ann")
    assert isinstance(api, ResponseCache)
    assert await api.find_response(KEY) == DATA
    assert api.cost.cache_hits == 2
    assert upstream.calls == []


async def test_a_response_is_its_callers_alone_also_of_an_admin_and_an_owner(ports: Ports) -> None:
    await store(ports, "ann", THREAD)
    assert await ports.bind("root").find_response(KEY) is None
    await store(ports, "root", THREAD)
    for name, expected in (("ann", DATA), ("root", DATA), ("bob", None)):
        assert await ports.bind(name).find_response(KEY) == expected


@pytest.mark.parametrize("reader", ["ann", "root"])
async def test_a_response_is_not_used_once_its_thread_is_anothers(ports: Ports, reader: str) -> None:
    await store(ports, reader, THREAD)
    ports.ownership.owners[T] = owner("bob")
    assert await ports.bind(reader).find_response(KEY) is None


async def test_a_response_without_anothers_thread_is_not_used_once_it_is_the_callers(ports: Ports) -> None:
    await store(ports, "ann", OTHER_THREAD, ThreadKey("thread_9"))
    assert await ports.bind("ann").find_response(KEY) == DATA
    ports.ownership.owners["thread_9"] = owner("ann")
    assert await ports.bind("ann").find_response(KEY) is None


async def test_a_response_needs_the_ledger(ports: Ports) -> None:
    await store(ports, "ann", THREAD)
    ports.ownership.is_down = True
    assert await ports.bind("ann").find_response(KEY) is None
    ports.ownership.is_down = False
    ports.ownership.unknown = {"thread_2"}
    await store(ports, "bob", OTHER_THREAD)
    ports.ownership.unknown = set()
    assert await ports.bind("bob").find_response(KEY) is None


async def test_a_write_of_an_admin_invalidates_the_owners_response(ports: Ports) -> None:
    await store(ports, "ann", THREAD)
    await ports.bind("root").write(UPDATE_THREAD, THREAD, EDITED)
    assert await ports.bind("ann").find_response(KEY) is None
