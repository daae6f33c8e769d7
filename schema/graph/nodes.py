"""The table of the node types. It imports all of them, and none of them imports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schema.contract.keys import NodeKey
from schema.graph.assistant_node import Assistant
from schema.graph.file_node import File
from schema.graph.message_node import Message, MessageFile
from schema.graph.run_node import Run
from schema.graph.run_step_node import RunStep
from schema.graph.thread_node import Thread

NODE_TYPES: Mapping[type[NodeKey], type[Any]] = {
    node_type.KIND.key_type: node_type for node_type in (Thread, Message, MessageFile, Run, RunStep, Assistant, File)
}
"""The node type of each key type."""
