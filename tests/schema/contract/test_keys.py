import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.contract.keys import (
    KEY_TYPES,
    MAX_ID_LENGTH,
    InvalidOpaqueTextError,
    MessageKey,
    NodeKey,
    RunKey,
    ThreadKey,
    from_global_id,
    from_opaque,
    is_upstream_id,
    looks_like_damaged_global_id,
    to_global_id,
    to_opaque,
)
from tests.support.full_runs import examples

OPAQUE = string.ascii_letters + string.digits + "-_"
FIRST = string.ascii_letters + string.digits + "_"

upstream_ids = st.builds(
    "".join, st.tuples(st.sampled_from(FIRST), st.text(FIRST + ".~:@+-", max_size=MAX_ID_LENGTH - 1))
)


@st.composite
def keys(draw: st.DrawFn) -> NodeKey:
    key_type = draw(st.sampled_from(list(KEY_TYPES.values())))
    return key_type(*(draw(upstream_ids) for _ in key_type._fields))


@given(keys())
@examples(200)
def test_a_global_id_decodes_to_its_key_for_any_upstream_id(key: NodeKey) -> None:
    read = from_global_id(to_global_id(key))
    assert (type(read), read) == (type(key), key)


@given(keys(), keys())
@examples(100)
def test_two_keys_never_share_a_global_id(one: NodeKey, other: NodeKey) -> None:
    same = type(one) is type(other) and one == other
    assert (to_global_id(one) == to_global_id(other)) is same


@given(st.lists(st.text(), min_size=1, max_size=5))
@examples(200)
def test_opaque_parts_of_any_text_decode_unchanged(parts: list[str]) -> None:
    encodable = [part.encode("utf-8", "replace").decode() for part in parts]
    assert from_opaque(to_opaque("kind", *encodable)) == ["kind", *encodable]


@given(keys(), st.data())
@examples(400)
def test_a_global_id_with_one_wrong_character_is_refused(key: NodeKey, data: st.DataObject) -> None:
    text = to_global_id(key)
    position = data.draw(st.integers(0, len(text) - 1))
    wrong = data.draw(st.sampled_from(OPAQUE + "*=/+ é").filter(lambda character: character != text[position]))
    with pytest.raises(InvalidOpaqueTextError):
        from_global_id(text[:position] + wrong + text[position + 1 :])


def test_each_wrong_character_at_each_position_of_one_global_id_is_refused() -> None:
    # With a truncated CRC-32 as check digits, one such change in 20,000 was not detected.
    text = to_global_id(RunKey("thread_YGIAd1JmFEwvHMLCbokK1XXY", "run_p0PfbaUpgMvejGkqSCtDbxAl"))
    for position, right in enumerate(text):
        for wrong in OPAQUE.replace(right, ""):
            with pytest.raises(InvalidOpaqueTextError):
                from_global_id(text[:position] + wrong + text[position + 1 :])


@given(keys(), st.data())
@examples(200)
def test_a_truncated_global_id_is_refused(key: NodeKey, data: st.DataObject) -> None:
    text = to_global_id(key)
    with pytest.raises(InvalidOpaqueTextError):
        from_global_id(text[: data.draw(st.integers(0, len(text) - 1))])


@given(st.text(max_size=60))
@examples(300)
def test_any_other_text_is_refused_with_the_one_expected_exception(text: str) -> None:
    with pytest.raises(InvalidOpaqueTextError):
        from_global_id(text)


@pytest.mark.parametrize("extra", ["=", "==", "\n", " ", "*", "A"])
def test_a_global_id_has_only_one_spelling(extra: str) -> None:
    text = to_global_id(ThreadKey("thread_1"))
    for other in (text + extra, extra + text, text[:4] + extra + text[4:]):
        with pytest.raises(InvalidOpaqueTextError):
            from_global_id(other)


@pytest.mark.parametrize(
    "text",
    [
        to_opaque("cursor", "messages", "thread_1", "msg_1"),
        to_opaque("Nothing", "thread_1"),
        to_opaque("Thread"),
        to_opaque("Thread", "thread_1", "thread_2"),
        to_opaque("Message", "msg_1"),
        to_opaque("Thread", ".."),
        to_opaque("Thread", "a/b"),
        to_opaque("Thread", ""),
        to_opaque("Message", "thread_1", "../runs"),
        to_opaque("Thread", "x" * (MAX_ID_LENGTH + 1)),
    ],
)
def test_an_opaque_text_that_names_no_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidOpaqueTextError):
        from_global_id(text)


@pytest.mark.parametrize(
    "text", ["thread_abc123", "64f1c0ffee0123456789abcd", "1c3f7c1e-0b1f-4f3e-9d60-0f4a5f6b7c8d", "_a", "a:b", "5"]
)
def test_ids_from_real_servers_can_be_upstream_ids(text: str) -> None:
    assert is_upstream_id(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "../x", "a/b", "a\\b", "a?b", "a#b", "a%2Fb", "a b", "a\n", "\x00", "é", "-a", "x" * 10_000],
)
def test_a_text_that_could_leave_its_path_segment_is_no_upstream_id(text: str) -> None:
    assert not is_upstream_id(text)


def test_a_damaged_global_id_is_distinguished_from_an_upstream_id() -> None:
    text = to_global_id(MessageKey("thread_1", "msg_1"))
    assert looks_like_damaged_global_id(text[:-1])
    assert looks_like_damaged_global_id(text[:-5] + "AAAAA")
    assert not looks_like_damaged_global_id("thread_abc123")
    assert not looks_like_damaged_global_id("thréad")
