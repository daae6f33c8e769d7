"""Loads many objects of one thread by one list call, and the rest by single calls.

The plan is pure: which threads are worth a list call, and which objects are left. The small loop that carries it out
gets its two ways of loading as arguments, so it does not depend on HTTP.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from schema.contract.ports import Results
from schema.contract.wire import Page

MIN_LOADS_FOR_LIST = 3
"""From this number of objects in one thread on, a list call is cheaper than single calls."""

MIN_PAGE_SIZE = 20


class KeyInThread(Protocol):
    """A key of an object in a thread. Its last part is the object's id."""

    @property
    def thread_id(self) -> str: ...
    def __getitem__(self, index: int, /) -> str: ...


class ObjectWithId(Protocol):
    """An object that has an id."""

    @property
    def id(self) -> str: ...


KeyT = TypeVar("KeyT", bound=KeyInThread)
PageKeyT = TypeVar("PageKeyT")
ObjectT = TypeVar("ObjectT", bound=ObjectWithId)


def plan_lists(keys: Sequence[KeyT]) -> dict[str, Window]:
    """Choose the threads for which a list call pays off, and the page to load for each.

    The page holds the newest objects, since queries mostly refer to recent ones. Its size is twice the number of wanted
    objects, from 20 to 100.
    """
    ids_by_thread: dict[str, set[str]] = {}
    for key in keys:
        ids_by_thread.setdefault(key.thread_id, set()).add(key[-1])
    return {
        thread_id: Window(min(max(2 * len(ids), MIN_PAGE_SIZE), UPSTREAM_PAGE_SIZE), "desc")
        for thread_id, ids in ids_by_thread.items()
        if len(ids) >= MIN_LOADS_FOR_LIST
    }


async def load_through_lists(
    keys: Sequence[KeyT],
    page_key: Callable[[str, Window], PageKeyT],
    list_pages: Callable[[Sequence[PageKeyT]], Awaitable[Results[Page[ObjectT]]]],
    get_each: Callable[[Sequence[KeyT]], Awaitable[Results[ObjectT]]],
) -> Results[ObjectT]:
    """Load objects by list calls where that takes fewer calls.

    List calls and the single loads of other threads start together. If a thread is missing or the upstream fails, that
    error is the result for every key of the thread. If the upstream has no such list, each object is loaded by itself.

    Returns:
        One result per key, in the order of the keys. An error is a value.
    """
    windows = plan_lists(keys)
    if not windows:
        return await get_each(keys)
    single_keys = [key for key in keys if key.thread_id not in windows]
    lists = list_pages([page_key(thread_id, window) for thread_id, window in windows.items()])
    pages, single_results = await asyncio.gather(lists, get_each(single_keys)) if single_keys else (await lists, ())
    results: dict[KeyT, ObjectT | GatewayError] = dict(zip(single_keys, single_results, strict=True))
    for thread_id, page in zip(windows, pages, strict=True):
        results |= _results_from_page(thread_id, page, keys)
    remaining_keys = list(dict.fromkeys(key for key in keys if key not in results))
    if remaining_keys:
        results |= zip(remaining_keys, await get_each(remaining_keys), strict=True)
    return [results[key] for key in keys]


def _results_from_page(
    thread_id: str, page: Page[ObjectT] | GatewayError, keys: Sequence[KeyT]
) -> dict[KeyT, ObjectT | GatewayError]:
    """Return the results that a page, or its error, holds for the keys of its thread. Pure."""
    thread_keys = [key for key in keys if key.thread_id == thread_id]
    if isinstance(page, GatewayError):
        return {} if page.code is ErrorCode.UNSUPPORTED_BY_UPSTREAM else dict.fromkeys(thread_keys, page)
    objects_by_id = {item.id: item for item in page.data}
    return {key: objects_by_id[key[-1]] for key in thread_keys if key[-1] in objects_by_id}
