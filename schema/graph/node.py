"""The interface `Node` and the parts that all node types share.

A node has a key and, once it is loaded, its wire object. `references.py` loads the wire object before a field that
needs it is resolved, so each field here is a plain function of the node.

The node types refer to each other in a circle. So each file imports the others at its end, when its own type exists:
any of the files may then be imported first.
"""

from __future__ import annotations

from typing import Any, ClassVar

import strawberry

from schema.contract.keys import NodeKey, to_global_id
from schema.contract.kinds import AnyKind
from schema.graph.documented_field import documented_field

NOT_LOADED: Any = None
"""The wire object of a node of which only the key is needed."""

VERSION_1 = "Version 1 of the API."
"""A deprecation reason."""


@strawberry.interface(description="An object with a global ID. `node(id:)` returns the object for that ID.")
class Node:
    """Source: the Object Identification section of the GraphQL Global Object Identification Specification (Relay)."""

    KIND: ClassVar[AnyKind]
    KEY_FIELDS: ClassVar = frozenset({"__typename", "id", "upstreamId"})
    """The fields that are resolved from the key alone, beside lists and the fields of `key_reference`."""

    key: strawberry.Private[NodeKey]
    wire: strawberry.Private[Any] = NOT_LOADED

    @documented_field
    def id(self) -> strawberry.ID:
        """The global ID. It is opaque, and the same in every session and process."""
        return strawberry.ID(to_global_id(self.key))
