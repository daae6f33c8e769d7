from gateway.cache.pages import objects_of
from tests.gateway.cache.upstream import OBJECT_KEYS, PAGE_KEYS, THREAD, Upstream, read


async def test_each_object_of_a_page_has_the_key_under_which_it_is_found_alone() -> None:
    upstream = Upstream()
    found = set()
    for page_key in PAGE_KEYS:
        (page,) = await read(upstream, page_key)
        assert page.data
        for key, one in objects_of(page_key, page):
            found.add(key)
            assert await read(upstream, key) == [one]
    assert found == set(OBJECT_KEYS) - {THREAD}
