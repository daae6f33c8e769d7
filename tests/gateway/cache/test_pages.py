import pytest

from gateway.cache.names import Place
from gateway.cache.pages import MAX_PAGES_OF_AN_OWNER, PageHeld, PagesHeld, object_key, owner_of
from schema.keys import MessageKey, RunKey
from tests.gateway.cache.upstream import ENDED, OBJECT_KEYS, PAGE_KEYS, THREAD, USER_MESSAGE, Upstream, read

OWNER = (MessageKey, ("thread_1",))
LONG_AGO = float("-inf")


def page(name: object, stored_at: float = 1.0) -> PageHeld:
    return PageHeld(Place("g", str(name)), 1, stored_at)


async def test_each_object_of_a_page_has_the_key_under_which_it_is_found_alone() -> None:
    upstream = Upstream()
    found = set()
    for page_key in PAGE_KEYS:
        (listed,) = await read(upstream, page_key)
        assert listed.data
        for one in listed.data:
            key = object_key(page_key, one.id)
            assert owner_of(page_key) == (type(key), key[:-1])
            found.add(key)
            assert await read(upstream, key) == [one]
    assert found == set(OBJECT_KEYS) - {THREAD}


def test_what_is_no_page_has_no_owner() -> None:
    with pytest.raises(TypeError, match="expected the key of a page"):
        owner_of(THREAD)


def test_the_pages_that_may_hold_an_object_are_those_of_its_owner_and_principal_latest_first() -> None:
    pages = PagesHeld(max_owners=10)
    for number in (1, 2, 3):
        pages.note("ann", OWNER, page(number, stored_at=float(number)))
    pages.note("ann", OWNER, page(1, stored_at=4.0))
    assert [held.place.name for held in pages.of("ann", USER_MESSAGE, LONG_AGO)] == ["1", "3", "2"]
    assert [held.place.name for held in pages.of("ann", USER_MESSAGE, 2.0)] == ["1", "3"]
    for scope, key in (("bob", USER_MESSAGE), ("ann", ENDED), ("ann", MessageKey("thread_2", "msg_1"))):
        assert pages.of(scope, key, LONG_AGO) == []


def test_a_page_that_is_gone_is_forgotten_unless_it_was_read_again() -> None:
    pages = PagesHeld(max_owners=10)
    old, new = page(1), page(1, stored_at=2.0)
    pages.note("ann", OWNER, old)
    pages.note("ann", OWNER, new)
    pages.forget("ann", USER_MESSAGE, old)
    assert pages.of("ann", USER_MESSAGE, LONG_AGO) == [new]
    for _ in range(2):
        pages.forget("ann", USER_MESSAGE, new)
        assert pages.of("ann", USER_MESSAGE, LONG_AGO) == []


def test_no_more_is_noted_than_may_be() -> None:
    pages = PagesHeld(max_owners=2)
    for number in range(MAX_PAGES_OF_AN_OWNER + 5):
        pages.note("ann", OWNER, page(number))
    names = [held.place.name for held in pages.of("ann", USER_MESSAGE, LONG_AGO)]
    assert names == [str(number) for number in reversed(range(5, MAX_PAGES_OF_AN_OWNER + 5))]
    pages.note("ann", (RunKey, ("thread_1",)), page(1))
    pages.note("bob", OWNER, page(1))
    assert pages.of("ann", USER_MESSAGE, LONG_AGO) == []
    assert pages.of("ann", ENDED, LONG_AGO)
