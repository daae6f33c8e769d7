from collections.abc import Iterator

import pytest

from gateway.cache.cache_keys import CacheKey
from gateway.cache.entry import CacheEntry
from gateway.cache.page_index import MAX_PAGES_PER_LIST, IndexedPage, PageIndex, to_list_key
from schema.contract.keys import MessageKey, RunKey
from schema.contract.wire import MessageObject, Page
from tests.gateway.cache.upstream import (
    ASSISTANT_MESSAGE,
    ENDED,
    FILE,
    OBJECT_KEYS,
    PAGE_KEYS,
    THREAD,
    USER_MESSAGE,
    Upstream,
    object_key,
    read,
)
from tests.support.wire_samples import message

MESSAGES = (MessageKey, ("thread_1",))
ANY_TIME = float("-inf")


def page(name: object, stored_at: float = 1.0) -> IndexedPage:
    return IndexedPage(CacheKey("g", str(name)), 1, stored_at)


def page_entry(*objects: MessageObject) -> CacheEntry:
    return CacheEntry(Page(list(objects)), {}, 1.0, 10.0, 20.0)


async def test_each_object_of_a_page_can_be_read_alone_under_its_key() -> None:
    upstream = Upstream()
    found = set()
    for page_key in PAGE_KEYS:
        (found_page,) = await read(upstream, page_key)
        assert found_page.data
        for item in found_page.data:
            key = object_key(page_key, item.id)
            assert to_list_key(page_key) == (type(key), key[:-1])
            found.add(key)
            assert await read(upstream, key) == [item]
    assert found == set(OBJECT_KEYS) - {THREAD, FILE}


def test_a_key_that_is_not_of_a_page_has_no_list_key() -> None:
    with pytest.raises(TypeError, match="expected the key of a page"):
        to_list_key(THREAD)


def test_the_pages_that_may_hold_an_object_are_those_of_its_list_and_principal_latest_first() -> None:
    pages = PageIndex(max_pages=10)
    for number in (1, 2, 3):
        pages.add_page("ann", MESSAGES, page(number, stored_at=float(number)))
    pages.add_page("ann", MESSAGES, page(1, stored_at=4.0))
    assert [indexed.cache_key.name for indexed in pages.find_pages("ann", USER_MESSAGE, ANY_TIME)] == ["1", "3", "2"]
    assert [indexed.cache_key.name for indexed in pages.find_pages("ann", USER_MESSAGE, 2.0)] == ["1", "3"]
    for scope, key in (("bob", USER_MESSAGE), ("ann", ENDED), ("ann", MessageKey("thread_2", "msg_1"))):
        assert pages.find_pages(scope, key, ANY_TIME) == []


def test_a_page_that_is_gone_is_removed_unless_it_was_read_again() -> None:
    pages = PageIndex(max_pages=10)
    old, new = page(1), page(1, stored_at=2.0)
    pages.add_page("ann", MESSAGES, old)
    pages.add_page("ann", MESSAGES, new)
    pages.remove_page("ann", USER_MESSAGE, old)
    assert pages.find_pages("ann", USER_MESSAGE, ANY_TIME) == [new]
    for _ in range(2):
        pages.remove_page("ann", USER_MESSAGE, new)
        assert pages.find_pages("ann", USER_MESSAGE, ANY_TIME) == []


def test_a_searched_page_is_no_candidate_for_objects_that_are_not_on_it_until_it_is_gone() -> None:
    pages, indexed = PageIndex(max_pages=10), page(1)
    pages.add_page("ann", MESSAGES, indexed)
    first, second = message("msg_1"), message("msg_2")
    entry = page_entry(first)
    assert indexed.find_object(entry, "msg_1") is first
    assert indexed.find_object(entry, "msg_2") is None
    assert pages.find_pages("ann", USER_MESSAGE, ANY_TIME) == [indexed]
    assert pages.find_pages("ann", ASSISTANT_MESSAGE, ANY_TIME) == []
    other_entry = page_entry(second)
    assert indexed.find_object(other_entry, "msg_1") is None
    assert indexed.find_object(other_entry, "msg_2") is second
    del other_entry
    assert (
        pages.find_pages("ann", USER_MESSAGE, ANY_TIME)
        == pages.find_pages("ann", ASSISTANT_MESSAGE, ANY_TIME)
        == [indexed]
    )


def test_a_page_is_indexed_once_for_any_number_of_objects() -> None:
    class Counted(list[MessageObject]):
        times = 0

        def __iter__(self) -> Iterator[MessageObject]:
            self.times += 1
            return super().__iter__()

    indexed, objects = page(1), Counted([message(f"msg_{number}") for number in range(100)])
    entry = CacheEntry(Page(objects), {}, 1.0, 10.0, 20.0)
    for number in range(200):
        assert indexed.find_object(entry, f"msg_{number}") is (objects[number] if number < 100 else None)
    assert objects.times == 1


def test_the_number_of_pages_of_one_list_is_limited() -> None:
    pages = PageIndex(max_pages=100)
    for number in range(MAX_PAGES_PER_LIST + 5):
        pages.add_page("ann", MESSAGES, page(number))
    names = [indexed.cache_key.name for indexed in pages.find_pages("ann", USER_MESSAGE, ANY_TIME)]
    assert names == [str(number) for number in reversed(range(5, MAX_PAGES_PER_LIST + 5))]
    assert len(pages) == MAX_PAGES_PER_LIST


def test_the_number_of_pages_of_all_lists_is_limited_and_those_of_the_oldest_list_leave_together() -> None:
    pages = PageIndex(max_pages=5)
    for number in range(3):
        pages.add_page("ann", MESSAGES, page(number))
    pages.add_page("ann", (RunKey, ("thread_1",)), page(1))
    for number in range(4):
        pages.add_page("bob", MESSAGES, page(number))
        assert len(pages) <= 5
    assert pages.find_pages("ann", USER_MESSAGE, ANY_TIME) == []
    assert len(pages.find_pages("ann", ENDED, ANY_TIME)) == 1
    assert len(pages.find_pages("bob", USER_MESSAGE, ANY_TIME)) == 4


def test_pages_read_again_count_once_and_removed_ones_not_at_all() -> None:
    pages = PageIndex(max_pages=2)
    indexed = page(1)
    for added in (page(1), page(1), indexed, page(2)):
        pages.add_page("ann", MESSAGES, added)
    assert len(pages) == 2
    for _ in range(2):
        pages.remove_page("ann", USER_MESSAGE, indexed)
        assert len(pages) == 1
    pages.add_page("bob", MESSAGES, page(1))
    assert len(pages) == 2
    assert len(pages.find_pages("ann", USER_MESSAGE, ANY_TIME)) == 1
