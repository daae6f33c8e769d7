"""The interface `Node`: a global ID for each object, from its key alone."""

import subprocess
import sys
from typing import Any

import pytest

from schema.contract.keys import KEY_TYPES, from_global_id
from schema.graph.nodes import NODE_TYPES


@pytest.mark.parametrize("key_type", KEY_TYPES.values())
def test_the_global_id_of_a_node_names_its_key(key_type: Any) -> None:
    key = key_type(*[f"part_{number}" for number in range(len(key_type._fields))])
    assert from_global_id(NODE_TYPES[key_type](key=key).id()) == key


@pytest.mark.parametrize("module", ["thread_node", "message_node", "run_node", "run_step_node"])
def test_any_file_of_the_circle_can_be_imported_first(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import schema.graph.{module}"], check=True)
