"""Completers: functions that turn a field's value into its part of the response, for the types of the schema.

A completer raises for a value that graphql-core must handle. Objects are completed by plans, which are compiled when an
object of their position is first met.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, Protocol, TypeAlias, cast

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
)

from schema.engine.answer_size import ITEM_BYTES, leaf_bytes
from schema.engine.deferred import Deferred
from schema.engine.direct_calls import python_class
from schema.engine.plan_execution import Completer, NotCompilableError, PlanExecution

PlanObjects: TypeAlias = Callable[[GraphQLObjectType, PlanExecution], "ObjectPlan | None"]
"""Finds or makes the plan of an object type at one position of a document. Returns None if there is none."""

SHORT_TYPES = frozenset({GraphQLID, GraphQLBoolean, GraphQLInt, GraphQLFloat})
"""GraphQL types of short values, which are not counted one by one."""

MAX_UNPAUSED_ITEMS = 20
"""The longest list that is completed in one go once it has begun."""


class ObjectPlan(Protocol):
    """The plan of the objects of one type at one position."""

    compiled: Completer | None
    """The function that completes an object, once there is one."""

    def complete(self, parent: Any, execution: PlanExecution) -> Any:
        """Complete an object."""


class ObjectCompleters(dict[type, Completer]):
    """The functions that complete the objects at one position of a document, by Python class.

    A class has a plan when its first object is met, and an item here once the plan is compiled. An object of a class
    that the position does not expect is left to graphql-core.
    """

    __slots__ = ("_plan_objects", "_plans", "_possible_types")

    def __init__(
        self, possible_types: Sequence[GraphQLObjectType], plan_objects: PlanObjects, *, can_be_null: bool
    ) -> None:
        """Complete objects of the `possible_types` by plans that `plan_objects` makes."""
        super().__init__()
        self._possible_types = possible_types
        self._plan_objects = plan_objects
        self._plans: dict[type, ObjectPlan] = {}
        if can_be_null:
            self[NoneType] = _complete_null

    def __missing__(self, class_: type) -> Completer:
        """Return the function that completes an object whose plan may not be compiled yet."""
        return self._complete_by_plan

    def complete(self, value: Any, execution: PlanExecution) -> Any:
        """Complete an object."""
        return self[type(value)](value, execution)

    def _complete_by_plan(self, value: Any, execution: PlanExecution) -> Any:
        class_ = type(value)
        plan = self._plans.get(class_)
        if plan is None:
            plan = self._plans[class_] = self._find_plan(class_, execution)
        if plan.compiled is not None:
            self[class_] = plan.compiled
        return plan.complete(value, execution)

    def _find_plan(self, class_: type, execution: PlanExecution) -> ObjectPlan:
        types = [type_ for type_ in self._possible_types if python_class(type_) is class_]
        plan = self._plan_objects(types[0], execution) if len(types) == 1 else None
        if plan is None:
            raise NotCompilableError
        return plan


class Completers:
    """Makes the completers of one field of a document."""

    def __init__(self, schema: GraphQLSchema, plan_objects: PlanObjects) -> None:
        """Complete the objects of the field by plans that `plan_objects` makes."""
        self._schema = schema
        self._plan_objects = plan_objects
        self._objects: dict[Any, ObjectCompleters] = {}

    def find(self, type_: Any) -> Completer | None:
        """Make the completer of the values of a type. Returns None if there is none for the type."""
        objects = self.find_objects(type_)
        if objects is not None:
            return objects.complete
        named = get_nullable_type(type_)
        complete: Completer | None = None
        if is_leaf_type(named):
            complete = leaf_completer(named)
        elif isinstance(named, GraphQLList):
            complete_item = self.find(named.of_type)
            complete = None if complete_item is None else list_completer(complete_item)
        if complete is None or is_non_null_type(type_):
            return complete
        return lambda value, execution: None if value is None else complete(value, execution)

    def find_objects(self, type_: Any) -> ObjectCompleters | None:
        """Make the completers of the objects of an object type, a union or an interface. Returns None for others."""
        if type_ in self._objects:
            return self._objects[type_]
        named, possible_types = get_nullable_type(type_), cast("Sequence[GraphQLObjectType]", ())
        if isinstance(named, GraphQLObjectType) and python_class(named) is not None:
            possible_types = [named]
        elif isinstance(named, GraphQLUnionType | GraphQLInterfaceType):
            possible_types = self._schema.get_possible_types(named)
        if not possible_types:
            return None
        objects = ObjectCompleters(possible_types, self._plan_objects, can_be_null=not is_non_null_type(type_))
        self._objects[type_] = objects
        return objects


def _complete_null(_value: None, _execution: PlanExecution) -> None:
    return None


def leaf_completer(type_: Any) -> Completer:
    """Make the completer of the values of a leaf type that are not null."""
    if isinstance(type_, GraphQLEnumType):
        names = enum_names(type_)
        return lambda value, _execution: names[value._value_]
    coerce, is_short = type_.coerce_output_value, type_ in SHORT_TYPES

    def complete(value: Any, execution: PlanExecution) -> Any:
        coerced = None if value is None else coerce(value)
        byte_count = measure_leaf(coerced)
        if not is_short:
            execution.text_bytes += byte_count
        return coerced

    return complete


def measure_leaf(value: Any) -> int:
    """Count the bytes of a completed leaf value. Raises `NotCompilableError` if it is null."""
    if value is None:
        raise NotCompilableError
    return leaf_bytes(value)


def enum_names(type_: GraphQLEnumType) -> dict[Any, str]:
    """Return the names of an enum's members by their values in Python."""
    return {value.value: name for name, value in type_.values.items()}


def list_completer(complete_item: Completer) -> Completer:
    """Make the completer of lists. Long ones are completed in turns of the event loop."""

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
