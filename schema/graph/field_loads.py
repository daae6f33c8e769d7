"""The descriptions of loads that fields carry, for execution and for the prediction of calls (`find_load`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

from schema.contract.errors import GatewayError
from schema.contract.kinds import AnyKind


class LoadedNode(Protocol):
    """A node type, as far as loading needs to know it."""

    KIND: ClassVar[AnyKind]
    TYPE_NAME: ClassVar[str]
    KEY_FIELDS: ClassVar[frozenset[str]]
    """Fields that are resolved from the key alone, beside lists and the fields of `key_reference`."""

    def __init__(self, key: Any, wire: Any = None) -> None:
        """Make a node of a key and, once it is loaded, its wire object."""


Reference: TypeAlias = tuple[type[Any], Any]
"""The type and the key of the node that a field refers to."""


class Lookup(NamedTuple):
    """The node that a client names by an id, in an argument."""

    node_type: type[Any]
    key: Any
    argument: str = "id"


class ReferenceLoad(NamedTuple):
    """The load of a field that refers to a node."""

    find: Callable[[Any], Reference | None]
    """Finds the reference of an object. Only its key is needed if `is_by_key`."""
    is_by_key: bool


class CitedFileLoad(NamedTuple):
    """The load of the file that an object cites.

    How many files there are is known only from the objects, so the number is predicted by the place in the document.
    """


class LookupLoad(NamedTuple):
    """The load of a root field that looks up nodes."""

    find: Callable[..., Lookup | Sequence[Lookup | GatewayError]]
    """Finds one lookup, or one for each of the ids, from no object and the field's arguments."""


class AgainLoad(NamedTuple):
    """The load of a field that an incomplete node lacks, or of one that may return such a node."""

    lacks: str
    """The attribute of the node that says whether it is incomplete."""


class RecordLoad(NamedTuple):
    """The load of a field that the record of a thread answers. It is no upstream call."""


class LaterLoad(NamedTuple):
    """The load of a node that came without its object, since a call that would have brought it was not made."""


class ReadingLoad(NamedTuple):
    """The load of a mutation, before its write."""

    kind: AnyKind
