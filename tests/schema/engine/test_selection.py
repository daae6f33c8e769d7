from collections.abc import Mapping
from typing import Any

from graphql import (
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    graphql_sync,
    parse,
)
from graphql.execution.values import VariableValues

from schema.engine.selection import Arguments, field_names, selected_fields, variables_from_info

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


def test_field_names_are_unique_and_ignore_aliases() -> None:
    found: list[frozenset[str]] = []
    _execute(
        "{ thread { a: id b: id title } }",
        None,
        lambda _, info: found.append(field_names(selected_fields(info, "Thread"))),
    )
    assert found == [{"id", "title"}]


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
