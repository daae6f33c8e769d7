from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.contract.errors import ErrorCode, GatewayError
from schema.engine.executor import build_executor
from schema.engine.public_errors import OperationRefusedError
from schema.engine.variable_limits import MAX_INPUT_VALUES, MAX_LIST_LENGTH, check_variables
from tests.schema.builders import SCHEMA

CREATE_THREAD = SCHEMA.documents.parse(
    "mutation ($input: CreateThreadInput!) { createThread(input: $input) { __typename } }"
)


def refusal(variables: dict[str, Any]) -> str:
    with pytest.raises(GatewayError) as raised:
        check_variables(variables)
    assert (raised.value.code, raised.value.argument) == (ErrorCode.BAD_USER_INPUT, "variables")
    return raised.value.message


def test_lists_and_objects_may_be_exactly_as_long_as_the_limit() -> None:
    check_variables({"a": [1] * MAX_LIST_LENGTH, "b": {str(n): n for n in range(MAX_LIST_LENGTH)}})
    assert (
        refusal({"a": {"b": [1] * 30_000}}) == 'Variable "a": expected lists of at most 1000 items, got one of 30000.'
    )
    assert (
        refusal({"a": {str(n): n for n in range(1_290)}})
        == 'Variable "a": expected objects of at most 1000 fields, got one of 1290.'
    )


def test_the_values_of_all_variables_count_together() -> None:
    full = {str(n): [1] * 999 for n in range(10)}
    check_variables(full)
    assert refusal({**full, "one more": 1}) == (
        'Variable "one more": expected variables of at most 10000 values in all, got more.'
    )
    assert "values in all" in refusal({"a": [[[1] * 100] * 100] * 100})


def test_the_characters_of_keys_and_texts_are_counted() -> None:
    assert check_variables({"input": {"ab": "abc", "c": ["x", {"yz": 1}]}}) == 9


def test_a_long_name_of_a_variable_is_not_repeated() -> None:
    assert len(refusal({"x" * 100_000: [1] * 2_000})) < 200


def count_values(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(count_values, below))


JSON_VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda below: st.lists(below, max_size=6) | st.dictionaries(st.text(max_size=2), below, max_size=6),
    max_leaves=40,
)


@given(st.dictionaries(st.text(max_size=2), JSON_VALUES, max_size=4), st.integers(1, 500))
def test_variables_are_refused_just_if_they_have_too_many_values(variables: dict[str, Any], times: int) -> None:
    repeated = {"x": [variables] * times}
    if count_values(repeated["x"]) <= MAX_INPUT_VALUES:
        check_variables(repeated)
    else:
        assert "values in all" in refusal(repeated)


@pytest.mark.parametrize(
    "given_input",
    [
        {"messages": [{"content": [{"text": "x"}]}] * 30_000},
        {"messages": [{}] * 30_000},
        {f"f{n}": 1 for n in range(80_000)},
        {"messages": [{f"f{n}": 1 for n in range(300)}] * 200},
        {"metadata": {f"k{n}": "v" for n in range(100_000)}},
    ],
)
def test_no_value_of_too_many_is_coerced(given_input: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    coerced: list[Any] = []
    monkeypatch.setattr("graphql.execution.values.coerce_input_value", lambda *given: coerced.append(given))
    with pytest.raises(OperationRefusedError) as raised:
        build_executor(SCHEMA, CREATE_THREAD, operation_name=None, variables={"input": given_input}, context=None)
    assert coerced == []
    assert len(str(raised.value)) < 200


def test_one_error_of_the_variables_is_reported() -> None:
    given_input = {f"f{n}": 1 for n in range(900)}
    with pytest.raises(OperationRefusedError) as raised:
        build_executor(SCHEMA, CREATE_THREAD, operation_name=None, variables={"input": given_input}, context=None)
    assert len(raised.value.errors) == 1


@pytest.mark.parametrize(("padding", "suggested"), [("", True), ("x" * 20_000, False)])
def test_similar_names_are_suggested_only_for_short_variables(padding: str, *, suggested: bool) -> None:
    given_input = {"message": [], "clientMutationId": padding}
    with pytest.raises(OperationRefusedError) as raised:
        build_executor(SCHEMA, CREATE_THREAD, operation_name=None, variables={"input": given_input}, context=None)
    assert ("Did you mean 'messages'" in str(raised.value)) is suggested


@pytest.mark.parametrize(("role", "is_searched"), [("USR", True), ("A" * 900_000, False)])
def test_no_enum_value_like_a_long_word_is_searched(
    monkeypatch: pytest.MonkeyPatch, role: str, *, is_searched: bool
) -> None:
    searched: list[str] = []

    def search(word: str, _: Any) -> list[str]:
        searched.append(word)
        return []

    monkeypatch.setattr("graphql.type.definition.suggestion_list", search)
    given_input = {"messages": [{"role": role, "content": []}]}
    with pytest.raises(OperationRefusedError):
        build_executor(SCHEMA, CREATE_THREAD, operation_name=None, variables={"input": given_input}, context=None)
    assert bool(searched) is is_searched
