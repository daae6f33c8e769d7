"""Objects known from pages: a page is kept as one, and an object is taken out of it when somebody asks for it.

Most objects of a page are never asked for on their own, so making an entry of each would be most of what keeping
costs: measured, a third of all that 150 reads take.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple, TypeAlias

from gateway.cache.names import Key, Place
from schema.keys import AssistantKey, MessageFileKey, MessageKey, NodeKey, RunKey, RunStepKey
from schema.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey

Owner: TypeAlias = tuple[type[Key], tuple[Any, ...]]
"""What the objects of one list have in common: the type of their keys, and all of a key but the object's own id."""

MAX_PAGES_OF_AN_OWNER = 64
"""So many of the latest pages are looked through for one object."""


class PageHeld(NamedTuple):
    """Where a page is kept for the sake of its objects, and at which moment and Unix time it was read."""

    place: Place
    moment: int
    stored_at: float


class PagesHeld:
    """Which pages were read, latest first, of at most `max_owners` owners; the pages themselves lie in a tier."""

    def __init__(self, max_owners: int) -> None:
        self._max_owners = max_owners
        self._pages: OrderedDict[tuple[str, Owner], dict[Place, PageHeld]] = OrderedDict()

    def note(self, scope: str, owner: Owner, page: PageHeld) -> None:
        """Note a page that was read, in place of an older one of the same place."""
        pages = self._pages.setdefault((scope, owner), {})
        self._pages.move_to_end((scope, owner))
        pages.pop(page.place, None)
        pages[page.place] = page
        if len(pages) > MAX_PAGES_OF_AN_OWNER:
            del pages[next(iter(pages))]
        if len(self._pages) > self._max_owners:
            self._pages.popitem(last=False)

    def of(self, scope: str, key: Key, after: float) -> list[PageHeld]:
        """List the pages read after a time that may hold an object, latest first."""
        pages = self._pages.get((scope, (type(key), key[:-1])))
        if pages is None:
            return []
        return [page for page in reversed(pages.values()) if page.stored_at > after]

    def forget(self, scope: str, key: Key, page: PageHeld) -> None:
        """Forget a page that its tier no longer has."""
        pages = self._pages.get((scope, (type(key), key[:-1])), {})
        if pages.get(page.place) is page:
            del pages[page.place]
            if not pages:
                del self._pages[scope, (type(key), key[:-1])]


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


def object_key(page_key: Key, object_id: str) -> NodeKey:
    """Make the key under which an object of a page is found alone."""
    key_type, owner = owner_of(page_key)
    made: NodeKey = key_type(*owner, object_id)  # type: ignore[assignment, call-arg]
    return made
