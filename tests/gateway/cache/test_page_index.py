from collections.abc import Iterator

import pytest

from gateway.cache.cache_keys import CacheKey
from gateway.cache.entry import CacheEntry
from gateway.cache.page_index import MAX_PAGES_OF_AN_OWNER, IndexedPage, PageIndex, owner_of
from schema.contract.keys import MessageKey, RunKey
from schema.contract.wire import MessageObject, Page
from tests.gateway.cache.upstream import (
    ANSWER,
    ENDED,
    OBJECT_KEYS,
    PAGE_KEYS,
    THREAD,
    USER_MESSAGE,
    Upstream,
    object_key,
    read,
)
from tests.support.wire_samples import message

OWNER = (MessageKey, ("thread_1",))
LONG_AGO = float("-inf")


def page(name: object, stored_at: float = 1.0) -> IndexedPage:
    return IndexedPage(CacheKey("g", str(name)), 1, stored_at)


def listed(*objects: MessageObject) -> CacheEntry:
    return CacheEntry(Page(list(objects)), {}, 1.0, 10.0, 20.0)


async def test_each_object_of_a_page_has_the_key_under_which_it_is_found_alone() -> None:
    upstream = Upstream()
    found = set()
    for page_key in PAGE_KEYS:
        (found_page,) = await read(upstream, page_key)
        assert found_page.data
        for one in found_page.data:
            key = object_key(page_key, one.id)
            assert owner_of(page_key) == (type(key), key[:-1])
            found.add(key)
            assert await read(upstream, key) == [one]
    assert found == set(OBJECT_KEYS) - {THREAD}


def test_what_is_no_page_has_no_owner() -> None:
    with pytest.raises(TypeError, match="expected the key of a page"):
        owner_of(THREAD)


def test_the_pages_that_may_hold_an_object_are_those_of_its_owner_and_principal_latest_first() -> None:
    pages = PageIndex(max_pages=10)
    for number in (1, 2, 3):
        pages.note("ann", OWNER, page(number, stored_at=float(number)))
    pages.note("ann", OWNER, page(1, stored_at=4.0))
    assert [held.place.name for held in pages.of("ann", USER_MESSAGE, LONG_AGO)] == ["1", "3", "2"]
    assert [held.place.name for held in pages.of("ann", USER_MESSAGE, 2.0)] == ["1", "3"]
    for scope, key in (("bob", USER_MESSAGE), ("ann", ENDED), ("ann", MessageKey("thread_2", "msg_1"))):
        assert pages.of(scope, key, LONG_AGO) == []


def test_a_page_that_is_gone_is_forgotten_unless_it_was_read_again() -> None:
    pages = PageIndex(max_pages=10)
    old, new = page(1), page(1, stored_at=2.0)
    pages.note("ann", OWNER, old)
    pages.note("ann", OWNER, new)
    pages.forget("ann", USER_MESSAGE, old)
    assert pages.of("ann", USER_MESSAGE, LONG_AGO) == [new]
    for _ in range(2):
        pages.forget("ann", USER_MESSAGE, new)
        assert pages.of("ann", USER_MESSAGE, LONG_AGO) == []


def test_a_page_once_searched_is_no_candidate_for_what_is_not_on_it_until_it_is_gone() -> None:
    pages, held = PageIndex(max_pages=10), page(1)
    pages.note("ann", OWNER, held)
    first, second = message("msg_1"), message("msg_2")
    entry = listed(first)
    assert held.search(entry, "msg_1") is first
    assert held.search(entry, "msg_2") is None
    assert pages.of("ann", USER_MESSAGE, LONG_AGO) == [held]
    assert pages.of("ann", ANSWER, LONG_AGO) == []
    again = listed(second)
    assert held.search(again, "msg_1") is None
    assert held.search(again, "msg_2") is second
    del again
    assert pages.of("ann", USER_MESSAGE, LONG_AGO) == pages.of("ann", ANSWER, LONG_AGO) == [held]


def test_a_page_is_gone_through_once_however_many_objects_are_looked_for() -> None:
    class Counted(list[MessageObject]):
        times = 0

        def __iter__(self) -> Iterator[MessageObject]:
            self.times += 1
            return super().__iter__()

    held, objects = page(1), Counted([message(f"msg_{number}") for number in range(100)])
    entry = CacheEntry(Page(objects), {}, 1.0, 10.0, 20.0)
    for number in range(200):
        assert held.search(entry, f"msg_{number}") is (objects[number] if number < 100 else None)
    assert objects.times == 1


def test_no_more_pages_of_one_owner_are_noted_than_may_be() -> None:
    pages = PageIndex(max_pages=100)
    for number in range(MAX_PAGES_OF_AN_OWNER + 5):
        pages.note("ann", OWNER, page(number))
    names = [held.place.name for held in pages.of("ann", USER_MESSAGE, LONG_AGO)]
    assert names == [str(number) for number in reversed(range(5, MAX_PAGES_OF_AN_OWNER + 5))]
    assert len(pages) == MAX_PAGES_OF_AN_OWNER


def test_no_more_pages_of_all_owners_are_noted_than_may_be_and_the_oldest_owners_leave_first() -> None:
    pages = PageIndex(max_pages=5)
    for number in range(3):
        pages.note("ann", OWNER, page(number))
    pages.note("ann", (RunKey, ("thread_1",)), page(1))
    for number in range(4):
        pages.note("bob", OWNER, page(number))
        assert len(pages) == 5
    assert pages.of("ann", USER_MESSAGE, LONG_AGO) == []
    assert len(pages.of("ann", ENDED, LONG_AGO)) == 1
    assert len(pages.of("bob", USER_MESSAGE, LONG_AGO)) == 4


def test_pages_read_again_count_once_and_forgotten_ones_not_at_all() -> None:
    pages = PageIndex(max_pages=2)
    held = page(1)
    for one in (page(1), page(1), held, page(2)):
        pages.note("ann", OWNER, one)
    assert len(pages) == 2
    for _ in range(2):
        pages.forget("ann", USER_MESSAGE, held)
        assert len(pages) == 1
    pages.note("bob", OWNER, page(1))
    assert len(pages) == 2
    assert len(pages.of("ann", USER_MESSAGE, LONG_AGO)) == 1
