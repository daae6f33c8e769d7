"""Plans the selected fields of an object, so that they are executed without GraphQL's bookkeeping. Pure.

A plan is made when its position in a document is first met, and stored with the document. It depends on no
principal, no object and no variables, but for the values of `@skip` and `@include`: each set of those has its own plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from graphql import GraphQLID, GraphQLObjectType, GraphQLSchema, VariableNode, get_named_type, is_leaf_type
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetails, GroupedFieldSet

from schema.engine.answer_size import ID_BYTES, object_bytes
from schema.engine.completers import Completers
from schema.engine.direct_calls import find_direct_call
from schema.engine.object_plan import ObjectPlan
from schema.engine.plan_execution import PlanExecution, PositionPlans
from schema.engine.planned_fields import ConstantField, PlainField, PlannedField, PlanPlaces, plan_resolved_field
from schema.engine.selection import NODE_INTERFACE
from schema.engine.selection_walker import SelectionWalker

MAX_FIELDS = 10_000
"""Limit of planned fields per operation. A large page of a large frontend selects some hundred."""

MAX_VARIANTS = 8
"""Limit of condition sets that have plans at a time, per document."""


class DocumentPlans:
    """The plans of one document, made on first use and stored as long as the document.

    A position that merges fragments in its own way has its own plan, so the document's length does not limit `size`.
    The document cache does.
    """

    def __init__(self) -> None:
        """Start without plans."""
        self._conditions: dict[int, Sequence[str]] = {}
        self._variants: dict[Any, PositionPlans] = {}
        self.facts: dict[Any, Any] = {}
        """Facts about an operation that depend on no variable, for each of its readers."""

    @property
    def size(self) -> int:
        """The number of planned fields and positions. Each takes up to two kilobytes."""
        return sum(plans.field_count + len(plans) for plans in self._variants.values())

    @property
    def variants(self) -> Iterable[PositionPlans]:
        """The plans of each operation and set of conditions."""
        return self._variants.values()

    def clear(self) -> None:
        """Drop all plans. Running operations go on with the plans that they have."""
        self._variants.clear()

    def find_variant(self, executor: Executor[Any]) -> PositionPlans:
        """Find or make the plans of an operation for the `@skip` and `@include` conditions that its variables set."""
        values = executor.variable_values.coerced
        variant = (id(executor.operation), *(values.get(name) for name in self._find_conditions(executor)))
        plans = self._variants.pop(variant, None)
        if plans is None:
            plans = PositionPlans()
            if len(self._variants) >= MAX_VARIANTS:
                del self._variants[next(iter(self._variants))]
        self._variants[variant] = plans  # the dictionary is in order of last use
        return plans

    def depends_on_variables(self, executor: Executor[Any]) -> bool:
        """Whether variables decide, by `@skip` or `@include`, which fields an operation has."""
        return bool(self._find_conditions(executor))

    def _find_conditions(self, executor: Executor[Any]) -> Sequence[str]:
        operation = id(executor.operation)
        conditions = self._conditions.get(operation)
        if conditions is None:
            conditions = self._conditions[operation] = sorted(_condition_variables(executor))
        return conditions


def find_plan(
    type_: GraphQLObjectType, fields: GroupedFieldSet, plans: PositionPlans, schema: GraphQLSchema
) -> ObjectPlan | None:
    """Find or make the plan of some fields of a type. Returns None if graphql-core must execute them."""
    position = (type_.name, *(id(one.node) for details in fields.values() for one in details))
    return plans[position] if position in plans else _add_plan(plans, position, type_, fields, schema)


def _add_plan(
    plans: PositionPlans, position: Any, type_: GraphQLObjectType, fields: GroupedFieldSet, schema: GraphQLSchema
) -> ObjectPlan | None:
    if plans.is_over_limit:
        return None
    plans.field_count += len(fields)
    if plans.field_count > MAX_FIELDS:
        plans.clear()
        plans.field_count, plans.is_over_limit = 0, True
        return None
    plan = plans[position] = _plan_fields(type_, fields, schema)
    return plan


def _plan_fields(type_: GraphQLObjectType, fields: GroupedFieldSet, schema: GraphQLSchema) -> ObjectPlan | None:
    planned: list[PlannedField] = []
    places = PlanPlaces()
    may_hold_long_list = "nodes" in type_.fields
    answer_bytes = object_bytes(fields)
    for name, details in fields.items():
        if any(one.defer_usage or one.fragment_variable_values for one in details):
            return None
        field_name = details[0].node.name.value
        if field_name == "__typename":
            planned.append(ConstantField(name, type_.name))
            continue
        field = type_.fields.get(field_name)
        call = None if field is None else find_direct_call(field)
        if field is None or call is None:
            return None
        completers = Completers(schema, partial(_plan_objects, details))
        complete = completers.find(field.type)
        if complete is None:
            return None
        if get_named_type(field.type) is GraphQLID:
            answer_bytes += ID_BYTES
        if call.is_plain:
            planned.append(PlainField(name, field.type, call.function, complete, completers))
        else:
            planned.append(plan_resolved_field(name, call, field, [one.node for one in details], complete, places))
            may_hold_long_list = may_hold_long_list or bool(field.args)  # a field with arguments is a page or a lookup
    is_counted = counts_as_object(type_)
    return ObjectPlan(planned, places, answer_bytes, is_counted=is_counted, may_hold_long_list=may_hold_long_list)


def _plan_objects(
    details: Sequence[FieldDetails], type_: GraphQLObjectType, execution: PlanExecution
) -> ObjectPlan | None:
    """Plan the objects of a type that a field returns."""
    executor = execution.executor
    collected = executor.collect_subfields(type_, list(details))
    plan = find_plan(type_, collected.grouped_field_set, execution.plans, executor.schema)
    if plan is None or collected.new_defer_usages:
        return None
    plan.places.count += 1
    return plan


def counts_as_object(type_: GraphQLObjectType) -> bool:
    """Whether objects of a type count among the shown objects: nodes, but for those that have nothing below them."""
    is_node = any(interface.name == NODE_INTERFACE for interface in type_.interfaces)
    return is_node and not all(is_leaf_type(get_named_type(field.type)) for field in type_.fields.values())


def _condition_variables(executor: Executor[Any]) -> set[str]:
    """Collect the names of the variables in the `@skip` and `@include` of an operation, at any depth."""
    walker: SelectionWalker[None] = SelectionWalker(executor.fragment_definitions.get)
    return {
        argument.value.name.value
        for _, selection in walker.walk([(None, executor.operation.selection_set)], enters_fields=True)
        for directive in selection.directives or ()
        for argument in directive.arguments or ()
        if isinstance(argument.value, VariableNode)
    }
