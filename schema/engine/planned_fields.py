"""The fields of a plan: constant, plain (a function of the object) or resolved (called with arguments, may load)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from graphql import FieldNode, GraphQLField

from schema.engine.completers import Completers
from schema.engine.direct_calls import DirectCall, may_start_loads, own_key
from schema.engine.plan_execution import Completer, PlanExecution
from schema.engine.selection import Arguments
from schema.engine.shared_part import SharedPart

Resolve: TypeAlias = Callable[[Any, PlanExecution, dict[str, Any], str], None]
"""Calls a field's function with the parent object, and completes its value into the response under a name."""


class ConstantField(NamedTuple):
    """A field whose value is always the same text."""

    name: str
    text: str


class PlainField(NamedTuple):
    """A field whose value a function of the parent returns at once."""

    name: str
    type_: Any
    get: Callable[[Any], Any]
    complete: Completer
    completers: Completers


class ResolvedField(NamedTuple):
    """A field that is called with arguments, and that may have to wait for its value."""

    name: str
    resolve: Resolve


PlannedField: TypeAlias = ConstantField | PlainField | ResolvedField


class PlanPlaces:
    """The number of places in a document where the objects of one plan may stand, such as aliases with one fragment."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        """Start without a place."""
        self.count = 0


def plan_resolved_field(
    name: str,
    call: DirectCall,
    field: GraphQLField,
    nodes: Sequence[FieldNode],
    complete: Completer,
    places: PlanPlaces,
) -> ResolvedField:
    """Plan a field whose function is called with its arguments, and whose value `complete` completes.

    Parents with equal keys share the value. Where only an object itself has its key, that takes several `places`.
    """
    function, find_key = call.function, call.find_key
    arguments = Arguments(field, nodes[0], call.python_names)
    position = object()
    starts_loads = True

    def begin(execution: PlanExecution) -> tuple[dict[str, Any], dict[Any, SharedPart]]:
        nonlocal starts_loads
        executor = execution.executor
        # A field without arguments is no page: completing it takes about as long as postponing it.
        starts_loads = not field.args or may_start_loads(executor.schema, nodes, executor.fragment_definitions)
        by_name = dict(arguments.coerce(executor.variable_values))
        if call.wants_info:
            by_name["info"] = execution.make_info(nodes)
        parts: dict[Any, SharedPart] = {}
        execution.positions[position] = by_name, parts
        return by_name, parts

    def resolve(parent: Any, execution: PlanExecution, response: dict[str, Any], name: str) -> None:
        by_name, parts = execution.positions.get(position) or begin(execution)
        if find_key is None or (find_key is own_key and places.count < 2):
            value = function(parent, **by_name)
            execution.complete_value(value, response, name, complete, starts_loads=starts_loads)
            return
        key = find_key(parent)
        part = parts.get(key)
        if part is not None:
            part.repeat(execution, response, name)
        elif key is not None:
            value = function(parent, **by_name)
            part = parts[key] = SharedPart()
            part.complete_first(execution, value, response, name, complete, starts_loads=starts_loads)

    return ResolvedField(name, resolve)
