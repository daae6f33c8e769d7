"""Makers of GraphQL fields and enum members, each with its description.

A resolver's docstring is the description of its field, so developers and frontends read the same text.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import strawberry


def documented_field(resolver: Callable[..., Any]) -> Any:
    """Make a GraphQL field of a resolver. The resolver's docstring is the description."""
    return strawberry.field(resolver=resolver, description=inspect.getdoc(resolver))


def deprecated(reason: str) -> Callable[[Callable[..., Any]], Any]:
    """Make a deprecated GraphQL field of a resolver. The resolver's docstring is the description."""

    def decorate(resolver: Callable[..., Any]) -> Any:
        return strawberry.field(resolver=resolver, description=inspect.getdoc(resolver), deprecation_reason=reason)

    return decorate


def documented_mutation(resolver: Callable[..., Any]) -> Any:
    """Make a GraphQL mutation of a resolver. The resolver's docstring describes it, and its argument too.

    Tools that make forms and code of a mutation show the description of its argument.
    """
    field = documented_field(resolver)
    for argument in field.base_resolver.arguments:
        argument.description = field.description
    return field


def documented_subscription(resolver: Callable[..., Any]) -> Any:
    """Make a GraphQL subscription field of a resolver. The resolver's docstring is the description."""
    return strawberry.subscription(resolver=resolver, description=inspect.getdoc(resolver))


def plain_field(description: str) -> Any:
    """Make a GraphQL field that returns an attribute, or a required field of an input."""
    return strawberry.field(description=description)


def enum_member(word: str, description: str) -> Any:
    """Make a member of a GraphQL enum. `word` is its value in Python: the upstream's word."""
    return strawberry.enum_value(word, description=description)
