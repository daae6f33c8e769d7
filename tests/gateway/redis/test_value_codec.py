"""The codec of cache and run log decodes only the bytes that it packed itself, under their own name."""

from types import ModuleType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redis import value_codec
from gateway.redis.value_codec import UnencodableValueError, ValueCodec, encode_body

NAME = "tg:{x}v:thread/1"
DECODER = msgspec.json.Decoder(msgspec.defstruct("Text", [("text", str)]))
CODEC = ValueCodec(b"TX")
SMALL, LARGE = b'{"text":"word"}', b'{"text":"%s"}' % (b"x" * value_codec.MIN_COMPRESSED_BYTES)
START = len(CODEC.header) + 8
"""The position of the format byte."""


@pytest.mark.parametrize("body", [SMALL, LARGE])
def test_a_packed_value_is_unpacked_under_its_name_only(body: bytes) -> None:
    data = CODEC.pack(body, NAME)
    unpacked = CODEC.unpack(data, NAME, DECODER)
    assert unpacked is not None
    assert msgspec.json.encode(unpacked) == body
    assert CODEC.unpack(data, "another", DECODER) is None
    assert CODEC.unpack(data, NAME, msgspec.json.Decoder(int)) is None
    assert ValueCodec(b"TY").unpack(data, NAME, DECODER) is None


def test_only_large_values_are_compressed() -> None:
    assert len(CODEC.pack(LARGE, NAME)) < len(LARGE) / 10
    assert SMALL in CODEC.pack(SMALL, NAME)


@pytest.mark.parametrize("body", [SMALL, LARGE])
def test_an_unknown_format_byte_is_refused(body: bytes) -> None:
    good = CODEC.pack(body, NAME)
    known = {good[START], CODEC.pack(SMALL, NAME)[START], CODEC.pack(LARGE, NAME)[START]}
    for byte in set(range(256)) - known:
        assert CODEC.unpack(good[:START] + bytes([byte]) + good[START + 1 :], NAME, DECODER) is None
        assert CODEC.unpack(good[:START] + bytes([byte]) + body, NAME, DECODER) is None


@given(st.binary(min_size=1, max_size=20).filter(bytes.strip))
def test_bytes_behind_the_end_are_refused(rest: bytes) -> None:
    for body in (SMALL, LARGE):
        assert CODEC.unpack(CODEC.pack(body, NAME) + rest, NAME, DECODER) is None


@given(st.binary(max_size=60))
def test_garbage_is_refused(data: bytes) -> None:
    start = CODEC.pack(SMALL, NAME)[:START]
    for damaged in (data, CODEC.header + data, start + data, start + b"j" + data, start + b"z" + data):
        assert CODEC.unpack(damaged, NAME, DECODER) is None


@pytest.mark.parametrize("body", [SMALL, LARGE])
def test_a_value_truncated_anywhere_is_refused(body: bytes) -> None:
    good = CODEC.pack(body, NAME)
    assert all(CODEC.unpack(good[:size], NAME, DECODER) is None for size in range(len(good)))


def test_a_value_that_decompresses_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    good = CODEC.pack(LARGE, NAME)
    monkeypatch.setattr(value_codec, "MAX_DECODED_BYTES", 1000)
    assert CODEC.unpack(good, NAME, DECODER) is None


def test_a_value_that_json_cannot_express_is_an_error() -> None:
    struct = msgspec.defstruct("Text", [("text", str)])
    with pytest.raises(UnencodableValueError):
        encode_body(struct("\ud800"))


def test_other_definitions_have_another_fingerprint() -> None:
    def module(*structs: type) -> ModuleType:
        made = ModuleType("made")
        vars(made).update({struct.__name__: struct for struct in structs})
        return made

    one = msgspec.defstruct("One", [("field", str, "default")], tag="one")
    others = [
        msgspec.defstruct("One", [("field", str, "other")], tag="one"),
        msgspec.defstruct("One", [("field", int, "default")], tag="one"),
        msgspec.defstruct("One", [("renamed", str, "default")], tag="one"),
        msgspec.defstruct("One", [("field", str, "default")], tag="two"),
        msgspec.defstruct("Two", [("field", str, "default")], tag="one"),
    ]
    assert len({value_codec.fingerprint(module(struct)) for struct in (one, *others)}) == 6
    assert value_codec.fingerprint(module(one), module()) == value_codec.fingerprint(module(one))
