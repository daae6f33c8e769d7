"""Compiles the selected fields of an object into functions that execute them without GraphQL's bookkeeping. Pure.

A plan is compiled when its position in a document is first met, and stored with the document. It depends on no
principal, no object and no variables, but for the values of `@skip` and `@include`: each set of those has its own plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLString,
    GraphQLUnionType,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetails, GroupedFieldSet

from schema.engine.answer_size import ID_BYTES, ITEM_BYTES, leaf_bytes, object_bytes, text_bytes
from schema.engine.deferred import Deferred
from schema.engine.direct_calls import DirectCall, find_direct_call, may_start_loads, python_class
from schema.engine.plan_execution import Completer, NotCompilableError, PlanExecution, PositionPlans
from schema.engine.selection import NODE_INTERFACE, Arguments
from schema.engine.selection_walker import SelectionWalker

FieldDetailsList: TypeAlias = list[FieldDetails]
ResolveField: TypeAlias = Callable[[Any, PlanExecution, dict[str, Any], str], None]
"""Calls a field's function with the parent object, and completes its value into the response under a name."""

_UNCHANGED_TYPES: Mapping[Any, type] = {GraphQLID: str, GraphQLBoolean: bool}
"""GraphQL types whose values of this Python type are complete as they are, and not counted one by one."""

_SHORT_TYPES = frozenset({GraphQLID, GraphQLBoolean, GraphQLInt, GraphQLFloat})
"""GraphQL types of short values, which are not counted one by one."""

MAX_FIELDS = 10_000
"""Limit of planned fields per operation. A large page of a large frontend selects some hundred."""

MAX_UNPAUSED_ITEMS = 20
"""The longest list that is completed in one go once it has begun."""

MAX_VARIANTS = 8
"""Limit of condition sets that have plans at a time, per document."""


class Plan(NamedTuple):
    """The compiled fields of an object, by their response names."""

    completers: Sequence[tuple[str, Completer]]
    """All fields in response order. A resolved field has a placeholder here, which holds its position."""
    resolvers: Sequence[tuple[str, ResolveField]]
    may_hold_long_list: bool
    """Whether the fields may hold a long list. After a failure, graphql-core executes such an object."""
    answer_bytes: int
    """The counted bytes of the object, besides those of its texts and of what is below it."""
    is_counted: bool
    """Whether the object counts among the shown objects."""

    def execute(self, parent: Any, execution: PlanExecution) -> dict[str, Any]:
        """Execute the fields of an object. Pending values are added to the result when their loads are done."""
        response = {name: complete(parent, execution) for name, complete in self.completers}
        for name, resolve in self.resolvers:
            resolve(parent, execution, response, name)
        execution.structure_bytes += self.answer_bytes
        execution.object_count += self.is_counted
        return response


class DocumentPlans:
    """The plans of one document, compiled on first use and stored as long as the document.

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
        """The number of planned fields and positions. Each takes up to a kilobyte."""
        return sum(plans.field_count + len(plans) for plans in self._variants.values())

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


def find_plan(type_: GraphQLObjectType, fields: GroupedFieldSet, plans: PositionPlans) -> Plan | None:
    """Find or compile the plan of some fields of a type. Returns None if graphql-core must execute them."""
    position = (type_.name, *(id(one.node) for details in fields.values() for one in details))
    return plans[position] if position in plans else _add_plan(plans, position, type_, fields)


def _add_plan(plans: PositionPlans, position: Any, type_: GraphQLObjectType, fields: GroupedFieldSet) -> Plan | None:
    if plans.is_over_limit:
        return None
    plans.field_count += len(fields)
    if plans.field_count > MAX_FIELDS:
        plans.clear()
        plans.field_count, plans.is_over_limit = 0, True
        return None
    plan = plans[position] = _compile_plan(type_, fields)
    return plan


def _compile_plan(type_: GraphQLObjectType, fields: GroupedFieldSet) -> Plan | None:
    completers: list[tuple[str, Completer]] = []
    resolvers: list[tuple[str, ResolveField]] = []
    may_hold_long_list = "nodes" in type_.fields
    answer_bytes = object_bytes(fields)
    for name, details in fields.items():
        if any(one.defer_usage or one.fragment_variable_values for one in details):
            return None
        field_name = details[0].node.name.value
        if field_name == "__typename":
            completers.append((name, _constant_completer(type_.name)))
            continue
        field = type_.fields.get(field_name)
        call = None if field is None else find_direct_call(field)
        complete = None if field is None else _completer(field.type, details)
        if field is None or call is None or complete is None:
            return None
        if get_named_type(field.type) is GraphQLID:
            answer_bytes += ID_BYTES
        if call.is_plain:
            completers.append((name, _plain_field(call.function, field.type, complete)))
        else:
            completers.append((name, _placeholder))
            resolvers.append((name, _resolved_field(call, field, details, complete)))
            may_hold_long_list = may_hold_long_list or bool(field.args)  # a field with arguments is a page or a lookup

    return Plan(completers, resolvers, may_hold_long_list, answer_bytes, counts_as_object(type_))


def counts_as_object(type_: GraphQLObjectType) -> bool:
    """Whether objects of a type count among the shown objects: nodes, but for those that have nothing below them."""
    is_node = any(interface.name == NODE_INTERFACE for interface in type_.interfaces)
    return is_node and not all(is_leaf_type(get_named_type(field.type)) for field in type_.fields.values())


def _constant_completer(text: str) -> Completer:
    return lambda _parent, _execution: text


def _placeholder(_parent: Any, _execution: PlanExecution) -> None:
    return None


def _plain_field(get: Callable[[Any], Any], type_: Any, complete: Completer) -> Completer:
    """Make the function that completes a plain field of its parent."""
    if get_nullable_type(type_) is GraphQLString:
        return _plain_text_field(get, complete)
    unchanged_type = _UNCHANGED_TYPES.get(get_nullable_type(type_))
    if unchanged_type is None:
        return lambda parent, execution: complete(get(parent), execution)

    def complete_field(parent: Any, execution: PlanExecution) -> Any:
        value = get(parent)
        return value if type(value) is unchanged_type else complete(value, execution)

    return complete_field


def _plain_text_field(get: Callable[[Any], Any], complete: Completer) -> Completer:
    def complete_field(parent: Any, execution: PlanExecution) -> Any:
        value = get(parent)
        if type(value) is not str:
            return complete(value, execution)
        execution.text_bytes += text_bytes(value)
        return value

    return complete_field


def _resolved_field(
    call: DirectCall, field: GraphQLField, details: FieldDetailsList, complete: Completer
) -> ResolveField:
    """Make the function that calls a field's function with its arguments and completes the result."""
    function = call.function
    nodes = [one.node for one in details]
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

    return resolve


def _completer(type_: Any, details: FieldDetailsList) -> Completer | None:
    """Make the function that completes a value of a type. Returns None if there is none for the type."""
    if isinstance(type_, GraphQLNonNull):
        return _non_null_completer(type_.of_type, details)
    complete = _non_null_completer(type_, details)
    if complete is None:
        return None
    return lambda value, execution: None if value is None else complete(value, execution)


def _non_null_completer(type_: Any, details: FieldDetailsList) -> Completer | None:
    if is_leaf_type(type_):
        return _leaf_completer(type_)
    if isinstance(type_, GraphQLList):
        complete_item = _completer(type_.of_type, details)
        return None if complete_item is None else _list_completer(complete_item)
    if isinstance(type_, GraphQLObjectType):
        return _object_completer(type_, details)
    if isinstance(type_, GraphQLUnionType | GraphQLInterfaceType):
        return _abstract_completer(type_, details)
    return None


def _object_completer(type_: GraphQLObjectType, details: FieldDetailsList) -> Completer | None:
    class_ = python_class(type_)
    return None if class_ is None else _instance_completer(type_, class_, details)


def _instance_completer(type_: GraphQLObjectType, class_: type, details: FieldDetailsList) -> Completer:
    # This does the same as `Plan.execute`, with one call less for each object.
    completers: Sequence[tuple[str, Completer]] | None = None
    resolvers: Sequence[tuple[str, ResolveField]] = ()
    answer_bytes, is_counted = 0, counts_as_object(type_)

    def complete(value: Any, execution: PlanExecution) -> dict[str, Any]:
        nonlocal completers, resolvers, answer_bytes
        if type(value) is not class_:
            raise NotCompilableError
        if completers is None:
            collected = execution.executor.collect_subfields(type_, details)
            plan = find_plan(type_, collected.grouped_field_set, execution.plans)
            if plan is None or collected.new_defer_usages:
                raise NotCompilableError
            completers, resolvers, _, answer_bytes, _ = plan
        response = {name: complete_field(value, execution) for name, complete_field in completers}
        for name, resolve in resolvers:
            resolve(value, execution, response, name)
        execution.structure_bytes += answer_bytes
        execution.object_count += is_counted
        if execution.structure_bytes + execution.text_bytes > execution.max_answer_bytes:
            raise NotCompilableError
        return response

    return complete


def _abstract_completer(type_: GraphQLUnionType | GraphQLInterfaceType, details: FieldDetailsList) -> Completer:
    """Make the function that completes a value of a union or an interface. The value's class tells its type."""
    completers: dict[type, Completer] = {}

    def complete(value: Any, execution: PlanExecution) -> Any:
        complete_instance = completers.get(type(value))
        if complete_instance is None:
            schema = execution.executor.schema
            possible = [one for one in schema.get_possible_types(type_) if python_class(one) is type(value)]
            if len(possible) != 1:
                raise NotCompilableError
            complete_instance = completers[type(value)] = _instance_completer(possible[0], type(value), details)
        return complete_instance(value, execution)

    return complete


def _list_completer(complete_item: Completer) -> Completer:
    def complete(value: Any, execution: PlanExecution) -> list[Any]:
        if type(value) not in {list, tuple}:
            raise NotCompilableError
        execution.structure_bytes += ITEM_BYTES * len(value)
        if Deferred in map(type, value):
            items: list[Any] = [None] * len(value)
            for index, item in enumerate(value):
                execution.complete_value(item, items, index, complete_item)
            return items
        if execution.structure_bytes > execution.turn_ends_at:
            return execution.pause_list(value, [], complete_item)
        if len(value) <= MAX_UNPAUSED_ITEMS:
            return [complete_item(item, execution) for item in value]
        items = []
        for item in value:
            if execution.structure_bytes > execution.turn_ends_at:
                return execution.pause_list(value, items, complete_item)
            items.append(complete_item(item, execution))
        return items

    return complete


def _leaf_completer(type_: Any) -> Completer:
    if isinstance(type_, GraphQLEnumType):
        names = {value.value: name for name, value in type_.values.items()}
        return lambda value, _execution: names[value._value_]
    coerce, is_short = type_.coerce_output_value, type_ in _SHORT_TYPES

    def complete(value: Any, execution: PlanExecution) -> Any:
        coerced = coerce(value)
        if value is None or coerced is None:
            raise NotCompilableError
        if not is_short:
            execution.text_bytes += leaf_bytes(coerced)
        return coerced

    return complete


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
