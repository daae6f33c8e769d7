"""The contract of `VersionStore`, for both stores; the tests of each store alone are in its own file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.cache.cache_keys import CacheKey
from gateway.cache.entry import may_be_stored
from gateway.cache.redis_link import RedisLink
from gateway.cache.redis_store import RedisVersionStore
from gateway.cache.tags import Tag
from gateway.cache.version_store import LocalVersionStore, StoredValue, VersionStore
from tests.support.valkey import Valkey

TAGS = (Tag("g", "all"), Tag("g", "thread"), Tag("h", "all"))
FAR = float("inf")


@asynccontextmanager
async def redis_store(url: str, *, cluster: bool = False) -> AsyncIterator[RedisVersionStore]:
    link = RedisLink(url, cluster=cluster, deadline_seconds=5)
    store = RedisVersionStore(link)
    try:
        await link.connect()
        yield store
    finally:
        await store.close()
        await link.close()


@pytest.fixture(params=["memory", "redis", "cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[VersionStore]:
    if request.param == "memory":
        yield LocalVersionStore()
    elif request.param == "redis":
        valkey: Valkey = request.getfixturevalue("valkey")
        async with redis_store(valkey.url) as store:
            yield store
    else:
        servers: list[Valkey] = request.getfixturevalue("valkey_cluster")
        async with redis_store(servers[0].url, cluster=True) as store:
            yield store


async def versions(store: VersionStore, scope: str = "ann") -> dict[Tag, str]:
    known = await store.look_up(scope, TAGS, [], FAR)
    assert known is not None
    return dict(known.versions)


async def test_every_tag_has_a_version_that_does_not_change_by_itself(store: VersionStore) -> None:
    first = await versions(store)
    assert set(first) == set(TAGS)
    assert len(set(first.values())) == len(TAGS)
    assert may_be_stored(first.values())
    assert await versions(store) == first


async def test_a_write_changes_the_versions_of_its_tags_only(store: VersionStore) -> None:
    before = await versions(store)
    changed = TAGS[0]
    await store.begin_write("ann", [changed])
    await store.end_write("ann", [changed])
    after = await versions(store)
    assert {tag for tag in TAGS if before[tag] != after[tag]} == {changed}
    assert may_be_stored(after.values())


async def test_principals_have_versions_of_their_own(store: VersionStore) -> None:
    ann, bob = await versions(store), await versions(store, "bob")
    assert not set(ann.values()) & set(bob.values())
    await store.end_write("ann", TAGS)
    assert await versions(store, "bob") == bob


async def test_stored_values_are_found_if_the_store_holds_values(store: VersionStore) -> None:
    cache_keys = [CacheKey("g", "one"), CacheKey("h", "two"), CacheKey("h", "three")]
    await store.store_values(
        "ann", {cache_key: StoredValue(cache_key.name.encode(), 60.0) for cache_key in cache_keys[:2]}
    )
    known = await store.look_up("ann", TAGS, cache_keys, FAR)
    assert known is not None
    assert known.values == (
        {cache_key: cache_key.name.encode() for cache_key in cache_keys[:2]} if store.holds_values else {}
    )
    other = await store.look_up("bob", TAGS, cache_keys, FAR)
    assert other is not None
    assert other.values == {}


async def test_an_empty_look_up_finds_nothing(store: VersionStore) -> None:
    await store.store_values("ann", {})
    await store.begin_write("ann", [])
    await store.end_write("ann", [])
    known = await store.look_up("ann", [], [], FAR)
    assert known is not None
    assert (known.versions, known.values) == ({}, {})


async def test_an_evicted_version_comes_back_as_another() -> None:
    store = LocalVersionStore(max_tags=2)
    first = await versions(store)
    assert await versions(store) != first
