"""Makers of GraphQL fields and enum members, each with its description.

A resolver's docstring is the description of its field, so developers and frontends read the same text.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import strawberry
from graphql import GraphQLField
from strawberry.types.field import StrawberryField

from schema.engine.context import Info
from schema.engine.direct_calls import FIND_KEY


def documented_field(resolver: Callable[..., Any], load: Any = None) -> Any:
    """Make a GraphQL field of a resolver. The resolver's docstring is the description. `find_load` returns `load`."""
    return strawberry.field(resolver=resolver, description=inspect.getdoc(resolver), metadata={"load": load})


def deprecated(reason: str) -> Callable[[Callable[..., Any]], Any]:
    """Make a deprecated GraphQL field of a resolver. The resolver's docstring is the description."""

    def decorate(resolver: Callable[..., Any]) -> Any:
        return strawberry.field(resolver=resolver, description=inspect.getdoc(resolver), deprecation_reason=reason)

    return decorate


def documented_mutation(resolver: Callable[..., Any], load: Any = None) -> Any:
    """Make a GraphQL mutation of a resolver. The resolver's docstring describes it, and its argument too.

    Tools that make forms and code of a mutation show the description of its argument. `find_load` returns `load`.
    """
    field = documented_field(resolver, load)
    for argument in field.base_resolver.arguments:
        argument.description = field.description
    return field


def loading_field(
    load: Any,
    describe: Callable[..., Any],
    resolve: Callable[..., Any],
    *,
    first_argument: int = 1,
    find_key: Callable[[Any], Any] | None = None,
) -> Any:
    """Make a GraphQL field of two functions: `describe` says what to load, and `resolve` loads it.

    The field has the name, the docstring and the type of `describe`, and its parameters from `first_argument` on as
    arguments. `resolve` takes the parent, `info` and the arguments. With `find_key`, parents of equal keys share the
    value (`DirectCall`). `find_load` returns `load`.
    """
    signature = inspect.signature(describe)
    parameters = list(signature.parameters.values())
    info = inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info)
    resolver = functools.update_wrapper(resolve, describe)
    arguments = parameters[first_argument:]
    vars(resolver).update(
        __signature__=signature.replace(parameters=[parameters[0], info, *arguments]), **{FIND_KEY: find_key}
    )
    return documented_field(resolver, load)


def find_load(field: GraphQLField) -> Any:
    """Find what a field says about its loads. Returns None if it loads nothing."""
    definition: StrawberryField | None = field.extensions.get("strawberry-definition")
    return None if definition is None else definition.metadata.get("load")


def documented_subscription(resolver: Callable[..., Any]) -> Any:
    """Make a GraphQL subscription field of a resolver. The resolver's docstring is the description."""
    return strawberry.subscription(resolver=resolver, description=inspect.getdoc(resolver))


def plain_field(description: str) -> Any:
    """Make a GraphQL field that returns an attribute, or a required field of an input."""
    return strawberry.field(description=description)


def enum_member(word: str, description: str) -> Any:
    """Make a member of a GraphQL enum. `word` is its value in Python: the upstream's word."""
    return strawberry.enum_value(word, description=description)
