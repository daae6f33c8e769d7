import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.cache_keys import quote_id, redis_key, to_cache_key
from schema.contract.keys import MessageKey, RunKey, ThreadKey
from schema.contract.kinds import Key, MessagePageKey, RunPageKey
from schema.contract.paging import Window
from tests.gateway.cache.upstream import ALL_KEYS

TEXTS = st.text(max_size=8) | st.sampled_from(["", "a/b", "%", "a:b", "{x}", "messages"])
WINDOWS = st.builds(Window, st.integers(1, 100), st.sampled_from(["asc", "desc"]), st.none() | TEXTS)
KEYS: st.SearchStrategy[Key] = st.one_of(
    st.builds(ThreadKey, TEXTS),
    st.builds(MessageKey, TEXTS, TEXTS),
    st.builds(RunKey, TEXTS, TEXTS),
    st.builds(MessagePageKey, TEXTS, st.none() | TEXTS, WINDOWS),
    st.builds(RunPageKey, TEXTS, WINDOWS),
)


def test_every_type_of_key_has_cache_keys_of_its_own() -> None:
    assert len({to_cache_key(key) for key in ALL_KEYS}) == len(ALL_KEYS)


@given(KEYS, KEYS)
def test_two_keys_share_a_cache_key_only_if_they_are_the_same(one: Key, other: Key) -> None:
    same = type(one) is type(other) and one == other
    assert (to_cache_key(one) == to_cache_key(other)) == same


@given(TEXTS)
def test_a_quoted_id_holds_no_separator(text: str) -> None:
    assert not set("/{}@") & set(quote_id(text))


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(["ann", "bob", "ann/thread/x", ""], 2)])
def test_no_two_principals_share_a_redis_key(one: str, other: str) -> None:
    cache_key = to_cache_key(ThreadKey("t"))
    assert redis_key(one, "v", cache_key) != redis_key(other, "v", cache_key)


def test_one_principals_thread_is_one_hash_tag() -> None:
    message, page = [
        redis_key("ann", "v", to_cache_key(key)) for key in (MessageKey("t", "m"), RunPageKey("t", Window(1, "asc")))
    ]
    assert message[: message.index("}")] == page[: page.index("}")]
    assert message.startswith("tg:{")
    assert message.endswith("/thread/t}:v:Message/t/m")
