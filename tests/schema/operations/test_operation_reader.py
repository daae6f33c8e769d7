"""The reader collects the fields of an operation as execution would."""

import pytest
from graphql import OperationDefinitionNode, build_schema, parse
from graphql.execution.values import VariableValues

from schema.engine.selection_walker import TooManySelectionsError
from schema.operations.operation_reader import OperationReader, types_leading_to_nodes
from tests.schema.operation_helpers import CORE, make_operation_reader

DOCUMENT = """
    query ($yes: Boolean! = true, $size: Int = 7) {
        a: upstream { version }
        ...Part ...Part
        ... on Query { a: upstream { dialect } b: assistants(first: $size) { nodes { id } } @SKIPPED }
    }
    fragment Part on Query { thread(id: "x") @skip(if: $yes) { id } c: thread(id: "y") @include(if: $yes) { id } }
"""


def test_fields_of_one_name_are_merged_and_what_is_skipped_is_left_out() -> None:
    reader = make_operation_reader(DOCUMENT.replace("@SKIPPED", ""))
    fields = reader.collect_fields("Query", [reader.operation])
    assert {name: len(nodes) for name, nodes in fields.items()} == {"a": 2, "c": 1, "b": 1}
    arguments = reader.argument_values("Query", fields["b"][0])
    assert arguments is not None
    assert arguments["first"] == 7


def test_the_types_leading_to_nodes_are_found() -> None:
    leading = types_leading_to_nodes(CORE)
    assert {"Thread", "MessageConnection", "StepDetails", "CreateRunPayload", "MessageContent"} <= leading
    assert leading.isdisjoint({"Usage", "PageInfo", "Upstream", "ToolResources", "DeleteThreadPayload"})


def test_list_fields_are_recognised() -> None:
    reader = make_operation_reader("{ nodes(ids: []) { id } node(id: 1) { id } __typename }")
    fields = reader.collect_fields("Query", [reader.operation])
    assert {name: reader.is_list_field("Query", nodes[0]) for name, nodes in fields.items()} == {
        "nodes": True,
        "node": False,
        "__typename": False,
    }


def test_only_objects_and_interfaces_have_fields_of_their_own() -> None:
    reader = make_operation_reader("{ __typename }")
    assert set(reader.field_definitions("Node")) == {"id"}
    assert "run" in reader.field_definitions("RunSnapshot")
    assert reader.field_definitions("RunEvent") == {}


def test_an_argument_or_a_condition_that_execution_refuses_raises_nothing() -> None:
    document = """
        query ($no: Boolean = true, $id: ID = "x") { thread(id: $id) @include(if: $no) { id } }
    """
    reader = make_operation_reader(document, {"no": None, "id": None})
    fields = reader.collect_fields("Query", [reader.operation])
    assert reader.argument_values("Query", fields["thread"][0]) is None


def test_too_many_selections_raise() -> None:
    reader = make_operation_reader("{ a: __typename b: __typename c: __typename }", most=2)
    with pytest.raises(TooManySelectionsError):
        reader.collect_fields("Query", [reader.operation])


def test_an_operation_that_the_schema_has_no_type_for_has_no_root() -> None:
    assert make_operation_reader("{ __typename }").root_name == "Query"
    bare = build_schema("type Query { a: Int }")
    (operation,) = parse("mutation { a }").definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert OperationReader(bare, operation, {}, VariableValues({}, {})).root_name is None


def test_a_schema_without_nodes_leads_to_none() -> None:
    assert types_leading_to_nodes(build_schema("type Query { a: Query }")) == frozenset()
