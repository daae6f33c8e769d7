"""Tests that no principal gets, shares or invalidates cached data of another: entries, tags, flights."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache import tags
from gateway.cache.shared_cache import SharedCache
from schema.contract.bodies import AssistantUpdateBody, MetadataUpdateBody, ThreadUpdateBody
from schema.contract.kinds import Key, RunPageKey
from schema.contract.writes import UPDATE_ASSISTANT, UPDATE_MESSAGE, UPDATE_RUN, UPDATE_THREAD
from schema.root import build_schema
from tests.gateway.cache.cached_queries import operation_runner, run_query
from tests.gateway.cache.processes import processes
from tests.gateway.cache.upstream import (
    ACTIVE,
    ALL_KEYS,
    ASSISTANT,
    ENDED,
    THREAD,
    USER_MESSAGE,
    Upstream,
    cached,
    read,
    until,
)
from tests.support.full_runs import examples
from tests.support.valkey import Valkey, running_valkey
from tests.support.wire_samples import run

OWNERS = ("ann", "bob")
SCHEMA = build_schema()
QUERIES = (
    '{ thread(id: "thread_1") { metadata } assistants { nodes { metadata } } }',
    """{ threadsByIds(ids: ["thread_1", "thread_2"]) { metadata
        messages { nodes { metadata files { nodes { id } } } } } }""",
    '{ thread(id: "thread_1") { runs { nodes { metadata assistant { metadata } steps { nodes { metadata } } } } } }',
    '{ assistant(id: "asst_1") { metadata } thread(id: "thread_1") { id messages(last: 1) { nodes { metadata } } } }',
)
WRITES = ("update_thread", "update_message", "update_run", "run event", "update_assistant")
STEPS = st.lists(
    st.tuples(st.sampled_from(OWNERS), st.integers(0, 1), st.sampled_from([*ALL_KEYS, *WRITES])),
    min_size=5,
    max_size=25,
)


@pytest.fixture(scope="module")
def server() -> Any:
    with running_valkey() as valkey:
        yield valkey


@asynccontextmanager
async def two_processes(server: Valkey | None) -> AsyncIterator[list[SharedCache]]:
    if server is None:
        async with processes(1, None) as (shared,):
            yield [shared, shared]
        return
    server.command("FLUSHALL")
    async with processes(2, server.url) as two:
        yield two


def owners_in(answers: list[Any]) -> set[str]:
    """Return the owners of all objects in some responses. Each object carries its owner's name."""
    text = msgspec.json.encode(answers).decode()
    return {owner for owner in OWNERS if owner in text}


async def write(api: Any, name: str, owner: str) -> None:
    metadata = {"owner": owner}
    if name == "update_thread":
        await api.write(UPDATE_THREAD, THREAD, ThreadUpdateBody(metadata=metadata))
    elif name == "update_message":
        await api.write(UPDATE_MESSAGE, USER_MESSAGE, MetadataUpdateBody(metadata=metadata))
    elif name == "update_run":
        await api.write(UPDATE_RUN, ENDED, MetadataUpdateBody(metadata=metadata))
    else:
        await api.write(UPDATE_ASSISTANT, ASSISTANT, AssistantUpdateBody(metadata=metadata))


@pytest.mark.parametrize("store", ["memory", "redis"])
@examples(30, shared_fixtures=True)
@given(steps=STEPS)
async def test_nothing_crosses_between_principals(
    store: str, server: Valkey, steps: list[tuple[str, int, Any]]
) -> None:
    upstreams = {owner: Upstream(owner) for owner in OWNERS}

    async def take(shared: SharedCache, owner: str, what: Any) -> None:
        api = cached(upstreams[owner], shared, owner)
        if what == "run event":
            await shared.store.end_write(owner, tags.change_observed(ACTIVE))
        elif isinstance(what, str):
            await write(api, what, owner)
        else:
            assert owners_in(await read(api, what)) <= {owner}

    async with two_processes(server if store == "redis" else None) as shared:
        for owner, process, what in steps:
            # Both send at once, so that their flights meet if they can.
            other = OWNERS[1 - OWNERS.index(owner)]
            await asyncio.gather(take(shared[process], owner, what), take(shared[process], other, what))
        for owner, process, what in steps:
            await take(shared[process], owner, what)


@pytest.mark.parametrize("store", ["memory", "redis"])
@examples(30, shared_fixtures=True)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(OWNERS), st.integers(0, 1), st.sampled_from(QUERIES) | st.sampled_from([*QUERIES, *WRITES])
        ),
        min_size=10,
        max_size=25,
    ),
    ends=st.booleans(),
)
async def test_a_repeated_response_is_the_callers_own_and_equals_an_execution(
    store: str, server: Valkey, steps: list[tuple[str, int, str]], ends: bool
) -> None:
    upstreams = {owner: Upstream(owner) for owner in OWNERS}
    if ends:
        for upstream in upstreams.values():  # a page with an active run is never cached
            upstream.runs[ACTIVE] = run("run_2", status="completed", metadata=upstream.runs[ENDED].metadata)
    plain = operation_runner(SCHEMA, upstreams.__getitem__)
    edits = itertools.count()

    async def take(shared: SharedCache, owner: str, what: str) -> None:
        if what == "run event":
            await shared.store.end_write(owner, tags.change_observed(ACTIVE))
        elif what in WRITES:
            await write(cached(upstreams[owner], shared, owner), what, f"{owner} {next(edits)}")
        else:
            answer = await run_query(operation_runner(SCHEMA, upstreams.__getitem__, shared), what, owner=owner)
            assert answer == await run_query(plain, what, owner=owner)
            assert owners_in([answer.decode()]) == {owner}

    async with two_processes(server if store == "redis" else None) as shared:
        for owner, process, what in steps:
            other = OWNERS[1 - OWNERS.index(owner)]
            await asyncio.gather(take(shared[process], owner, what), take(shared[process], other, what))
            await take(shared[1 - process], owner, what)


@pytest.mark.parametrize("key", ALL_KEYS, ids=repr)
@pytest.mark.parametrize("store", ["memory", "redis"])
async def test_two_principals_with_the_same_read_at_once_make_two_calls(store: str, server: Valkey, key: Key) -> None:
    upstreams = {owner: Upstream(owner) for owner in OWNERS}
    async with two_processes(server if store == "redis" else None) as shared:
        for upstream in upstreams.values():
            upstream.gate.clear()
        reading = {
            owner: asyncio.create_task(read(cached(upstreams[owner], shared[number], owner), key))
            for number, owner in enumerate(OWNERS)
        }
        await until(lambda: all(upstream.waiting == 1 for upstream in upstreams.values()))
        for upstream in upstreams.values():
            upstream.gate.set()
        for owner, task in reading.items():
            assert owners_in(await task) <= {owner}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("store", ["memory", "redis"])
async def test_writes_of_one_principal_do_not_change_the_cache_of_another(
    store: str, server: Valkey, name: str
) -> None:
    upstreams = {owner: Upstream(owner) for owner in OWNERS}
    kept = [key for key in ALL_KEYS if key != ACTIVE and not isinstance(key, RunPageKey)]
    async with two_processes(server if store == "redis" else None) as shared:
        for key in kept:
            await read(cached(upstreams["ann"], shared[0], "ann"), key)
        await shared[0].wait_until_idle()
        upstreams["ann"].calls.clear()
        await write(cached(upstreams["bob"], shared[1], "bob"), name, "bob")
        for key in kept:
            await read(cached(upstreams["ann"], shared[1], "ann"), key)
        assert upstreams["ann"].calls == []
