"""One operation is read as execution would collect it."""

from typing import Any

import pytest
from graphql import parse

from schema.operation_reader import OperationReader, TooManySelectionsError, coerce_variables, find_operation
from tests.schema.builders import SCHEMA

CORE: Any = SCHEMA._schema
DOCUMENT = """
    query ($yes: Boolean! = true, $size: Int = 7) {
        a: upstream { version }
        ...Part ...Part
        ... on Query { a: upstream { dialect } b: assistants(first: $size) { nodes { id } } @SKIPPED }
    }
    fragment Part on Query { thread(id: "x") @skip(if: $yes) { id } c: thread(id: "y") @include(if: $yes) { id } }
"""


def reader_of(document: str, variables: dict[str, Any] | None = None, *, most: int = 100) -> OperationReader:
    parsed = parse(document)
    operation = find_operation(parsed, None)
    assert operation is not None
    values = coerce_variables(CORE, operation, variables)
    assert values is not None
    return OperationReader(CORE, parsed, operation, values, max_selections=most)


def test_fields_of_one_name_are_merged_and_what_is_skipped_is_left_out() -> None:
    reader = reader_of(DOCUMENT.replace("@SKIPPED", ""))
    fields = reader.collect("Query", [reader.operation])
    assert {name: len(nodes) for name, nodes in fields.items()} == {"a": 2, "c": 1, "b": 1}
    arguments = reader.arguments("Query", fields["b"][0])
    assert arguments is not None
    assert arguments["first"] == 7


def test_a_fragment_on_an_interface_is_about_the_types_that_have_it() -> None:
    reader = reader_of("{ __typename }")
    assert reader.applies("Node", "Thread")
    assert reader.applies("StepDetails", "ToolCallsDetails")
    assert not reader.applies("Node", "Usage")
    assert not reader.applies("Run", "Thread")


def test_only_what_can_lead_to_a_node_is_followed() -> None:
    reader = reader_of("{ __typename }")
    assert {"Thread", "MessageConnection", "StepDetails", "CreateRunPayload"} <= reader.node_paths
    assert reader.node_paths.isdisjoint({"Usage", "PageInfo", "Upstream", "MessageContent", "DeleteThreadPayload"})


def test_a_field_may_give_several_values() -> None:
    reader = reader_of("{ nodes(ids: []) { id } node(id: 1) { id } __typename }")
    fields = reader.collect("Query", [reader.operation])
    assert {name: reader.is_list("Query", nodes[0]) for name, nodes in fields.items()} == {
        "nodes": True,
        "node": False,
        "__typename": False,
    }


def test_only_objects_and_interfaces_have_fields_of_their_own() -> None:
    reader = reader_of("{ __typename }")
    assert set(reader.fields_of("Node")) == {"id"}
    assert "run" in reader.fields_of("RunSnapshot")
    assert reader.fields_of("RunEvent") == {}


def test_an_argument_or_a_condition_that_execution_refuses_raises_nothing() -> None:
    document = """
        query ($no: Boolean = true, $id: ID = "x") { thread(id: $id) @include(if: $no) { id } }
    """
    reader = reader_of(document, {"no": None, "id": None})
    fields = reader.collect("Query", [reader.operation])
    assert reader.arguments("Query", fields["thread"][0]) is None


def test_unfolding_has_an_end() -> None:
    reader = reader_of("{ a: __typename b: __typename c: __typename }", most=2)
    with pytest.raises(TooManySelectionsError):
        reader.collect("Query", [reader.operation])


def test_variables_that_execution_refuses_are_none() -> None:
    operation = find_operation(parse("query A ($n: Int!) { __typename }"), "A")
    assert operation is not None
    assert coerce_variables(CORE, operation, {"n": "many"}) is None
    assert coerce_variables(CORE, operation, None) is None
    assert find_operation(parse("query A { __typename }"), "B") is None
