"""An index of the pages in memory, so that an object can be read from a page that holds it.

A page is stored as one entry. Its objects get entries of their own only when they are read: most are never read
alone, and an entry for each would be most of the cost of storing (measured: a third of the time of 150 reads).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias
from weakref import ref

from cachetools import LRUCache

from gateway.cache.cache_keys import CacheKey
from gateway.cache.entry import CacheEntry
from schema.contract.kinds import KINDS_BY_PAGE_KEY, Key

ListKey: TypeAlias = tuple[type[Key], tuple[Any, ...]]
"""The list that an object belongs to: the type of the object's key, and the key's parts without the object's id."""

MAX_PAGES = 50_000
MAX_PAGES_PER_LIST = 16
"""The number of pages, the latest, that are searched for one object."""


@dataclass(slots=True, eq=False)
class IndexedPage:
    """A page in memory: its cache key, the number of the read that returned it, and the Unix time of that read."""

    cache_key: CacheKey
    read_number: int
    stored_at: float
    _indexed: ref[CacheEntry] | None = field(default=None, init=False, repr=False)
    _positions: dict[object, int] = field(default_factory=dict, init=False, repr=False)

    def may_contain(self, object_id: object) -> bool:
        """Return whether the object may be on the page; true for any id before the first search and after eviction."""
        return not self._positions or object_id in self._positions

    def find_object(self, page_entry: CacheEntry, object_id: object) -> Any | None:
        """Return an object of the page, or None if it is not on it; `page_entry` is the page's entry in memory."""
        if self._indexed is None or self._indexed() is not page_entry:
            self._build_index(page_entry)
        position = self._positions.get(object_id)
        return None if position is None else page_entry.value.data[position]  # type: ignore[union-attr]

    def _build_index(self, page_entry: CacheEntry) -> None:
        positions: dict[object, int] = {
            item.id: position
            for position, item in enumerate(page_entry.value.data)  # type: ignore[union-attr]
        }
        self._positions = positions
        # There are many more indexed pages than fit into memory, so the positions go when the page's entry does.
        self._indexed = ref(page_entry, lambda _: positions.clear())


class PageIndex:
    """The pages that were read, at most `max_pages` of all lists; the entry store holds their entries.

    Above the limit, all pages leave of the list that was not used for longest.
    """

    def __init__(self, max_pages: int = MAX_PAGES) -> None:
        self._pages: LRUCache[tuple[str, ListKey], dict[CacheKey, IndexedPage]] = LRUCache(max_pages, len)

    def __len__(self) -> int:
        """Count the pages."""
        return int(self._pages.currsize)

    def add_page(self, scope: str, list_key: ListKey, page: IndexedPage) -> None:
        """Add a page that was read; it replaces one with the same cache key."""
        # The dict is stored anew, so that its number of pages is counted.
        pages = self._pages.pop((scope, list_key), {})
        pages.pop(page.cache_key, None)
        pages[page.cache_key] = page
        if len(pages) > min(MAX_PAGES_PER_LIST, self._pages.maxsize):
            del pages[next(iter(pages))]
        self._pages[scope, list_key] = pages

    def find_pages(self, scope: str, key: Key, newer_than: float) -> list[IndexedPage]:
        """List the pages that may hold an object and were stored after a Unix time, latest first."""
        list_id = (scope, (type(key), key[:-1]))
        if list_id not in self._pages:
            return []
        pages = self._pages[list_id]
        return [page for page in reversed(pages.values()) if page.stored_at > newer_than and page.may_contain(key[-1])]

    def remove_page(self, scope: str, key: Key, page: IndexedPage) -> None:
        """Remove a page of an object's list that is no longer in memory."""
        list_id = (scope, (type(key), key[:-1]))
        pages = self._pages.pop(list_id, {})
        if pages.get(page.cache_key) is page:
            del pages[page.cache_key]
        if pages:
            self._pages[list_id] = pages


def to_list_key(page_key: Key) -> ListKey:
    """Return the list that a page is part of."""
    kind = KINDS_BY_PAGE_KEY.get(type(page_key))
    if kind is None:
        raise TypeError(f"expected the key of a page, got {page_key!r}")
    return kind.key_type, kind.to_parent_key(page_key)
