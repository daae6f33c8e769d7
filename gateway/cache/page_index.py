"""Objects known from pages: a page is kept as one, and an object is taken out of it when somebody asks for it.

Most objects of a page are never asked for on their own, so making an entry of each would be most of what keeping
costs: measured, a third of all that 150 reads take.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from weakref import ref

from gateway.cache.cache_keys import CacheKey, Key
from gateway.cache.entry import CacheEntry
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey
from schema.contract.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey

Owner: TypeAlias = tuple[type[Key], tuple[Any, ...]]
"""What the objects of one list have in common: the type of their keys, and all of a key but the object's own id."""

MAX_PAGES_OF_AN_OWNER = 16
"""So many of the latest pages are looked through for one object."""


@dataclass(slots=True, eq=False)
class IndexedPage:
    """Where a page is kept for the sake of its objects, and at which moment and Unix time it was read."""

    place: CacheKey
    moment: int
    stored_at: float
    _indexed: ref[CacheEntry] | None = field(default=None, init=False, repr=False)
    _index: dict[object, int] = field(default_factory=dict, init=False, repr=False)

    def may_hold(self, object_id: object) -> bool:
        """Tell whether an object may be on the page: any may, until the page was searched and once it is gone."""
        return not self._index or object_id in self._index

    def search(self, listed: CacheEntry, object_id: object) -> Any | None:
        """Give an object of the page, None when it is not there; `listed` is what the tier holds of the page."""
        if self._indexed is None or self._indexed() is not listed:
            self._make_index(listed)
        position = self._index.get(object_id)
        return None if position is None else listed.value.data[position]  # type: ignore[union-attr]

    def _make_index(self, listed: CacheEntry) -> None:
        index: dict[object, int] = {one.id: position for position, one in enumerate(listed.value.data)}  # type: ignore[union-attr]
        self._index = index
        # There are many more notes than pages that fit into the tier, so the index goes when the page does.
        self._indexed = ref(listed, lambda _: index.clear())


class PageIndex:
    """Which pages were read, latest first, at most `max_pages` of all owners; the pages themselves lie in a tier."""

    def __init__(self, max_pages: int) -> None:
        self._max_pages = max_pages
        self._pages: OrderedDict[tuple[str, Owner], dict[CacheKey, IndexedPage]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        """Count the pages."""
        return self._count

    def note(self, scope: str, owner: Owner, page: IndexedPage) -> None:
        """Note a page that was read, in place of an older one of the same place.

        Where there are too many, one leaves of the owner whose latest page is the oldest.
        """
        pages = self._pages.setdefault((scope, owner), {})
        self._pages.move_to_end((scope, owner))
        if pages.pop(page.place, None) is None:
            self._count += 1
        pages[page.place] = page
        if len(pages) > MAX_PAGES_OF_AN_OWNER:
            self._remove((scope, owner), next(iter(pages)))
        if self._count > self._max_pages:
            oldest, its_pages = next(iter(self._pages.items()))
            self._remove(oldest, next(iter(its_pages)))

    def of(self, scope: str, key: Key, after: float) -> list[IndexedPage]:
        """List the pages read after a time that may hold an object, latest first."""
        pages = self._pages.get((scope, (type(key), key[:-1])))
        if pages is None:
            return []
        return [page for page in reversed(pages.values()) if page.stored_at > after and page.may_hold(key[-1])]

    def forget(self, scope: str, key: Key, page: IndexedPage) -> None:
        """Forget a page that its tier no longer has."""
        owner = (scope, (type(key), key[:-1]))
        if self._pages.get(owner, {}).get(page.place) is page:
            self._remove(owner, page.place)

    def _remove(self, owner: tuple[str, Owner], place: CacheKey) -> None:
        pages = self._pages[owner]
        del pages[place]
        self._count -= 1
        if not pages:
            del self._pages[owner]


def owner_of(key: Key) -> Owner:
    """Name the owner of a page's objects."""
    match key:
        case MessagePageKey(thread_id=thread_id):
            return MessageKey, (thread_id,)
        case RunPageKey(thread_id=thread_id):
            return RunKey, (thread_id,)
        case RunStepPageKey(thread_id=thread_id, run_id=run_id):
            return RunStepKey, (thread_id, run_id)
        case AssistantPageKey():
            return AssistantKey, ()
        case MessageFilePageKey(thread_id=thread_id, message_id=message_id):
            return MessageFileKey, (thread_id, message_id)
    raise TypeError(f"expected the key of a page, got {key!r}")
