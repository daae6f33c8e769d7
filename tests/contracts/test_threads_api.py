"""The contract of the reads of `ThreadsApi`, for every implementation over the same demo data."""

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, FileKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.kinds import (
    ASSISTANTS,
    FILES,
    MESSAGE_FILES,
    MESSAGES,
    RUN_STEPS,
    RUNS,
    THREADS,
    AssistantPageKey,
    MessageFilePageKey,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
)
from schema.contract.paging import Order, Window
from schema.contract.ports import ThreadsApi
from schema.contract.wire import Page, RunStepObject
from tests.contracts.world import World
from tests.support.fake_threads_api import V1, V2
from tests.support.full_runs import long_except

UNKNOWN = "x" * 24


def codes(results: Sequence[object]) -> list[ErrorCode | None]:
    return [result.code if isinstance(result, GatewayError) else None for result in results]


def as_text(value: object) -> str:
    """Return a value as comparable text; raw JSON parts keep the upstream's spaces."""
    return repr(value)


async def test_it_has_the_capabilities_of_its_version(api: ThreadsApi, version: str) -> None:
    assert api.capabilities == {"v1": V1, "v2": V2}[version]


async def test_each_object_is_found_by_its_key_in_the_order_of_the_keys(
    api: ThreadsApi, world: World, version: str
) -> None:
    gets: list[tuple[Callable[[Any], Awaitable[Sequence[Any]]], dict[Any, Any]]] = [
        (partial(api.get, THREADS), world.threads),
        (partial(api.get, MESSAGES), world.messages),
        (partial(api.get, RUNS), world.runs),
        (partial(api.get, RUN_STEPS), world.run_steps),
        (partial(api.get, ASSISTANTS), world.assistants),
        (partial(api.get, FILES), world.files),
    ]
    if version == "v1":
        gets.append((partial(api.get, MESSAGE_FILES), world.message_files))
    for get, table in gets:
        keys = [*reversed(table), *table]
        assert keys
        results = await get(keys)
        assert codes(results) == [None] * len(keys)
        assert [(item.id, item.object, item.created_at) for item in results] == [
            (table[key].id, table[key].object, table[key].created_at) for key in keys
        ]


async def test_no_keys_no_results(api: ThreadsApi) -> None:
    assert list(await api.get(RUNS, [])) == []
    assert list(await api.list(RUNS, [])) == []


async def test_a_missing_object_is_not_found_and_affects_only_its_key(api: ThreadsApi, world: World) -> None:
    thread_id, run_id = next(iter(world.runs))
    elsewhere = next(key.thread_id for key in world.threads if key.thread_id != thread_id)
    missing = ErrorCode.NOT_FOUND
    assert codes(await api.get(THREADS, [ThreadKey(f"thread_{UNKNOWN}"), ThreadKey(thread_id)])) == [missing, None]
    assert codes(
        await api.get(RUNS, [RunKey(thread_id, run_id), RunKey(elsewhere, run_id), RunKey(thread_id, f"run_{UNKNOWN}")])
    ) == [None, missing, missing]
    assert codes(await api.get(MESSAGES, [MessageKey(thread_id, f"msg_{UNKNOWN}")])) == [missing]
    assert codes(await api.get(RUN_STEPS, [RunStepKey(thread_id, run_id, f"step_{UNKNOWN}")])) == [missing]
    assert codes(await api.get(ASSISTANTS, [AssistantKey(f"asst_{UNKNOWN}")])) == [missing]
    assert codes(await api.get(FILES, [FileKey(f"file-{UNKNOWN}"), next(iter(world.files))])) == [missing, None]


async def test_a_list_of_a_missing_thread_or_run_is_not_found(api: ThreadsApi, world: World) -> None:
    window = Window(5, "asc")
    missing_thread = f"thread_{UNKNOWN}"
    thread_id = next(iter(world.threads)).thread_id
    messages = [MessagePageKey(missing_thread, None, window), MessagePageKey(thread_id, None, window)]
    assert codes(await api.list(MESSAGES, messages)) == [ErrorCode.NOT_FOUND, None]
    assert codes(await api.list(RUNS, [RunPageKey(missing_thread, window)])) == [ErrorCode.NOT_FOUND]
    steps = RunStepPageKey(thread_id, f"run_{UNKNOWN}", window)
    assert codes(await api.list(RUN_STEPS, [steps])) == [ErrorCode.NOT_FOUND]


async def test_a_list_after_a_missing_object_is_not_found(api: ThreadsApi, world: World) -> None:
    key = MessagePageKey(world.longest_thread, None, Window(5, "asc", f"msg_{UNKNOWN}"))
    assert codes(await api.list(MESSAGES, [key])) == [ErrorCode.NOT_FOUND]


async def read_all_ids(
    list_pages: Callable[[Any], Awaitable[Sequence[Any]]], key: Any, limit: int, order: Order
) -> list[str]:
    """Return the ids of a whole list, read page by page; every page but the last is full."""
    ids: list[str] = []
    window = Window(limit, order)
    while True:
        (page,) = await list_pages([key._replace(window=window)])
        assert isinstance(page, Page), page
        ids += [item.id for item in page.data]
        if not page.has_more:
            assert len(page.data) <= limit
            return ids
        assert len(page.data) == limit
        window = Window(limit, order, ids[-1])


@pytest.mark.parametrize("limit", long_except([7, 100], [7]))
async def test_a_list_read_page_by_page_is_complete_in_both_orders(api: ThreadsApi, world: World, limit: int) -> None:
    thread_id = world.longest_thread
    run_owner, run_id, _ = next(iter(world.run_steps))
    first = Window(1, "asc")
    lists: list[tuple[Callable[[Any], Awaitable[Sequence[Any]]], Any, list[str]]] = [
        (
            partial(api.list, MESSAGES),
            MessagePageKey(thread_id, None, first),
            [key.message_id for key in world.messages if key.thread_id == thread_id],
        ),
        (
            partial(api.list, RUNS),
            RunPageKey(run_owner, first),
            [key.run_id for key in world.runs if key.thread_id == run_owner],
        ),
        (
            partial(api.list, RUN_STEPS),
            RunStepPageKey(run_owner, run_id, first),
            [key.step_id for key in world.run_steps if key[:2] == (run_owner, run_id)],
        ),
        (partial(api.list, ASSISTANTS), AssistantPageKey(first), [key.assistant_id for key in world.assistants]),
    ]
    for list_pages, key, expected in lists:
        assert expected
        assert await read_all_ids(list_pages, key, limit, "asc") == expected
        assert await read_all_ids(list_pages, key, limit, "desc") == expected[::-1]


async def test_messages_can_be_limited_to_the_run_that_wrote_them(api: ThreadsApi, world: World) -> None:
    keys = [MessagePageKey(*key, Window(100, "asc")) for key in world.runs]
    for key, page in zip(keys, await api.list(MESSAGES, keys), strict=True):
        assert isinstance(page, Page)
        assert [message.id for message in page.data] == [
            message.id
            for owner, message in world.messages.items()
            if owner.thread_id == key.thread_id and message.run_id == key.run_id
        ]


async def test_one_batch_may_hold_the_same_page_twice(api: ThreadsApi, world: World) -> None:
    newest = MessagePageKey(world.longest_thread, None, Window(3, "desc"))
    oldest = MessagePageKey(world.longest_thread, None, Window(3, "asc"))
    pages = await api.list(MESSAGES, [newest, oldest, newest])
    assert as_text(pages[0]) == as_text(pages[2]) != as_text(pages[1])


async def test_files_of_messages_exist_in_version_1_only(api: ThreadsApi, world: World, version: str) -> None:
    window = Window(10, "asc")
    if version == "v2":
        message = next(iter(world.messages))
        unsupported = ErrorCode.UNSUPPORTED_BY_UPSTREAM
        assert codes(await api.get(MESSAGE_FILES, [MessageFileKey(*message, "file-1")])) == [unsupported]
        assert codes(await api.list(MESSAGE_FILES, [MessageFilePageKey(*message, window)])) == [unsupported]
        return
    thread_id, message_id, _ = next(iter(world.message_files))
    (page,) = await api.list(MESSAGE_FILES, [MessageFilePageKey(thread_id, message_id, window)])
    assert isinstance(page, Page)
    assert [file.id for file in page.data] == [
        key.file_id for key in world.message_files if key[:2] == (thread_id, message_id)
    ]


async def test_file_search_results_include_their_text(api: ThreadsApi, world: World, version: str) -> None:
    if version == "v1":
        return  # version 1 has no file search
    searches = [key for key, step in world.run_steps.items() if b"file_search" in bytes(step.step_details)]
    assert searches
    for key, single in zip(searches, await api.get(RUN_STEPS, searches), strict=True):
        (page,) = await api.list(RUN_STEPS, [RunStepPageKey(key.thread_id, key.run_id, Window(100, "asc"))])
        assert isinstance(page, Page)
        listed = next(step for step in page.data if step.id == key.step_id)
        for step in (single, listed):
            assert isinstance(step, RunStepObject)
            calls = json.loads(bytes(step.step_details))["tool_calls"]
            assert all(result["content"][0]["text"] for call in calls for result in call["file_search"]["results"])
