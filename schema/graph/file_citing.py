"""Fields of parts that name a file: its global ID, and the file itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import strawberry

from schema.contract.keys import FileKey
from schema.engine.context import Info
from schema.graph.documented_field import documented_field, loading_field
from schema.graph.field_loads import CitedFileLoad
from schema.graph.file_node import File
from schema.graph.node_selections import find_node_selection
from schema.graph.references import follow_reference, refer_to
from schema.graph.scalars import global_file_id


def cited_file(find: Callable[[Any], Any]) -> Any:
    """Make a GraphQL field of a function that finds the file that an object cites, as a reference."""

    def resolve(self: Any, info: Info) -> Any:
        found = find(self)
        if found is None:
            return None
        node_type, key = found
        selection = find_node_selection(info, node_type, info._raw_info.field_nodes)
        if not info.context.cited_files.admit(key, is_loaded=not selection.key_is_enough):
            return None
        return follow_reference(info, node_type, key)

    return loading_field(CitedFileLoad(), find, resolve)


@strawberry.type
class FileCiting:
    """The fields of a part that names a file."""

    upstream_file_id: strawberry.Private[str]

    @documented_field
    def file_id(self) -> strawberry.ID:
        """The global ID of the file."""
        return global_file_id(self.upstream_file_id)

    @cited_file
    def file(self) -> File | None:
        """The file. Null if it no longer exists."""
        return refer_to(File, FileKey(self.upstream_file_id)) if self.upstream_file_id else None


@strawberry.type
class MaybeFileCiting:
    """The fields of a part that may name a file."""

    upstream_file_id: strawberry.Private[str | None]

    @documented_field
    def file_id(self) -> strawberry.ID | None:
        """The global ID of the file. Null if the upstream names none."""
        return None if self.upstream_file_id is None else global_file_id(self.upstream_file_id)

    @cited_file
    def file(self) -> File | None:
        """The file. Null if the upstream names none, or if it no longer exists."""
        return refer_to(File, FileKey(self.upstream_file_id)) if self.upstream_file_id else None
