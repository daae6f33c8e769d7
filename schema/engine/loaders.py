"""Loaders, one per kind of key. They batch the loads of one operation, and memoise the results for that operation.

Loaders live as long as one operation, and are made inside the running event loop. A batch never raises: a key that
failed gets its error as a value. Every batch has a deadline, and `Loaders.aclose` ends the batches in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

from aiodataloader import DataLoader

from schema.contract.errors import GatewayError
from schema.contract.kinds import AnyKind, Kind, NodeKeyT, ObjectT, PageKey, PageKeyT
from schema.contract.ports import Results, ThreadsApi
from schema.contract.wire import Page
from schema.engine.batches import BatchRunner, Fetch, ThreadBarrier

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
FetchPages: TypeAlias = Callable[..., Awaitable[Results[Page[ObjectT]]]]
"""Fetches pages. Takes `on_result` for partial results."""


ParentKey: TypeAlias = tuple[Any, ...]
"""The common part of the keys of one list's objects: all but the object's own id."""


class PortLoader(DataLoader[KeyT, ValueT]):
    """Loads values by key through one function of the port."""

    def __init__(self, fetch: Fetch[KeyT, ValueT], batches: BatchRunner) -> None:
        """Load through `fetch`, in batches that `batches` runs."""
        super().__init__()
        self._fetch = fetch
        self._batches = batches

    async def batch_load_fn(self, keys: list[KeyT]) -> list[Any]:
        """Fetch a batch. Returns one value or error per key, in their order."""
        return self._resolve_futures(keys, await self._batches.run_batch(self._fetch, keys))

    def load(self, key: KeyT) -> asyncio.Future[ValueT]:
        """Load one key. Cancelling the returned future does not cancel the load, since other callers share it."""
        return asyncio.shield(self.start_load(key))

    def start_load(self, key: KeyT) -> asyncio.Future[ValueT]:
        """Start a load and return its shared future. Callers may read it and add callbacks, but not cancel it."""
        return super().load(key)

    def peek(self, key: KeyT) -> ValueT | None:
        """Return a loaded value without waiting. Returns None if it is not loaded yet, or its load failed."""
        future = self._cache.get(key)
        if future is None or not future.done() or future.cancelled() or future.exception() is not None:
            return None
        return future.result()

    def _resolve_futures(self, keys: Sequence[KeyT], results: list[Any]) -> list[Any]:
        """Resolve the futures of these keys, if they are not resolved yet."""
        for key, result in zip(keys, results, strict=True):
            future = self._cache.get(key)
            if future is None or future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
                future.exception()  # marks it as retrieved: a failure is reported only where the value is used
            else:
                future.set_result(result)
        return results


class ObjectLoader(PortLoader[NodeKeyT, ObjectT]):
    """Loads objects. An object on a loaded page needs no load of its own.

    A page is indexed only when an object of its list is loaded, which never happens for most pages.

    A load waits for the pages that were requested earlier and may hold the object. A reference is usually found in a
    response that was requested together with that page. So the wait is short, and the number of calls does not depend
    on chance.
    """

    def __init__(self, fetch: Fetch[NodeKeyT, ObjectT], batches: BatchRunner) -> None:
        """Load through `fetch`, in batches that `batches` runs."""
        super().__init__(fetch, batches)
        self._unindexed_pages: dict[ParentKey, list[Page[ObjectT]]] = {}
        self._indexed_objects: dict[ParentKey, dict[str, ObjectT]] = {}
        self._expected_pages: dict[ParentKey, list[asyncio.Future[Any]]] = {}

    def expect_page(self, parent_key: ParentKey, page: asyncio.Future[Page[ObjectT]]) -> None:
        """Register a requested page of the parent's objects, so that later loads wait for it."""
        self._expected_pages.setdefault(parent_key, []).append(page)

    def prime_page(self, parent_key: ParentKey, page: Page[ObjectT]) -> None:
        """Prime the loader with a page of the parent's objects. It does not replace loaded or primed objects."""
        self._unindexed_pages.setdefault(parent_key, []).append(page)

    def start_load(self, key: NodeKeyT) -> asyncio.Future[ObjectT]:
        """Start a load, unless a loaded page holds the object or an expected page may hold it."""
        if key not in self._cache:
            if (listed := self._find_on_pages(key)) is not None:
                self.prime(key, listed)
            elif pages := [page for page in self._expected_pages.pop(key[:-1], ()) if not page.done()]:
                self._expected_pages[key[:-1]] = pages
                self._load_after_pages(key, pages)
        return super().start_load(key)

    def peek(self, key: NodeKeyT) -> ObjectT | None:
        """Return an object that is loaded, by itself or on a page."""
        return super().peek(key) if key in self._cache else self._find_on_pages(key)

    def _load_after_pages(self, key: NodeKeyT, pages: Sequence[asyncio.Future[Page[ObjectT]]]) -> None:
        """Wait for all these pages. Then take the object from one of them, or load it."""
        load: asyncio.Future[ObjectT] = self.loop.create_future()
        self._cache[key] = load
        pending = len(pages)

        def on_page_done(_: object) -> None:
            nonlocal pending
            pending -= 1
            if pending or load.done():
                return
            if (listed := self._find_on_pages(key)) is not None:
                load.set_result(listed)
            else:
                self.do_resolve_reject(key, load)

        for page in pages:
            page.add_done_callback(on_page_done)

    def _find_on_pages(self, key: NodeKeyT) -> ObjectT | None:
        parent_key = key[:-1]
        for page in self._unindexed_pages.pop(parent_key, ()):
            indexed = self._indexed_objects.setdefault(parent_key, {})
            for item in page.data:
                indexed.setdefault(item.id, item)
        found = self._indexed_objects.get(parent_key)
        return None if found is None else found.get(key[-1])


class PageLoader(PortLoader[PageKeyT, Page[ObjectT]]):
    """Loads pages. Pages of one list from one position share the longest; each page primes the loader of its objects.

    The pages of a thread are released as soon as they have arrived, so that the loads that depend on them do not wait
    for the slowest thread. Pages of one thread that were requested together are released together (`ThreadBarrier`):
    the loads that follow are more of that thread, and many single loads are one call only if they start together. For
    the same reason single objects wait for their whole batch.
    """

    def __init__(
        self,
        fetch: FetchPages[ObjectT],
        batches: BatchRunner,
        objects: ObjectLoader[Any, ObjectT],
        to_parent_key: Callable[[PageKeyT], ParentKey],
    ) -> None:
        """Load through `fetch`, and prime `objects` with each page under the key that `to_parent_key` returns."""
        super().__init__(fetch, batches)
        self._fetch_pages = fetch
        self._objects = objects
        self._to_parent_key = to_parent_key
        self._started_keys: dict[Hashable, list[PageKeyT]] = {}

    def start_load(self, key: PageKeyT) -> asyncio.Future[Page[ObjectT]]:
        """Start to load a page, or cut it from an earlier requested page that holds it."""
        self._reuse_longer_page(key)
        return super().start_load(key)

    def peek(self, key: PageKeyT) -> Page[ObjectT] | None:
        """Return a page that is loaded, by itself or as part of a longer page."""
        if _list_position(key) in self._started_keys:
            self._reuse_longer_page(key)
        return super().peek(key)

    def _reuse_longer_page(self, key: PageKeyT) -> None:
        """Memoise a page that can be cut from another page of the same list and position."""
        if key in self._cache:
            return
        started = self._started_keys.setdefault(_list_position(key), [])
        for other in started:
            page = super().peek(other)
            if other.window.limit >= key.window.limit or (page is not None and not page.has_more):
                self._cache[key] = _cut_future(self._cache[other], key)
                return
        started.append(key)

    async def batch_load_fn(self, keys: list[PageKeyT]) -> list[Any]:
        """Fetch the longest page of each list and position, and cut the others from it."""
        sources = longest_page_keys(keys)
        keys_by_source: dict[PageKeyT, list[PageKeyT]] = {}
        for key, source in zip(keys, sources, strict=True):
            keys_by_source.setdefault(source, []).append(key)
            self._objects.expect_page(self._to_parent_key(key), self._cache[key])
        pages: dict[PageKeyT, Any] = {}
        fetch = self._fetch_by_thread(keys_by_source, pages)
        for source, page in zip(keys_by_source, await self._batches.run_batch(fetch, keys_by_source), strict=True):
            if source not in pages:
                self._add_page(pages, source, page)
        return self._resolve_futures(
            keys, [_cut_page(pages[source], key) for key, source in zip(keys, sources, strict=True)]
        )

    def _fetch_by_thread(
        self, keys_by_source: Mapping[PageKeyT, list[PageKeyT]], pages: dict[PageKeyT, Any]
    ) -> Fetch[PageKeyT, Page[ObjectT]]:
        """Make the fetch function that releases each thread's pages as soon as they have arrived."""
        thread_ids = [_thread_id(source) for source in keys_by_source]
        if len(set(thread_ids)) == 1:
            return self._fetch  # all pages are released together anyway
        barrier = ThreadBarrier(thread_ids)

        def release(source: PageKeyT) -> None:
            keys = keys_by_source[source]
            self._resolve_futures(keys, [_cut_page(pages[source], key) for key in keys])

        def on_result(source: PageKeyT, page: Page[ObjectT] | GatewayError) -> None:
            self._add_page(pages, source, page)
            barrier.add_page(_thread_id(source), partial(release, source))

        return partial(self._fetch_pages, on_result=on_result)

    def _add_page(self, pages: dict[PageKeyT, Any], key: PageKeyT, page: Page[ObjectT] | BaseException) -> None:
        pages[key] = page
        if isinstance(page, Page):
            self._objects.prime_page(self._to_parent_key(key), page)


def longest_page_keys(keys: Sequence[PageKeyT]) -> list[PageKeyT]:
    """Find for each page key the key of the longest page from the same position of the same list. Pure."""
    longest: dict[Hashable, PageKeyT] = {}
    for key in keys:
        position = _list_position(key)
        known = longest.get(position)
        if known is None or known.window.limit < key.window.limit:
            longest[position] = key
    return [longest[_list_position(key)] for key in keys]


def _list_position(key: PageKey) -> Hashable:
    """Return the list of a page and the position where it begins: all parts of a key but its limit."""
    return (key[:-1], key.window.order, key.window.after)


def _thread_id(key: PageKey) -> str | None:
    """Return the thread of a page. Assistants belong to no thread."""
    return getattr(key, "thread_id", None)


def _cut_future(source: asyncio.Future[Page[ObjectT]], key: PageKey) -> asyncio.Future[Page[ObjectT]]:
    """Make the future of a page that will be cut from a longer one."""
    cut: asyncio.Future[Page[ObjectT]] = source.get_loop().create_future()

    def on_done(done: asyncio.Future[Page[ObjectT]]) -> None:
        if cut.done():
            return
        if done.cancelled():
            cut.cancel()
        elif (error := done.exception()) is not None:
            cut.set_exception(error)
            cut.exception()  # marks it as retrieved, since there may be no waiter
        else:
            cut.set_result(cast("Page[ObjectT]", _cut_page(done.result(), key)))

    if source.done():
        on_done(source)
    else:
        source.add_done_callback(on_done)
    return cut


def _cut_page(page: Page[ObjectT] | BaseException, key: PageKey) -> Page[ObjectT] | BaseException:
    limit = key.window.limit
    if isinstance(page, BaseException) or len(page.data) <= limit:
        return page
    return Page(data=page.data[:limit], has_more=True)


class Loaders:
    """All loaders of one operation, for one principal. Each is made on first use."""

    def __init__(self, api: ThreadsApi, *, deadline_seconds: float = 60.0, batches: BatchRunner | None = None) -> None:
        """Load through `api`, each batch within the deadline. Earlier loaders of the operation share `batches`."""
        self._api = api
        self.batches = batches or BatchRunner(deadline_seconds)
        self._objects: dict[AnyKind, ObjectLoader[Any, Any]] = {}
        self._pages: dict[AnyKind, PageLoader[Any, Any]] = {}

    def objects(self, kind: Kind[NodeKeyT, ObjectT, Any]) -> ObjectLoader[NodeKeyT, ObjectT]:
        """Return the loader of the objects of a kind."""
        loader = self._objects.get(kind)
        if loader is None:
            loader = self._objects[kind] = ObjectLoader(partial(self._api.get, kind), self.batches)
        return loader

    def pages(self, kind: Kind[Any, ObjectT, PageKeyT]) -> PageLoader[PageKeyT, ObjectT]:
        """Return the loader of the pages of a kind."""
        loader = self._pages.get(kind)
        if loader is None:
            fetch = partial(self._api.list, kind)
            loader = PageLoader(fetch, self.batches, self.objects(kind), kind.to_parent_key)
            self._pages[kind] = loader
        return loader

    def make_fresh(self) -> Loaders:
        """Make loaders that hold no values. Loads in flight still end with the operation."""
        return Loaders(self._api, batches=self.batches)

    async def aclose(self) -> None:
        """Cancel the loads in flight."""
        await self.batches.aclose()
