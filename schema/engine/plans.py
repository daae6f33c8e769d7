"""Compiles what is selected on an object into one function, which reads it without GraphQL's bookkeeping. Pure.

A plan is made when its place in a document is first met, and kept with the document; it knows no principal, no
variables and no object. Only the values of `@skip` and `@include` are part of it, so there is one for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLID,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLString,
    GraphQLUnionType,
    SelectionSetNode,
    VariableNode,
    get_nullable_type,
    is_leaf_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetails, GroupedFieldSet

from schema.engine.attempt import NotCompilableError, PlanExecution, Show
from schema.engine.deferred import Deferred
from schema.engine.direct_calls import DirectCall, class_of, direct_call, leads_on
from schema.engine.selection import Arguments

Details: TypeAlias = list[FieldDetails]
Fetch: TypeAlias = Callable[[Any, PlanExecution, dict[str, Any], str], None]

_AS_THEY_ARE: Mapping[Any, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}
"""Types whose values of a Python type need no look."""

MAX_FIELDS = 10_000
"""How many fields are planned of an operation; a large page of a large frontend selects some hundred."""

MAX_VARIANTS = 8
"""How many sets of conditions have plans at a time, in one document."""


class Plan(NamedTuple):
    """How the selected fields of an object are shown, by their names in the answer."""

    reads: Sequence[tuple[str, Show]]
    """All fields, in their order; of those that are fetched, only the place is held."""
    fetches: Sequence[tuple[str, Fetch]]
    holds_many: bool
    """Whether a list that may be long lies in it: where something in it has failed, it is left to graphql-core."""

    def show(self, parent: Any, attempt: PlanExecution) -> dict[str, Any]:
        """Show the fields of an object, what has to be waited for as soon as it is here."""
        shown = {name: read(parent, attempt) for name, read in self.reads}
        for name, fetch in self.fetches:
            fetch(parent, attempt, shown, name)
        return shown


class PositionPlans(dict[Any, Any]):
    """What was found out about the places of an operation under certain conditions.

    `fields` counts what is planned. Where that is more than anybody means, nothing is: graphql-core executes it all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fields = 0
        self.are_too_many = False

    def plan(self, place: Any, type_: GraphQLObjectType, fields: GroupedFieldSet) -> Plan | None:
        """Plan the fields of one more place."""
        if self.are_too_many:
            return None
        self.fields += len(fields)
        if self.fields > MAX_FIELDS:
            self.clear()
            self.fields, self.are_too_many = 0, True
            return None
        plan = self[place] = _compile(type_, fields)
        return plan


class DocumentPlans:
    """How the places of one document are executed, kept as long as the document; found out when they are met.

    A place that merges fragments in a way of its own has a plan of its own, so the document's length is no bound of
    `size`; whoever keeps it looks at that.
    """

    def __init__(self) -> None:
        """Know no place yet."""
        self._conditions: dict[int, Sequence[str]] = {}
        self._variants: dict[Any, PositionPlans] = {}

    @property
    def size(self) -> int:
        """How many fields and places there are plans of; each takes up to a kilobyte."""
        return sum(places.fields + len(places) for places in self._variants.values())

    def forget(self) -> None:
        """Know no place any more; operations under way keep what they have."""
        self._variants.clear()

    def places_of(self, executor: Executor[Any]) -> PositionPlans:
        """Give the places of an operation under the conditions that its variables mean."""
        operation = id(executor.operation)
        conditions = self._conditions.get(operation)
        if conditions is None:
            fragments = executor.fragment_definitions.values()
            sets = (part.selection_set for part in (executor.operation, *fragments))
            conditions = self._conditions[operation] = sorted(_conditions(sets))
        values = executor.variable_values.coerced
        variant = (operation, *(values.get(name) for name in conditions))
        places = self._variants.pop(variant, None)
        if places is None:
            places = PositionPlans()
            if len(self._variants) >= MAX_VARIANTS:
                del self._variants[next(iter(self._variants))]
        self._variants[variant] = places  # the last used is the last
        return places


def find_plan(type_: GraphQLObjectType, fields: GroupedFieldSet, places: PositionPlans) -> Plan | None:
    """Find the plan of some fields of a type; None where graphql-core has to execute them."""
    place = (type_.name, *(id(one.node) for details in fields.values() for one in details))
    return places[place] if place in places else places.plan(place, type_, fields)


def _compile(type_: GraphQLObjectType, fields: GroupedFieldSet) -> Plan | None:
    reads: list[tuple[str, Show]] = []
    fetches: list[tuple[str, Fetch]] = []
    holds_many = "nodes" in type_.fields
    for name, details in fields.items():
        if any(one.defer_usage or one.fragment_variable_values for one in details):
            return None
        field_name = details[0].node.name.value
        if field_name == "__typename":
            reads.append((name, _constant(type_.name)))
            continue
        field = type_.fields.get(field_name)
        call = None if field is None else direct_call(field)
        show = None if field is None else _show_of(field.type, details)
        if field is None or call is None or show is None:
            return None
        if call.is_plain:
            reads.append((name, _read(call.function, field.type, show)))
        else:
            reads.append((name, _nothing_yet))  # holds the field's place in the answer
            fetches.append((name, _fetch(call, field, details, show)))
            holds_many = holds_many or bool(field.args)  # what takes arguments is a page, or a lookup

    return Plan(reads, fetches, holds_many)


def _constant(text: str) -> Show:
    return lambda _parent, _attempt: text


def _nothing_yet(_parent: Any, _attempt: PlanExecution) -> None:
    return None


def _read(get: Callable[[Any], Any], type_: Any, show: Show) -> Show:
    """Make the function that shows a plain field of its parent."""
    shown_as_it_is = _AS_THEY_ARE.get(get_nullable_type(type_))
    if shown_as_it_is is None:
        return lambda parent, attempt: show(get(parent), attempt)

    def read(parent: Any, attempt: PlanExecution) -> Any:
        value = get(parent)
        return value if type(value) is shown_as_it_is else show(value, attempt)

    return read


def _fetch(call: DirectCall, field: GraphQLField, details: Details, show: Show) -> Fetch:
    """Make the function that calls a field's own with what it wants to be given, and settles what it gives."""
    function = call.function
    nodes = [one.node for one in details]
    arguments = Arguments(field, nodes[0], call.python_names)
    place = object()
    leads: bool | None = None

    def fetch(parent: Any, attempt: PlanExecution, shown: dict[str, Any], name: str) -> None:
        nonlocal leads
        given = attempt.given.get(place)
        if given is None:
            executor = attempt.executor
            if leads is None:
                # What takes no arguments is no page, so it is mostly shown as fast as it is put off.
                leads = not field.args or leads_on(executor.schema, nodes, executor.fragment_definitions)
            given = dict(arguments.of(executor.variable_values))
            if call.wants_info:
                given["info"] = attempt.info(nodes)
            attempt.given[place] = given
        attempt.settle(function(parent, **given), shown, name, show, leads_on=leads is not False)

    return fetch


def _show_of(type_: Any, details: Details) -> Show | None:
    """Make the function that shows a value of a type."""
    if isinstance(type_, GraphQLNonNull):
        return _show_present(type_.of_type, details)
    show = _show_present(type_, details)
    return None if show is None else lambda value, attempt: None if value is None else show(value, attempt)


def _show_present(type_: Any, details: Details) -> Show | None:
    if is_leaf_type(type_):
        return _leaf(type_)
    if isinstance(type_, GraphQLList):
        show_item = _show_of(type_.of_type, details)
        return None if show_item is None else _list(show_item)
    if isinstance(type_, GraphQLObjectType):
        return _object(type_, details)
    if isinstance(type_, GraphQLUnionType | GraphQLInterfaceType):
        return _one_of(type_, details)
    return None


def _object(type_: GraphQLObjectType, details: Details) -> Show | None:
    class_ = class_of(type_)
    return None if class_ is None else _instance(type_, class_, details)


def _instance(type_: GraphQLObjectType, class_: type, details: Details) -> Show:
    # The same as `Plan.show`, one call less for each object.
    reads: Sequence[tuple[str, Show]] | None = None
    fetches: Sequence[tuple[str, Fetch]] = ()

    def show(value: Any, attempt: PlanExecution) -> dict[str, Any]:
        nonlocal reads, fetches
        if type(value) is not class_:
            raise NotCompilableError
        if reads is None:
            collected = attempt.executor.collect_subfields(type_, details)
            plan = find_plan(type_, collected.grouped_field_set, attempt.places)
            if plan is None or collected.new_defer_usages:
                raise NotCompilableError
            reads, fetches, _ = plan
        shown = {name: read(value, attempt) for name, read in reads}
        for name, fetch in fetches:
            fetch(value, attempt, shown, name)
        return shown

    return show


def _one_of(type_: GraphQLUnionType | GraphQLInterfaceType, details: Details) -> Show:
    """Show a value by its class, which tells its type."""
    shows: dict[type, Show] = {}

    def show(value: Any, attempt: PlanExecution) -> Any:
        show_instance = shows.get(type(value))
        if show_instance is None:
            schema = attempt.executor.schema
            possible = [one for one in schema.get_possible_types(type_) if class_of(one) is type(value)]
            if len(possible) != 1:
                raise NotCompilableError
            show_instance = shows[type(value)] = _instance(possible[0], type(value), details)
        return show_instance(value, attempt)

    return show


def _list(show_item: Show) -> Show:
    def show(value: Any, attempt: PlanExecution) -> list[Any]:
        if type(value) not in {list, tuple}:
            raise NotCompilableError
        if Deferred in map(type, value):
            shown: list[Any] = [None] * len(value)
            for index, item in enumerate(value):
                attempt.settle(item, shown, index, show_item)
            return shown
        return [show_item(item, attempt) for item in value]

    return show


def _leaf(type_: Any) -> Show:
    if isinstance(type_, GraphQLEnumType):
        names = {value.value: name for name, value in type_.values.items()}
        return lambda value, _attempt: names[value._value_]
    coerce = type_.coerce_output_value

    def show(value: Any, _attempt: PlanExecution) -> Any:
        coerced = coerce(value)
        if value is None or coerced is None:
            raise NotCompilableError
        return coerced

    return show


def _conditions(sets: Iterable[SelectionSetNode | None]) -> set[str]:
    """Name the variables that say whether something is selected."""
    names: set[str] = set()
    for selections in sets:
        for selection in selections.selections if selections else ():
            names.update(
                argument.value.name.value
                for directive in selection.directives or ()
                for argument in directive.arguments or ()
                if isinstance(argument.value, VariableNode)
            )
            below = getattr(selection, "selection_set", None)
            if below is not None:
                names |= _conditions([below])
    return names
