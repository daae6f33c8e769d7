"""The fields of a plan: constant, plain (a function of the object) or resolved (called with arguments, may load)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from graphql import FieldNode, GraphQLField

from schema.engine.completers import Completers
from schema.engine.direct_calls import DirectCall, may_start_loads
from schema.engine.plan_execution import Completer, PlanExecution
from schema.engine.selection import Arguments

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


def plan_resolved_field(
    name: str, call: DirectCall, field: GraphQLField, nodes: Sequence[FieldNode], complete: Completer
) -> ResolvedField:
    """Plan a field whose function is called with its arguments, and whose value `complete` completes."""
    function = call.function
    arguments = Arguments(field, nodes[0], call.python_names)
    position = object()
    starts_loads: bool | None = None

    def resolve(parent: Any, execution: PlanExecution, response: dict[str, Any], name: str) -> None:
        nonlocal starts_loads
        by_name = execution.arguments.get(position)
        if by_name is None:
            executor = execution.executor
            if starts_loads is None:
                # A field without arguments is no page: completing it takes about as long as postponing it.
                starts_loads = not field.args or may_start_loads(executor.schema, nodes, executor.fragment_definitions)
            by_name = dict(arguments.coerce(executor.variable_values))
            if call.wants_info:
                by_name["info"] = execution.make_info(nodes)
            execution.arguments[position] = by_name
        value = function(parent, **by_name)
        execution.complete_value(value, response, name, complete, starts_loads=starts_loads is not False)

    return ResolvedField(name, resolve)
