"""Large responses are encoded in slices, to the same JSON."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.http import sliced_encoding
from gateway.server.http.graphql_response import encode_json
from gateway.server.http.sliced_encoding import SLICE_BYTES, SlicedEncoder, encode_in_slices, encode_value

PAGE = [{"id": f"message_{number}", "content": [{"text": "a" * 100}]} for number in range(2_000)]

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=8),
    max_leaves=60,
)


async def test_no_more_than_a_slice_is_encoded_between_two_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded_bytes = turns = 0
    most = 0

    def counted(value: Any) -> bytes:
        nonlocal encoded_bytes, most
        encoded = encode_value(value)
        encoded_bytes += len(encoded)
        most = max(most, encoded_bytes)
        return encoded

    async def count_turns() -> None:
        nonlocal encoded_bytes, turns
        while True:
            await asyncio.sleep(0)
            encoded_bytes, turns = 0, turns + 1

    monkeypatch.setattr(sliced_encoding, "encode_value", counted)
    counter = asyncio.create_task(count_turns())
    await asyncio.sleep(0)
    encoded = await encode_in_slices({"threads": [{"messages": PAGE}] * 10})
    counter.cancel()
    assert max(map(len, encoded.pieces)) <= most + 2_000
    assert json.loads(b"".join(encoded.pieces)) == {"threads": [{"messages": PAGE}] * 10}
    assert most <= SLICE_BYTES + 100 * len(json.dumps(PAGE[0]))
    assert len(encoded) // most <= turns <= len(encoded) // SLICE_BYTES + 2


async def test_few_responses_are_encoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = ended = most = 0

    def counted(value: Any, max_values: int) -> Iterator[bytes]:
        nonlocal begun, ended, most
        begun += 1
        most = max(most, begun - ended)
        yield from encode_pieces(value, max_values)
        ended += 1

    encode_pieces = sliced_encoding._encode_pieces
    monkeypatch.setattr(sliced_encoding, "_encode_pieces", counted)
    encoder = SlicedEncoder(max_at_once=2)
    encoded = await asyncio.gather(*(encoder.encode([PAGE] * 3) for _ in range(6)))
    assert (begun, most) == (6, 2)
    assert {b"".join(each.pieces) for each in encoded} == {orjson.dumps([PAGE] * 3)}


@given(value=values)
async def test_slices_are_the_same_json(value: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sliced_encoding, "_PIECE_VALUES", 3)
        patch.setattr(sliced_encoding, "_ITEMS_PER_PIECE", 2)
        patch.setattr(sliced_encoding, "SLICE_BYTES", 10)
        assert json.loads(b"".join((await encode_in_slices(value)).pieces)) == json.loads(json.dumps(value))


@pytest.mark.parametrize("leaf", [["x"] * 3_000, ["\ud800"]])
async def test_deeper_nesting_than_python_can_recurse_is_encoded(leaf: list[str]) -> None:
    value: Any = leaf
    for _ in range(1_000):
        value = {"a": [value]}
    expected = '{"a":[' * 1_000 + json.dumps(leaf) + "]}" * 1_000
    sliced = await encode_in_slices(value)
    for encoded in (encode_value(value), encode_json({"data": value})[8:-1], b"".join(sliced.pieces)):
        assert encoded.decode().replace(" ", "") == expected.replace(" ", "")


def test_a_body_whose_data_is_encoded_may_hold_what_orjson_refuses() -> None:
    body = {"data": orjson.Fragment(b'{"a":1}'), "errors": [{"message": "\ud800", "count": 2**70}]}
    assert json.loads(encode_json(body)) == {"data": {"a": 1}, "errors": [{"message": "\ud800", "count": 2**70}]}
