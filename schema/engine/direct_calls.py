"""Direct calls: fields whose Python function can be called without the wrappers of strawberry and graphql-core."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import FunctionType
from typing import Any, NamedTuple, TypeAlias, cast

from graphql import FieldNode, GraphQLField, GraphQLObjectType, GraphQLScalarType, GraphQLSchema, get_named_type
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from schema.engine.inlining import write_expression
from schema.engine.selection import Fragments, selects_any

Function: TypeAlias = Callable[..., Any]
ConvertArgument: TypeAlias = Callable[[Any, Any], Any]
"""Makes the Python object of the value of an argument, and of the argument's type as strawberry knows it."""

_STRAWBERRY = "strawberry-definition"
_DIRECT = "direct-call"
_LOADING_FIELDS = "loading-fields"
_INFO = "info"
FIND_KEY = "find_key"
"""The attribute of a field's function that holds the `find_key` of its call."""


class DirectCall(NamedTuple):
    """A field's function. Call it with the parent object, and by keyword with its arguments and, if wanted, `info`."""

    function: Function
    wants_info: bool
    python_names: Mapping[str, str]
    """The Python names of the arguments, by their GraphQL names."""
    is_plain: bool
    """Whether the parent is its only argument, and it returns its value without a wait."""
    find_key: Function | None = None
    """Finds in the parent the hashable key on which the value depends, with the arguments alone; None if it is null.

    Within an operation, parents with equal keys have the same value at one position.
    """


def own_key(parent: Any) -> Any:
    """Return the key of a parent itself: the `find_key` of what the key of an object and the arguments decide."""
    return getattr(parent, "key", ())


def enable_direct_calls(schema: GraphQLSchema, convert: ConvertArgument | None = None) -> None:
    """Store the direct call of each field in the schema, and make graphql-core call the plain fields directly too.

    `convert` makes Python objects of inputs and enums. Without it, and on the root of mutations, fields that take such
    arguments have no direct call.
    """
    loading_fields: set[str] = set()
    roots = {schema.query_type, schema.mutation_type, schema.subscription_type}
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType):
            for name, field in type_.fields.items():
                call = _direct_call_from_field(field, None if type_ is schema.mutation_type else convert)
                if call is not None:
                    field.extensions[_DIRECT] = call
                    if call.is_plain and field.subscribe is None:
                        field.resolve = _core_resolver(call.function)
                if type_ not in roots and (call is None or not call.is_plain):
                    loading_fields.add(name)
    schema.extensions[_LOADING_FIELDS] = frozenset(loading_fields)


def may_start_loads(schema: GraphQLSchema, nodes: Sequence[FieldNode], fragments: Fragments) -> bool:
    """Return whether the selections below some field nodes may start loads, judged by the names of the fields."""
    return selects_any(schema.extensions.get(_LOADING_FIELDS, ()), nodes, fragments)


def find_direct_call(field: GraphQLField) -> DirectCall | None:
    """Find the direct call of a field. Returns None if graphql-core and strawberry must call it."""
    return cast("DirectCall | None", field.extensions.get(_DIRECT))


def python_names(field: GraphQLField) -> Mapping[str, str]:
    """Return the Python names of a field's arguments, by their GraphQL names."""
    definition: StrawberryField | None = field.extensions.get(_STRAWBERRY)
    arguments = () if definition is None else definition.arguments
    return {name: argument.python_name for name, argument in zip(field.args, arguments, strict=True)}


def python_class(type_: GraphQLObjectType) -> type | None:
    """Find the Python class whose instances have a GraphQL type. Returns None if the type was not made from a class."""
    definition = type_.extensions.get(_STRAWBERRY)
    generic = getattr(definition, "concrete_of", None)
    return getattr(generic or definition, "origin", None)


def _direct_call_from_field(field: GraphQLField, convert: ConvertArgument | None) -> DirectCall | None:
    definition = field.extensions.get(_STRAWBERRY)
    if not isinstance(definition, StrawberryField) or definition.extensions:
        return None
    if field.subscribe is not None:
        return _plain_call(lambda event: event)
    resolver = definition.base_resolver
    if resolver is None:
        return _plain_call(attrgetter(definition.python_name))
    return _direct_call_from_resolver(field, resolver, convert)


def _direct_call_from_resolver(
    field: GraphQLField, resolver: StrawberryResolver[Any], convert: ConvertArgument | None
) -> DirectCall | None:
    function = cast("Function", resolver.wrapped_func)
    names = list(inspect.signature(function).parameters)
    by_name = python_names(field)
    wants_info = _INFO in names
    if names != ["self", *([_INFO] if wants_info else []), *by_name.values()]:
        return None
    converted = {
        by_name[name]
        for name, argument in field.args.items()
        if not isinstance(get_named_type(argument.type), GraphQLScalarType)
    }
    if converted:
        if convert is None:
            return None
        types = {one.python_name: one.type for one in resolver.arguments if one.python_name in converted}
        function = _converting(function, types, convert)
    is_plain = not (wants_info or by_name or resolver.is_async)
    if is_plain and isinstance(function, FunctionType):
        write_expression(function)  # now, since it takes a millisecond
    return DirectCall(function, wants_info, by_name, is_plain, getattr(resolver.wrapped_func, FIND_KEY, None))


def _converting(function: Function, types: Mapping[str, Any], convert: ConvertArgument) -> Function:
    """Make the function that converts the arguments of these types before it calls another function."""

    def call(parent: Any, **arguments: Any) -> Any:
        for name in types.keys() & arguments.keys():
            arguments[name] = convert(arguments[name], types[name])
        return function(parent, **arguments)

    return call


def _plain_call(function: Function) -> DirectCall:
    return DirectCall(function, wants_info=False, python_names={}, is_plain=True)


def _core_resolver(get: Function) -> Callable[[Any, Any], Any]:
    return lambda parent, _info: get(parent)
