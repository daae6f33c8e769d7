"""The fields of a plan: constant, plain (a function of the object) or resolved (called with arguments, may load)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from graphql import FieldNode, GraphQLField

from schema.engine.completers import Completers
from schema.engine.direct_calls import DirectCall, KeyedCall, may_start_loads
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
    if call.keyed is not None:
        return ResolvedField(name, _resolve_by_key(call.keyed, nodes, complete))
    return ResolvedField(name, _resolve_by_call(call, field, nodes, complete))


def _resolve_by_call(call: DirectCall, field: GraphQLField, nodes: Sequence[FieldNode], complete: Completer) -> Resolve:
    function = call.function
    arguments = Arguments(field, nodes[0], call.python_names)
    position = object()
    starts_loads: bool | None = None

    def resolve(parent: Any, execution: PlanExecution, response: dict[str, Any], name: str) -> None:
        nonlocal starts_loads
        by_name = execution.positions.get(position)
        if by_name is None:
            executor = execution.executor
            if starts_loads is None:
                # A field without arguments is no page: completing it takes about as long as postponing it.
                starts_loads = not field.args or may_start_loads(executor.schema, nodes, executor.fragment_definitions)
            by_name = dict(arguments.coerce(executor.variable_values))
            if call.wants_info:
                by_name["info"] = execution.make_info(nodes)
            execution.positions[position] = by_name
        value = function(parent, **by_name)
        execution.complete_value(value, response, name, complete, starts_loads=starts_loads is not False)

    return resolve


def _resolve_by_key(call: KeyedCall, nodes: Sequence[FieldNode], complete: Completer) -> Resolve:
    """Resolve a field once for each key. The parents of equal keys share its part of the response."""
    find, follow = call
    position = object()

    def resolve(parent: Any, execution: PlanExecution, response: dict[str, Any], name: str) -> None:
        key = find(parent)
        if key is None:
            return
        parts: dict[Any, _SharedPart] | None = execution.positions.get(position)
        if parts is None:
            parts = execution.positions[position] = {}
        part = parts.get(key)
        if part is None:
            value = follow(execution.make_info(nodes), key)
            part = parts[key] = _SharedPart(value, complete)
        elif part.is_complete:
            response[name] = part.repeat(execution)
            return
        execution.complete_value(part.value, response, name, part.complete)

    return resolve


class _SharedPart:
    """A part of the response that stands in many places. It is completed once, and counted as often as it stands."""

    __slots__ = ("_complete", "_object_count", "_response", "_structure_bytes", "_text_bytes", "is_complete", "value")

    def __init__(self, value: Any, complete: Completer) -> None:
        """Share what `complete` makes of `value`."""
        self.value = value
        self.is_complete = False
        self._complete = complete

    def complete(self, value: Any, execution: PlanExecution) -> Any:
        """Complete the value. What waits for loads is not shared yet."""
        if self.is_complete:
            return self.repeat(execution)
        pending, objects = execution.pending, execution.object_count
        structure_bytes, text_bytes = execution.structure_bytes, execution.text_bytes
        response = self._complete(value, execution)
        if execution.pending == pending:
            self._response = response
            self._object_count = execution.object_count - objects
            self._structure_bytes = execution.structure_bytes - structure_bytes
            self._text_bytes = execution.text_bytes - text_bytes
            self.is_complete = True
        return response

    def repeat(self, execution: PlanExecution) -> Any:
        """Return the complete part, and count it once more."""
        execution.object_count += self._object_count
        execution.structure_bytes += self._structure_bytes
        execution.text_bytes += self._text_bytes
        return self._response
