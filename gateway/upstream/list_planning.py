"""Many single objects of one thread are had by one list call, and single calls for what it did not hold.

The plan is pure: which threads are worth a list, and what is left. The small loop that carries it out is given its
two ways of asking, so it knows nothing of HTTP.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from schema.contract.ports import Results
from schema.contract.wire import Page

LEAST_LOADS = 3
"""From so many objects of one thread on, a list call is cheaper than single calls."""

LEAST_PAGE = 20


class InThread(Protocol):
    """A key of an object that lies within a thread; its last part is the object's id."""

    @property
    def thread_id(self) -> str: ...
    def __getitem__(self, index: int, /) -> str: ...


class Identified(Protocol):
    """An object that says its own id."""

    @property
    def id(self) -> str: ...


KeyT = TypeVar("KeyT", bound=InThread)
PageKeyT = TypeVar("PageKeyT")
ObjectT = TypeVar("ObjectT", bound=Identified)


def threads_worth_a_list(keys: Sequence[KeyT]) -> dict[str, Window]:
    """Say of which threads a list is worth its call, and which page of it: the newest, twice as many as are wanted.

    What a query refers to is mostly what happened last. The page has 20 to 100 objects.
    """
    wanted: dict[str, set[str]] = {}
    for key in keys:
        wanted.setdefault(key.thread_id, set()).add(key[-1])
    return {
        thread_id: Window(min(max(2 * len(ids), LEAST_PAGE), UPSTREAM_PAGE_SIZE), "desc")
        for thread_id, ids in wanted.items()
        if len(ids) >= LEAST_LOADS
    }


async def load_through_lists(
    keys: Sequence[KeyT],
    page_key: Callable[[str, Window], PageKeyT],
    list_pages: Callable[[Sequence[PageKeyT]], Awaitable[Results[Page[ObjectT]]]],
    get_each: Callable[[Sequence[KeyT]], Awaitable[Results[ObjectT]]],
) -> Results[ObjectT]:
    """Load objects by lists where that takes fewer calls; same length and order as the keys, errors as values.

    Lists and the single loads of other threads start together. A thread that is not there answers for all that was
    wanted of it, and so does a failing upstream; one that has no such list is asked for each object.
    """
    windows = threads_worth_a_list(keys)
    if not windows:
        return await get_each(keys)
    alone = [key for key in keys if key.thread_id not in windows]
    lists = list_pages([page_key(thread_id, window) for thread_id, window in windows.items()])
    pages, singles = await asyncio.gather(lists, get_each(alone)) if alone else (await lists, ())
    found: dict[KeyT, ObjectT | GatewayError] = dict(zip(alone, singles, strict=True))
    for thread_id, page in zip(windows, pages, strict=True):
        found |= _answers(thread_id, page, keys)
    rest = list(dict.fromkeys(key for key in keys if key not in found))
    if rest:
        found |= zip(rest, await get_each(rest), strict=True)
    return [found[key] for key in keys]


def _answers(
    thread_id: str, page: Page[ObjectT] | GatewayError, keys: Sequence[KeyT]
) -> dict[KeyT, ObjectT | GatewayError]:
    """What a page, or its failure, says of the keys of its thread. Pure."""
    wanted = [key for key in keys if key.thread_id == thread_id]
    if isinstance(page, GatewayError):
        return {} if page.code is ErrorCode.UNSUPPORTED_BY_UPSTREAM else dict.fromkeys(wanted, page)
    held = {item.id: item for item in page.data}
    return {key: held[key[-1]] for key in wanted if key[-1] in held}
