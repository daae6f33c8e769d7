"""Each table by kind has a row for each kind, and each table by write one for each write."""

from typing import get_args

import pytest

from gateway.cache.policy import OBJECT_LIFETIMES
from gateway.cache.tags import CANDIDATES, CHANGES
from gateway.upstream.rest_operations import GETS, LISTS, WRITES
from schema.contract import kinds, writes
from schema.contract.bodies import ThreadBody
from schema.contract.keys import NodeKey, RunKey, ThreadKey
from schema.contract.kinds import (
    KINDS,
    KINDS_BY_PAGE_KEY,
    RUNS,
    THREADS,
    AnyKind,
    Kind,
    PageKey,
    RunPageKey,
    RunStepPageKey,
)
from schema.contract.paging import Window
from schema.contract.ports import Results, ThreadsApi
from schema.contract.wire import RunObject
from schema.contract.writes import Write
from schema.graph.nodes import NODE_TYPES
from tests.contracts.world import World
from tests.gateway.cache.upstream import ALL_KEYS
from tests.support.fake_threads_api import FakeThreadsApi


def test_each_kind_and_each_write_is_in_its_tuple() -> None:
    assert set(KINDS) == {row for row in vars(kinds).values() if isinstance(row, Kind)}
    assert set(writes.WRITES) == {row for row in vars(writes).values() if isinstance(row, Write)}


def test_the_key_types_are_those_of_the_kinds() -> None:
    assert set(get_args(NodeKey)) == {kind.key_type for kind in KINDS}
    assert set(get_args(PageKey)) == set(KINDS_BY_PAGE_KEY)
    assert {type(key) for key in ALL_KEYS} == {*get_args(NodeKey), *get_args(PageKey)}


@pytest.mark.parametrize("kind", KINDS_BY_PAGE_KEY.values(), ids=lambda kind: kind.name)
def test_a_page_key_has_a_window_and_begins_with_the_common_part_of_its_objects_keys(kind: AnyKind) -> None:
    assert kind.page_key_type is not None
    parts = kind.key_type._fields[:-1]
    assert kind.page_key_type._fields[: len(parts)] == parts
    assert kind.page_key_type._fields[-1] == "window"
    page_key = kind.page_key_type(
        *[Window(1, "asc") if part == "window" else part for part in kind.page_key_type._fields]
    )
    assert kind.to_parent_key(page_key) == parts


def test_each_kind_has_a_row_in_each_table() -> None:
    assert set(GETS) == set(KINDS)
    assert set(LISTS) == set(KINDS_BY_PAGE_KEY.values())
    assert set(CANDIDATES) == {kind.key_type for kind in KINDS} | set(KINDS_BY_PAGE_KEY)
    assert set(OBJECT_LIFETIMES) == {kind.wire_type for kind in KINDS}
    assert {kind.key_type: kind.type_name for kind in KINDS} == {
        key: node.TYPE_NAME for key, node in NODE_TYPES.items()
    }


def test_each_write_has_a_row_in_each_table() -> None:
    assert set(WRITES) == set(CHANGES) == set(writes.WRITES)


def test_the_fake_and_the_demo_data_have_a_table_of_each_kind() -> None:
    assert {kind.name for kind in KINDS} <= vars(FakeThreadsApi()).keys()
    assert {kind.name for kind in KINDS} <= set(World.__dataclass_fields__)


async def _calls_that_mypy_refuses(api: ThreadsApi) -> None:
    """Hold the types of the port: each comment would be unused, and so an error of mypy, if its line had no error."""
    await api.get(THREADS, [RunKey("thread_1", "run_1")])  # type: ignore[misc]
    await api.list(THREADS, [RunPageKey("thread_1", Window(1, "asc"))])  # type: ignore[misc]
    await api.list(RUNS, [RunStepPageKey("thread_1", "run_1", Window(1, "asc"))])  # type: ignore[misc]
    await api.write(writes.DELETE_THREAD, RunKey("thread_1", "run_1"), None)  # type: ignore[misc]
    await api.write(writes.CREATE_THREAD, None, None)  # type: ignore[misc]
    threads: Results[RunObject] = await api.get(THREADS, [ThreadKey("thread_1")])  # type: ignore[assignment]
    thread: RunObject = await api.write(writes.CREATE_THREAD, None, ThreadBody())  # type: ignore[arg-type]
    del threads, thread
