from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache import entry_codec
from gateway.cache.entry import CacheEntry
from schema.contract import wire
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import MessageKey, RunKey, ThreadKey
from schema.contract.kinds import Key, MessagePageKey
from schema.contract.wire import Page
from tests.gateway.cache.upstream import ALL_KEYS, Upstream, read
from tests.support.wire_samples import message, raws, run, thread

NAME = "tg:{x}v:thread/1"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TIMES = st.integers(0, 2**37) | st.floats(0, 2**37)
MESSAGES = st.builds(
    message,
    st.text(max_size=5),
    created_at=TIMES,
    role=st.sampled_from(["user", "assistant", "é"]),
    status=st.none() | st.text(max_size=5),
    content=st.none() | st.text(max_size=5) | st.lists(JSON, max_size=3),
    metadata=st.none() | st.dictionaries(st.text(max_size=5), JSON, max_size=3),
)


def entry(value: Any, **versions: str) -> CacheEntry:
    return CacheEntry(value, versions, 1000.5, 60.0, 600.0)


def shown(decoded: CacheEntry | None) -> Any:
    """Return an entry as comparable values; raw JSON parts are equal only to themselves, so they become text."""
    assert decoded is not None
    value = decoded.value
    text = str(value) if isinstance(value, GatewayError) else msgspec.json.encode(value)
    return type(value), text, decoded.versions, decoded.stored_at, decoded.fresh_seconds, decoded.stale_seconds


def round_trip(key_type: type[Key], original: CacheEntry) -> CacheEntry | None:
    body = entry_codec.encode_entry(original)
    assert body is not None
    back = entry_codec.unpack_entry(key_type, NAME, entry_codec.pack_entry(NAME, body))
    assert shown(entry_codec.decode_entry(key_type, body)) == shown(back)
    return back


def packed(original: CacheEntry) -> bytes:
    body = entry_codec.encode_entry(original)
    assert body is not None
    return entry_codec.pack_entry(NAME, body)


@given(MESSAGES, st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_a_decoded_object_equals_the_encoded_one(value: wire.MessageObject, versions: dict[str, str]) -> None:
    assert shown(round_trip(MessageKey, entry(value, **versions))) == shown(entry(value, **versions))


@given(st.lists(MESSAGES, max_size=4), st.booleans())
def test_a_decoded_page_equals_the_encoded_one(data: list[wire.MessageObject], has_more: bool) -> None:
    page = Page(data, has_more)
    assert shown(round_trip(MessagePageKey, entry(page))) == shown(entry(page))


async def test_every_type_of_key_has_its_codec() -> None:
    assert set(entry_codec.WIRE_TYPES) == {type(key) for key in ALL_KEYS}
    for key in ALL_KEYS:
        (value,) = await read(Upstream(), key)
        assert shown(round_trip(type(key), entry(value))) == shown(entry(value))


def test_raw_json_parts_keep_their_exact_text() -> None:
    plain = run(tools=None)
    odd = msgspec.structs.replace(plain, tools=[msgspec.Raw(b'{"type" :  "new"}'), *raws({"type": "function"})])
    back = round_trip(RunKey, entry(odd))
    assert back is not None
    assert isinstance(back.value, wire.RunObject)
    assert back.value.tools is not None
    assert [bytes(tool) for tool in back.value.tools] == [b'{"type" :  "new"}', b'{"type": "function"}']


def test_a_decoded_not_found_has_nothing_of_the_request_that_stored_it() -> None:
    error = GatewayError(ErrorCode.NOT_FOUND, "No.", argument="id", upstream_request_id="req_1", retry_after_ms=5)
    back = round_trip(ThreadKey, entry(error))
    assert back is not None
    assert isinstance(back.value, GatewayError)
    assert back.value.extensions == {"code": "NOT_FOUND", "retryable": False, "argument": "id"}
    assert back.value.message == "No."


@given(st.binary(max_size=60))
def test_garbage_is_a_miss(data: bytes) -> None:
    good = packed(entry(thread()))
    start = len(entry_codec._CODEC.header) + 8
    for damaged in (data, good[:start] + data, good[: start + 1] + data, good + data + b"x"):
        assert entry_codec.unpack_entry(ThreadKey, NAME, damaged) is None


def test_a_value_of_another_key_or_another_program_version_is_a_miss() -> None:
    good = packed(entry(thread()))
    assert entry_codec.unpack_entry(ThreadKey, NAME, good) is not None
    assert entry_codec.unpack_entry(ThreadKey, "tg:{y}v:thread/1", good) is None
    assert entry_codec.unpack_entry(MessagePageKey, NAME, good) is None
    assert entry_codec.unpack_entry(ThreadKey, NAME, b"TG" + bytes(8) + good[10:]) is None


def test_a_value_that_cannot_be_encoded_gives_none() -> None:
    assert entry_codec.encode_entry(entry(thread(metadata={"n": 1}))) is not None
    assert entry_codec.encode_entry(entry(wire.ThreadObject("t", 1, metadata={"n": object()}))) is None


def test_bytes_that_hold_neither_a_value_nor_an_error_are_no_entry() -> None:
    body = entry_codec.encode_entry(entry(thread(), tag="v1"))
    assert body is not None
    *times_and_versions, value, not_found = msgspec.json.decode(body)
    assert (value["id"], not_found) == (thread().id, None)
    assert entry_codec.decode_entry(ThreadKey, body) is not None
    assert entry_codec.decode_entry(ThreadKey, msgspec.json.encode([*times_and_versions, None, None])) is None
