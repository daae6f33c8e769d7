"""The node types agree with the schema, have global IDs, and each field that leads to a node says what it loads."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type

from schema.contract.keys import KEY_TYPES, ThreadKey, from_global_id
from schema.graph.documented_field import find_load
from schema.graph.field_loads import ReferenceLoad
from schema.graph.nodes import NODE_TYPES
from tests.schema.builders import SCHEMA

CORE = SCHEMA._schema
NODE_NAMES = {node_type.TYPE_NAME for node_type in NODE_TYPES.values()}
ROOTS = {CORE.query_type, CORE.mutation_type, CORE.subscription_type}
FIELDS = {
    f"{type_.name}.{name}": field
    for type_ in CORE.type_map.values()
    if isinstance(type_, GraphQLObjectType) and type_ not in ROOTS - {CORE.query_type}
    for name, field in type_.fields.items()
}


def test_every_node_type_names_its_own_fields() -> None:
    for key_type, node_type in NODE_TYPES.items():
        definition: Any = SCHEMA.get_type_by_name(node_type.TYPE_NAME)
        names = {SCHEMA.config.name_converter.get_graphql_name(field) for field in definition.fields}
        name = key_type.__name__.removesuffix("Key")
        assert name == node_type.TYPE_NAME
        assert node_type.KEY_FIELDS - {"__typename"} <= names


def test_a_key_of_each_type_finds_its_node_type() -> None:
    assert NODE_TYPES[ThreadKey].TYPE_NAME == "Thread"
    assert len(NODE_TYPES) == 7


def leads_to_nodes(field: GraphQLField) -> bool:
    name = get_named_type(field.type).name
    return name in NODE_NAMES | {"Node"} or name.endswith("Connection")


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if leads_to_nodes(field)])
def test_a_field_that_leads_to_a_node_says_what_it_loads_unless_the_node_comes_with_its_object(name: str) -> None:
    field: Any = FIELDS[name].extensions["strawberry-definition"]
    comes_with_object = field.base_resolver is None and name.partition(".")[0] not in NODE_NAMES
    assert comes_with_object or find_load(FIELDS[name]) is not None


@pytest.mark.parametrize("node_type", NODE_TYPES.values())
def test_a_reference_that_the_key_alone_answers_is_a_key_reference(node_type: Any) -> None:
    key = next(key for key, found in NODE_TYPES.items() if found is node_type)
    node: Any = node_type(key=key(*["id"] * len(key._fields)))
    for field in CORE.type_map[node_type.TYPE_NAME].fields.values():  # type: ignore[attr-defined]
        load = find_load(field)
        if isinstance(load, ReferenceLoad) and load.is_by_key:
            assert load.find(node) is not None
        elif isinstance(load, ReferenceLoad):
            with pytest.raises(AttributeError):
                load.find(node)


def test_nothing_in_the_graph_loads_by_itself_what_the_prediction_cannot_see() -> None:
    graph = Path(__file__).parents[3] / "schema" / "graph"
    loading = {
        path.name
        for path in graph.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "loaders"
    }
    # `event_types.py` primes them with the objects of an event.
    assert loading == {"connections.py", "references.py", "event_types.py"}


@pytest.mark.parametrize("key_type", KEY_TYPES.values())
def test_the_global_id_of_a_node_names_its_key(key_type: Any) -> None:
    key = key_type(*[f"part_{number}" for number in range(len(key_type._fields))])
    assert from_global_id(NODE_TYPES[key_type](key=key).id()) == key


@pytest.mark.parametrize("module", ["thread_node", "message_node", "run_node", "run_step_node"])
def test_any_file_of_the_circle_can_be_imported_first(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import schema.graph.{module}"], check=True)
