from collections.abc import Mapping
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    graphql_sync,
    parse,
)
from graphql.execution.values import VariableValues

from schema.engine.selection import Arguments, selected_fields, selects_any, variables_from_info
from schema.engine.selection_walker import SelectionFold, SelectionWalker, deepest, fragment_applies
from tests.schema.builders import SCHEMA

SDL = """
    interface Node { id: ID! }
    type Thread implements Node { id: ID! title: String messages(first: Int = 20, after: String): Thread }
    type Run implements Node { id: ID! status: String }
    type Query { node: Node thread: Thread }
"""


def selected(document: str, variables: Mapping[str, Any] | None = None, type_name: str = "Thread") -> list[str]:
    """Return the fields that are found selected on a type below the first root field."""
    found: list[list[str]] = []

    def resolve(_: object, info: Any) -> None:
        found.append([field.name.value for field in selected_fields(info, type_name)])

    _execute(document, variables, resolve)
    return found[0]


def _execute(document: str, variables: Mapping[str, Any] | None, resolve: Any) -> None:
    schema: GraphQLSchema = build_schema(SDL)
    query = schema.query_type
    assert isinstance(query, GraphQLObjectType)
    for field in query.fields.values():
        field.resolve = resolve
    schema.type_map["Node"].resolve_type = lambda *_: "Thread"  # type: ignore[attr-defined]  # an interface
    result = graphql_sync(schema, document, variable_values=dict(variables or {}))
    assert result.errors is None


def test_fields_are_found_in_fragments_of_the_type_and_of_node() -> None:
    document = """
        { node { id ... on Thread { title } ... on Run { status } ...T ...N ...R ... { __typename } } }
        fragment T on Thread { messages { id } }
        fragment N on Node { id }
        fragment R on Run { status }
    """
    assert selected(document) == ["id", "title", "messages", "id", "__typename"]
    assert selected(document, type_name="Run") == ["id", "status", "id", "status", "__typename"]


def test_a_fragment_within_a_fragment_of_another_type_is_not_entered() -> None:
    document = """
        { node { ... on Run { ... on Node { ...T } } ...T } } fragment T on Thread { title }
    """
    assert selected(document) == ["title"]


def test_each_fragment_is_entered_once() -> None:
    doubling = " ".join(f"fragment F{step} on Thread {{ ...F{step + 1} ...F{step + 1} }}" for step in range(50))
    assert selected(f"{{ thread {{ ...F0 ...F0 }} }} {doubling} fragment F50 on Thread {{ title }}") == ["title"]


def test_skip_and_include_apply_with_their_variables() -> None:
    document = """
        query ($yes: Boolean!, $no: Boolean = false) {
            thread {
                id @skip(if: $yes)
                title @include(if: $no)
                messages @include(if: $yes) @skip(if: $no) { id }
                ... on Thread @include(if: $no) { title }
                ...F @skip(if: $yes)
                ...F
            }
        }
        fragment F on Thread { title @include(if: $yes) }
    """
    assert selected(document, {"yes": True}) == ["messages", "title"]


def test_all_nodes_that_merge_into_one_field_count() -> None:
    assert selected("{ thread { id } thread { title } ...Q } fragment Q on Query { thread { messages { id } } }") == [
        "id",
        "title",
        "messages",
    ]


def test_arguments_are_coerced_and_get_their_python_names() -> None:
    found: list[Mapping[str, Any]] = []

    def resolve(_: object, info: Any) -> None:
        definition = info.schema.type_map["Thread"].fields["messages"]
        for field in selected_fields(info, "Thread"):
            arguments = Arguments(definition, field, {"after": "behind"})
            found.append(arguments.coerce(variables_from_info(info)))
            assert arguments.coerce(variables_from_info(info)) == found[-1]

    document = """
        query ($first: Int, $absent: String) {
            thread {
                a: messages { id }
                b: messages(first: $first, after: $absent) { id }
                c: messages(first: null, after: "x") { id }
            }
        }
    """
    _execute(document, {"first": 5}, resolve)
    assert found == [{"first": 20}, {"first": 5}, {"first": None, "behind": "x"}]


def test_only_arguments_without_variables_are_coerced_once() -> None:
    field = build_schema(SDL).type_map["Thread"].fields["messages"]  # type: ignore[attr-defined]  # an object type
    fixed, varying = (
        Arguments(field, parse(f"{{ messages{given} {{ id }} }}").definitions[0].selection_set.selections[0], {})  # type: ignore[attr-defined]  # an operation
        for given in ("(first: 3)", "(first: $first)")
    )
    for first in (1, 2):
        variables = VariableValues({}, {"first": first})
        assert fixed.coerce(variables) == {"first": 3}
        assert varying.coerce(variables) == {"first": first}
    assert fixed.coerce(variables) is fixed.coerce(variables)


def read(document: str) -> tuple[OperationDefinitionNode, Mapping[str, FragmentDefinitionNode]]:
    """Return the first operation of a document, and its fragments."""
    parsed = parse(document).definitions
    assert isinstance(parsed[0], OperationDefinitionNode)
    return parsed[0], {part.name.value: part for part in parsed if isinstance(part, FragmentDefinitionNode)}


def test_a_fragment_on_an_interface_or_a_union_applies_to_its_types() -> None:
    schema = SCHEMA._schema
    assert fragment_applies(schema, "Thread", "Node")
    assert fragment_applies(schema, "ToolCallsDetails", "StepDetails")
    assert not fragment_applies(schema, "Usage", "Node")
    assert not fragment_applies(schema, "Thread", "Run")


def test_a_walk_yields_selections_in_the_order_of_the_document_each_before_what_it_stands_for() -> None:
    operation, fragments = read("{ a ...F ... { b { c } } ...F ...Unknown } fragment F on Query { d ...F }")
    walker: SelectionWalker[None] = SelectionWalker(fragments.get)

    def names(*, enters_fields: bool) -> list[str]:
        found = walker.walk([(None, operation.selection_set)], enters_fields=enters_fields)
        return [one.name.value if isinstance(one, FieldNode | FragmentSpreadNode) else "..." for _, one in found]

    assert names(enters_fields=False) == ["a", "F", "d", "F", "...", "b", "F", "Unknown"]
    assert names(enters_fields=True) == ["a", "F", "d", "F", "...", "b", "c", "F", "Unknown"]
    assert walker.selection_count == 8 + 9


def test_a_selected_name_is_found_at_any_depth() -> None:
    operation, fragments = read("{ a { ...F } b } fragment F on Query { ... { c { d } ...F } }")
    first, second = operation.selection_set.selections
    assert isinstance(first, FieldNode)
    assert isinstance(second, FieldNode)
    assert selects_any({"d"}, [first], fragments)
    assert not selects_any({"b"}, [first], fragments)
    assert not selects_any({"d"}, [second], fragments)


def test_a_value_is_computed_once_for_each_fragment_and_scope_and_a_circle_is_empty() -> None:
    doubling = " ".join(f"fragment F{n} on T {{ a {{ ...F{n + 1} ...F{n + 1} }} ...F{n + 1} }}" for n in range(40))
    operation, fragments = read(f"{{ x ...F0 b {{ ...F0 }} }} {doubling} fragment F40 on T {{ a {{ c }} ...F40 }}")
    visited: list[str] = []

    def depth(scope: str, field: FieldNode) -> int:
        visited.append(field.name.value)
        return 1 + fold.value("below b" if field.name.value == "b" else scope, field.selection_set)

    fold = SelectionFold(SelectionWalker[str](fragments.get), depth, deepest)
    assert fold.value("root", operation.selection_set) == 43
    assert sorted(visited) == ["a"] * 82 + ["b", "c", "c", "x"]
