"""One loader for each kind of key: batches what one operation asks for, and memoises it for that operation.

Loaders live as long as one operation and are made inside the running loop. A batch never raises: a key that failed
gets its error as a value. Every batch has a deadline, and `Loaders.aclose` ends whatever is still under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from aiodataloader import DataLoader

from schema.errors import ErrorCode, GatewayError
from schema.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.ports import (
    AssistantPageKey,
    MessageFilePageKey,
    MessagePageKey,
    Results,
    RunPageKey,
    RunStepPageKey,
    ThreadsApi,
)
from schema.wire import (
    AssistantObject,
    MessageFileObject,
    MessageObject,
    Page,
    RunObject,
    RunStepObject,
    ThreadObject,
)

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class HasId(Protocol):
    """An upstream object that can be identified."""

    @property
    def id(self) -> str:
        """The upstream's id."""


ObjectT = TypeVar("ObjectT", bound=HasId)


PageKey: TypeAlias = MessagePageKey | RunPageKey | RunStepPageKey | AssistantPageKey | MessageFilePageKey
PageKeyT = TypeVar("PageKeyT", bound=PageKey)
Fetch: TypeAlias = Callable[[Sequence[KeyT]], Awaitable[Results[ValueT]]]


class Batches:
    """The batches of one operation that are under way: their deadline, and their end."""

    def __init__(self, deadline_seconds: float) -> None:
        """Bound each batch by a deadline."""
        self._deadline_seconds = deadline_seconds
        self._under_way: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def run(self, fetch: Fetch[KeyT, ValueT], keys: Sequence[KeyT]) -> list[ValueT | BaseException]:
        """Fetch a batch; what cannot be had is an error in its place, and never raised."""
        if self._closed:
            return [_ended() for _ in keys]
        task = asyncio.current_task()
        if task is not None:
            self._under_way.add(task)
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return list(await fetch(keys))
        except TimeoutError:
            message = f"The upstream did not answer within {self._deadline_seconds:g} seconds."
            return [GatewayError(ErrorCode.UPSTREAM_TIMEOUT, message) for _ in keys]
        except asyncio.CancelledError:
            # The operation is over. Raised, the cancellation would leave whoever waits for the batch waiting for ever.
            return [_ended() for _ in keys]
        except Exception as error:
            return [error for _ in keys]
        finally:
            if task is not None:
                self._under_way.discard(task)

    async def aclose(self) -> None:
        """Cancel the batches that are under way, and wait until they have ended."""
        self._closed = True
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)


def _ended() -> GatewayError:
    return GatewayError(ErrorCode.INTERNAL, "The operation ended before this was loaded.", retryable=True)


class PortLoader(DataLoader[KeyT, ValueT]):
    """Loads by key through one function of the port."""

    def __init__(self, fetch: Fetch[KeyT, ValueT], batches: Batches) -> None:
        """Load through `fetch`; `batches` owns the calls."""
        super().__init__()
        self._fetch = fetch
        self._batches = batches

    async def batch_load_fn(self, keys: list[KeyT]) -> list[Any]:
        """Fetch a batch: one value or error for each key, in their order."""
        return await self._batches.run(self._fetch, keys)

    def load(self, key: KeyT) -> asyncio.Future[ValueT]:
        """Load one key. Cancelling whoever waits does not cancel the load, since others may wait for it too."""
        return asyncio.shield(self.start(key))

    def start(self, key: KeyT) -> asyncio.Future[ValueT]:
        """Begin a load and give its future, which others share: it may be looked at and called back, not cancelled."""
        future = super().load(key)
        if not future.done():
            future.add_done_callback(_take_note)  # a failure is reported where somebody asks for the value
        return future

    def held(self, key: KeyT) -> ValueT | None:
        """Give what is already here, without waiting; None when it is not, or when it could not be had."""
        future = self._cache.get(key)
        if future is None or not future.done() or future.cancelled() or future.exception() is not None:
            return None
        return future.result()


def _take_note(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


class PageLoader(PortLoader[PageKeyT, Page[ObjectT]]):
    """Loads pages; pages of one list from one place share the longest, and each primes the loader of its objects."""

    def __init__(
        self,
        fetch: Fetch[PageKeyT, Page[ObjectT]],
        batches: Batches,
        objects: PortLoader[Any, ObjectT],
        key_of: Callable[[PageKeyT, str], Any],
    ) -> None:
        """Load through `fetch` and prime `objects`; `key_of` makes an object's key of its page's and its id."""
        super().__init__(fetch, batches)
        self._objects = objects
        self._key_of = key_of
        self._asked: dict[Hashable, list[PageKeyT]] = {}

    def start(self, key: PageKeyT) -> asyncio.Future[Page[ObjectT]]:
        """Begin to load a page, or cut it from one that was asked for before and holds it."""
        self._look_among_asked(key)
        return super().start(key)

    def held(self, key: PageKeyT) -> Page[ObjectT] | None:
        """Give a page that is here, or that a page that is here holds."""
        if _list_of(key) in self._asked:
            self._look_among_asked(key)
        return super().held(key)

    def _look_among_asked(self, key: PageKeyT) -> None:
        """Memoise a page that follows from another of the same list and place."""
        if key in self._cache:
            return
        asked = self._asked.setdefault(_list_of(key), [])
        for other in asked:
            page = super().held(other)
            if other.window.limit >= key.window.limit or (page is not None and not page.has_more):
                self._cache[key] = _cut_when_here(self._cache[other], key.window.limit)
                return
        asked.append(key)

    async def batch_load_fn(self, keys: list[PageKeyT]) -> list[Any]:
        """Fetch the longest of each group of pages and cut the others from it."""
        longest = longest_windows(keys)
        wanted = list(dict.fromkeys(longest))
        pages = dict(zip(wanted, await super().batch_load_fn(wanted), strict=True))
        for key, page in pages.items():
            if isinstance(page, Page):
                for item in page.data:
                    self._objects.prime(self._key_of(key, item.id), item)
        return [_cut(pages[source], key.window.limit) for key, source in zip(keys, longest, strict=True)]


def longest_windows(keys: Sequence[PageKeyT]) -> list[PageKeyT]:
    """Say for each page key which of the keys has the page that holds it: the longest from the same place. Pure."""
    longest: dict[Hashable, PageKeyT] = {}
    for key in keys:
        list_ = _list_of(key)
        known = longest.get(list_)
        if known is None or known.window.limit < key.window.limit:
            longest[list_] = key
    return [longest[_list_of(key)] for key in keys]


def _list_of(key: PageKey) -> Hashable:
    """Name the list that a page is of, and the place where it begins: all of a key but its limit."""
    return (key[:-1], key.window.order, key.window.after)


def _cut_when_here(source: asyncio.Future[Page[ObjectT]], limit: int) -> asyncio.Future[Page[ObjectT]]:
    cut: asyncio.Future[Page[ObjectT]] = source.get_loop().create_future()

    def settle(done: asyncio.Future[Page[ObjectT]]) -> None:
        if cut.done():
            return
        if done.cancelled():
            cut.cancel()
        elif (error := done.exception()) is not None:
            cut.set_exception(error)
            cut.exception()  # whoever loads it will be told; nobody may
        else:
            cut.set_result(cast("Page[ObjectT]", _cut(done.result(), limit)))

    if source.done():
        settle(source)
    else:
        source.add_done_callback(settle)
    return cut


def _cut(page: Page[ObjectT] | BaseException, limit: int) -> Page[ObjectT] | BaseException:
    if isinstance(page, BaseException) or len(page.data) <= limit:
        return page
    return Page(data=page.data[:limit], has_more=True)


class Loaders:
    """All loaders of one operation, on behalf of one principal."""

    def __init__(self, api: ThreadsApi, *, deadline_seconds: float = 60.0, batches: Batches | None = None) -> None:
        """Load through `api`, each batch within the deadline; `batches` are those of loaders that came before."""
        self._api = api
        self._batches = batches or Batches(deadline_seconds)
        self.threads: PortLoader[ThreadKey, ThreadObject] = PortLoader(api.get_threads, self._batches)
        self.messages: PortLoader[MessageKey, MessageObject] = PortLoader(api.get_messages, self._batches)
        self.runs: PortLoader[RunKey, RunObject] = PortLoader(api.get_runs, self._batches)
        self.run_steps: PortLoader[RunStepKey, RunStepObject] = PortLoader(api.get_run_steps, self._batches)
        self.assistants: PortLoader[AssistantKey, AssistantObject] = PortLoader(api.get_assistants, self._batches)
        self.message_files: PortLoader[MessageFileKey, MessageFileObject] = PortLoader(
            api.get_message_files, self._batches
        )
        self.message_pages: PageLoader[MessagePageKey, MessageObject] = PageLoader(
            api.list_messages, self._batches, self.messages, lambda page, id_: MessageKey(page.thread_id, id_)
        )
        self.run_pages: PageLoader[RunPageKey, RunObject] = PageLoader(
            api.list_runs, self._batches, self.runs, lambda page, id_: RunKey(page.thread_id, id_)
        )
        self.run_step_pages: PageLoader[RunStepPageKey, RunStepObject] = PageLoader(
            api.list_run_steps,
            self._batches,
            self.run_steps,
            lambda page, id_: RunStepKey(page.thread_id, page.run_id, id_),
        )
        self.assistant_pages: PageLoader[AssistantPageKey, AssistantObject] = PageLoader(
            api.list_assistants, self._batches, self.assistants, lambda _, id_: AssistantKey(id_)
        )
        self.message_file_pages: PageLoader[MessageFilePageKey, MessageFileObject] = PageLoader(
            api.list_message_files,
            self._batches,
            self.message_files,
            lambda page, id_: MessageFileKey(page.thread_id, page.message_id, id_),
        )

    def renewed(self) -> Loaders:
        """Make loaders that remember nothing; loads under way still end with the operation."""
        return Loaders(self._api, batches=self._batches)

    async def aclose(self) -> None:
        """End the loads that are still under way."""
        await self._batches.aclose()
