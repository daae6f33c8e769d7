"""The table of node types agrees with the schema."""

from typing import Any

from schema.contract.keys import ThreadKey
from schema.graph.nodes import NODE_TYPES
from tests.schema.builders import SCHEMA


def test_every_node_type_names_its_own_fields() -> None:
    for key_type, node_type in NODE_TYPES.items():
        definition: Any = SCHEMA.get_type_by_name(node_type.TYPE_NAME)
        names = {SCHEMA.config.name_converter.get_graphql_name(field) for field in definition.fields}
        name = key_type.__name__.removesuffix("Key")
        assert name == node_type.TYPE_NAME
        assert node_type.KEY_FIELDS - {"__typename"} <= names
        assert set(node_type.LISTS) <= node_type.KEY_FIELDS


def test_a_key_of_each_type_finds_its_node_type() -> None:
    assert NODE_TYPES[ThreadKey].TYPE_NAME == "Thread"
    assert len(NODE_TYPES) == 6
