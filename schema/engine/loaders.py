"""One loader for each kind of key: batches what one operation asks for, and memoises it for that operation.

Loaders live as long as one operation and are made inside the running loop. A batch never raises: a key that failed
gets its error as a value. Every batch has a deadline, and `Loaders.aclose` ends whatever is still under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from aiodataloader import DataLoader

from schema.contract.errors import GatewayError
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.ports import (
    AssistantPageKey,
    FetchLists,
    MessageFilePageKey,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
    ThreadsApi,
)
from schema.contract.wire import (
    AssistantObject,
    MessageFileObject,
    MessageObject,
    Page,
    RunObject,
    RunStepObject,
    ThreadObject,
)
from schema.engine.batches import Arrivals, Batches, Fetch

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
ObjectKeyT = TypeVar("ObjectKeyT", bound=tuple[str, ...])
Owner: TypeAlias = tuple[str, ...]
"""What the keys of the objects of one list have in common: all but the object's own id."""


class PortLoader(DataLoader[KeyT, ValueT]):
    """Loads by key through one function of the port."""

    def __init__(self, fetch: Fetch[KeyT, ValueT], batches: Batches) -> None:
        """Load through `fetch`; `batches` owns the calls."""
        super().__init__()
        self._fetch = fetch
        self._batches = batches

    async def batch_load_fn(self, keys: list[KeyT]) -> list[Any]:
        """Fetch a batch: one value or error for each key, in their order."""
        return self._settle(keys, await self._batches.run(self._fetch, keys))

    def load(self, key: KeyT) -> asyncio.Future[ValueT]:
        """Load one key. Cancelling whoever waits does not cancel the load, since others may wait for it too."""
        return asyncio.shield(self.start(key))

    def start(self, key: KeyT) -> asyncio.Future[ValueT]:
        """Begin a load and give its future, which others share: it may be looked at and called back, not cancelled."""
        return super().load(key)

    def held(self, key: KeyT) -> ValueT | None:
        """Give what is already here, without waiting; None when it is not, or when it could not be had."""
        future = self._cache.get(key)
        if future is None or not future.done() or future.cancelled() or future.exception() is not None:
            return None
        return future.result()

    def _settle(self, keys: Sequence[KeyT], answers: list[Any]) -> list[Any]:
        """Resolve loads that are not yet resolved."""
        for key, answer in zip(keys, answers, strict=True):
            future = self._cache.get(key)
            if future is None or future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
                future.exception()  # a failure is reported where somebody asks for the value
            else:
                future.set_result(answer)
        return answers


class ObjectLoader(PortLoader[ObjectKeyT, ObjectT]):
    """Loads objects that pages may hold: what a page that was noted holds is here without a load.

    A page is only looked through when one of its owner's objects is asked for, which for most pages never happens.
    What a page that was asked for before may hold waits for it. A reference is found in an answer that was mostly
    asked for together with that page, so it hardly ever waits for long, and what it costs is no matter of chance.
    """

    def __init__(self, fetch: Fetch[ObjectKeyT, ObjectT], batches: Batches) -> None:
        """Load through `fetch`; `batches` owns the calls."""
        super().__init__(fetch, batches)
        self._noted: dict[Owner, list[Page[ObjectT]]] = {}
        self._listed: dict[Owner, dict[str, ObjectT]] = {}
        self._expected: dict[Owner, list[asyncio.Future[Any]]] = {}

    def expect(self, owner: Owner, page: asyncio.Future[Page[ObjectT]]) -> None:
        """Expect a page of an owner's objects, which has been asked for."""
        self._expected.setdefault(owner, []).append(page)

    def note(self, owner: Owner, page: Page[ObjectT]) -> None:
        """Note a page of an owner's objects: their keys without the id. What is here already is not replaced."""
        self._noted.setdefault(owner, []).append(page)

    def start(self, key: ObjectKeyT) -> asyncio.Future[ObjectT]:
        """Begin a load, unless a page has held the object or one that is expected may."""
        if key not in self._cache:
            if (listed := self._on_a_page(key)) is not None:
                self.prime(key, listed)
            elif pages := [page for page in self._expected.pop(key[:-1], ()) if not page.done()]:
                self._expected[key[:-1]] = pages
                self._load_behind(key, pages)
        return super().start(key)

    def held(self, key: ObjectKeyT) -> ObjectT | None:
        """Give what is already here, by itself or on a page."""
        return super().held(key) if key in self._cache else self._on_a_page(key)

    def _load_behind(self, key: ObjectKeyT, pages: Sequence[asyncio.Future[Page[ObjectT]]]) -> None:
        """Take an object from one of some pages when all are here, or load it then."""
        load: asyncio.Future[ObjectT] = self.loop.create_future()
        self._cache[key] = load
        missing = len(pages)

        def arrived(_: object) -> None:
            nonlocal missing
            missing -= 1
            if missing or load.done():
                return
            if (listed := self._on_a_page(key)) is not None:
                load.set_result(listed)
            else:
                self.do_resolve_reject(key, load)

        for page in pages:
            page.add_done_callback(arrived)

    def _on_a_page(self, key: ObjectKeyT) -> ObjectT | None:
        owner = key[:-1]
        for page in self._noted.pop(owner, ()):
            listed = self._listed.setdefault(owner, {})
            for item in page.data:
                listed.setdefault(item.id, item)
        found = self._listed.get(owner)
        return None if found is None else found.get(key[-1])


class PageLoader(PortLoader[PageKeyT, Page[ObjectT]]):
    """Loads pages; pages of one list from one place share the longest, and each is noted by the loader of its objects.

    The pages of each thread are given out as soon as they are here, so that what follows from one thread does not
    wait for the slowest. The pages of one list that were asked for together are given out together (`Arrivals`): what
    follows is more of that thread, whose many single loads are one call only if they are made together. For the same
    reason single objects wait for their whole batch.
    """

    def __init__(
        self,
        fetch: FetchLists[PageKeyT, Page[ObjectT]],
        batches: Batches,
        objects: ObjectLoader[Any, ObjectT],
        owner_of: Callable[[PageKeyT], Owner],
    ) -> None:
        """Load through `fetch`; `objects` are told what the pages hold, whose owner `owner_of` names."""
        super().__init__(fetch, batches)
        self._fetch_lists = fetch
        self._objects = objects
        self._owner_of = owner_of
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
                self._cache[key] = _cut_when_here(self._cache[other], key)
                return
        asked.append(key)

    async def batch_load_fn(self, keys: list[PageKeyT]) -> list[Any]:
        """Fetch the longest of each group of pages and cut the others from it."""
        sources = longest_windows(keys)
        cut_from: dict[PageKeyT, list[PageKeyT]] = {}
        for key, source in zip(keys, sources, strict=True):
            cut_from.setdefault(source, []).append(key)
            self._objects.expect(self._owner_of(key), self._cache[key])
        here: dict[PageKeyT, Any] = {}
        for source, page in zip(
            cut_from, await self._batches.run(self._landing(cut_from, here), cut_from), strict=True
        ):
            if source not in here:
                self._arrive(here, source, page)
        return self._settle(keys, [_cut(here[source], key) for key, source in zip(keys, sources, strict=True)])

    def _landing(
        self, cut_from: Mapping[PageKeyT, list[PageKeyT]], here: dict[PageKeyT, Any]
    ) -> Fetch[PageKeyT, Page[ObjectT]]:
        """Fetch so that each thread's pages are given out as soon as they are here."""
        threads = [_thread_of(source) for source in cut_from]
        if len(set(threads)) == 1:
            return self._fetch  # they are here together anyway
        arrivals = Arrivals(threads)

        def give_out(source: PageKeyT) -> None:
            self._settle(cut_from[source], [_cut(here[source], key) for key in cut_from[source]])

        def on_result(source: PageKeyT, page: Page[ObjectT] | GatewayError) -> None:
            self._arrive(here, source, page)
            arrivals.arrive(_thread_of(source), partial(give_out, source))

        return partial(self._fetch_lists, on_result=on_result)

    def _arrive(self, here: dict[PageKeyT, Any], key: PageKeyT, page: Page[ObjectT] | BaseException) -> None:
        here[key] = page
        if isinstance(page, Page):
            self._objects.note(self._owner_of(key), page)


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


def _thread_of(key: PageKey) -> str | None:
    """Name the thread that a page is of; assistants are in none."""
    return None if isinstance(key, AssistantPageKey) else key.thread_id


def _cut_when_here(source: asyncio.Future[Page[ObjectT]], key: PageKey) -> asyncio.Future[Page[ObjectT]]:
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
            cut.set_result(cast("Page[ObjectT]", _cut(done.result(), key)))

    if source.done():
        settle(source)
    else:
        source.add_done_callback(settle)
    return cut


def _cut(page: Page[ObjectT] | BaseException, key: PageKey) -> Page[ObjectT] | BaseException:
    limit = key.window.limit
    if isinstance(page, BaseException) or len(page.data) <= limit:
        return page
    return Page(data=page.data[:limit], has_more=True)


class Loaders:
    """All loaders of one operation, on behalf of one principal; each is made when it is first used."""

    def __init__(self, api: ThreadsApi, *, deadline_seconds: float = 60.0, batches: Batches | None = None) -> None:
        """Load through `api`, each batch within the deadline; `batches` are those of loaders that came before."""
        self._api = api
        self._batches = batches or Batches(deadline_seconds)

    @cached_property
    def threads(self) -> PortLoader[ThreadKey, ThreadObject]:
        """Loads threads."""
        return PortLoader(self._api.get_threads, self._batches)

    @cached_property
    def messages(self) -> ObjectLoader[MessageKey, MessageObject]:
        """Loads messages."""
        return ObjectLoader(self._api.get_messages, self._batches)

    @cached_property
    def runs(self) -> ObjectLoader[RunKey, RunObject]:
        """Loads runs."""
        return ObjectLoader(self._api.get_runs, self._batches)

    @cached_property
    def run_steps(self) -> ObjectLoader[RunStepKey, RunStepObject]:
        """Loads run steps."""
        return ObjectLoader(self._api.get_run_steps, self._batches)

    @cached_property
    def assistants(self) -> ObjectLoader[AssistantKey, AssistantObject]:
        """Loads assistants."""
        return ObjectLoader(self._api.get_assistants, self._batches)

    @cached_property
    def message_files(self) -> ObjectLoader[MessageFileKey, MessageFileObject]:
        """Loads files of messages."""
        return ObjectLoader(self._api.get_message_files, self._batches)

    @cached_property
    def message_pages(self) -> PageLoader[MessagePageKey, MessageObject]:
        """Loads pages of messages."""
        return PageLoader(self._api.list_messages, self._batches, self.messages, lambda page: (page.thread_id,))

    @cached_property
    def run_pages(self) -> PageLoader[RunPageKey, RunObject]:
        """Loads pages of runs."""
        return PageLoader(self._api.list_runs, self._batches, self.runs, lambda page: (page.thread_id,))

    @cached_property
    def run_step_pages(self) -> PageLoader[RunStepPageKey, RunStepObject]:
        """Loads pages of run steps."""
        fetch, objects = self._api.list_run_steps, self.run_steps
        return PageLoader(fetch, self._batches, objects, lambda page: (page.thread_id, page.run_id))

    @cached_property
    def assistant_pages(self) -> PageLoader[AssistantPageKey, AssistantObject]:
        """Loads pages of assistants."""
        return PageLoader(self._api.list_assistants, self._batches, self.assistants, lambda _: ())

    @cached_property
    def message_file_pages(self) -> PageLoader[MessageFilePageKey, MessageFileObject]:
        """Loads pages of files of messages."""
        fetch, objects = self._api.list_message_files, self.message_files
        return PageLoader(fetch, self._batches, objects, lambda page: (page.thread_id, page.message_id))

    def renewed(self) -> Loaders:
        """Make loaders that remember nothing; loads under way still end with the operation."""
        return Loaders(self._api, batches=self._batches)

    async def aclose(self) -> None:
        """End the loads that are still under way."""
        await self._batches.aclose()
