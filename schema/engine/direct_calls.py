"""Finds the fields that can be called as the plain functions they are, without what stands around them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias, cast

from graphql import FieldNode, GraphQLField, GraphQLObjectType, GraphQLScalarType, GraphQLSchema, get_named_type
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from schema.engine.selection import Fragments, selects_any

Function: TypeAlias = Callable[..., Any]

_STRAWBERRY = "strawberry-definition"
_DIRECT = "direct-call"
_LEADING_ON = "not-plain"
_INFO = "info"


class DirectCall(NamedTuple):
    """How a field's function is called: with its parent, and by name with `info`, if it wants that, and arguments."""

    function: Function
    wants_info: bool
    python_names: Mapping[str, str]
    """The arguments: what Python calls them, by their names in GraphQL."""
    is_plain: bool
    """Whether the parent is all that it is given, and its value is at hand."""


def enable_direct_calls(schema: GraphQLSchema) -> None:
    """Note of each field of a schema how it is called directly, and let graphql-core call the plain ones so too."""
    not_plain: set[str] = set()
    roots = {schema.query_type, schema.mutation_type, schema.subscription_type}
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType):
            for name, field in type_.fields.items():
                call = _call_of(field)
                if call is not None:
                    field.extensions[_DIRECT] = call
                    if call.is_plain and field.subscribe is None:
                        field.resolve = _resolver(call.function)
                if type_ not in roots and (call is None or not call.is_plain):
                    not_plain.add(name)
    schema.extensions[_LEADING_ON] = frozenset(not_plain)


def leads_on(schema: GraphQLSchema, below: Sequence[FieldNode], fragments: Fragments) -> bool:
    """Tell whether what is selected below some fields may have to be waited for, judged by the names of the fields."""
    return selects_any(schema.extensions.get(_LEADING_ON, ()), below, fragments)


def direct_call(field: GraphQLField) -> DirectCall | None:
    """Say how a field is called directly; None where graphql-core and strawberry have to."""
    return cast("DirectCall | None", field.extensions.get(_DIRECT))


def class_of(type_: GraphQLObjectType) -> type | None:
    """Give the class whose instances are of a type; None for one that was not made of a class."""
    definition = type_.extensions.get(_STRAWBERRY)
    generic = getattr(definition, "concrete_of", None)
    return getattr(generic or definition, "origin", None)


def _call_of(field: GraphQLField) -> DirectCall | None:
    definition = field.extensions.get(_STRAWBERRY)
    if not isinstance(definition, StrawberryField) or definition.extensions:
        return None
    if field.subscribe is not None:
        return _plain(lambda event: event)
    resolver = definition.base_resolver
    if resolver is None:
        return _plain(attrgetter(definition.python_name))
    return _call_of_resolver(field, definition, resolver)


def _call_of_resolver(
    field: GraphQLField, definition: StrawberryField, resolver: StrawberryResolver[Any]
) -> DirectCall | None:
    function = cast("Function", resolver.wrapped_func)
    names = list(inspect.signature(function).parameters)
    python_names = dict(zip(field.args, (argument.python_name for argument in definition.arguments), strict=True))
    wants_info = _INFO in names
    if names != ["self", *([_INFO] if wants_info else []), *python_names.values()]:
        return None
    if not all(isinstance(get_named_type(argument.type), GraphQLScalarType) for argument in field.args.values()):
        return None  # strawberry makes Python objects of inputs and enums
    is_plain = not (wants_info or python_names or resolver.is_async)
    return DirectCall(function, wants_info, python_names, is_plain)


def _plain(function: Function) -> DirectCall:
    return DirectCall(function, wants_info=False, python_names={}, is_plain=True)


def _resolver(get: Function) -> Callable[[Any, Any], Any]:
    return lambda parent, _info: get(parent)
