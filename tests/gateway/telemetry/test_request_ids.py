import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.request_ids import (
    MAX_REQUEST_ID_LENGTH,
    choose_request_id,
    derive_request_id,
    is_request_id,
    new_request_id,
)


@pytest.mark.parametrize("offered", ["a", "0f.A_b-9", "x" * 128, "4bf92f3577b34da6a3ce929d0e0e4736"])
def test_a_well_formed_id_is_taken(offered: str) -> None:
    assert choose_request_id([offered]) == offered


@pytest.mark.parametrize(
    "offered",
    [[], [""], ["x" * 129], ["a b"], ["a\n"], ["a\r\nX: 1"], ["ä"], ["a/b"], ["a", "b"], [None], [7], [["a"]]],
)
def test_another_id_is_replaced(offered: list[object]) -> None:
    chosen = choose_request_id(offered)
    assert is_request_id(chosen)
    assert [chosen] != offered


def test_each_made_id_is_another_one() -> None:
    made = {new_request_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(map(is_request_id, made))


@given(st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True), st.integers(1, 10**10 - 1))
def test_a_derived_id_is_well_formed_and_begins_as_its_connection(base: str, number: int) -> None:
    derived = derive_request_id(base, number)
    assert is_request_id(derived)
    assert len(derived) <= MAX_REQUEST_ID_LENGTH
    assert derived.rpartition(".")[0] in base
    assert derived != derive_request_id(base, number + 1)
