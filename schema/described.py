"""Field makers that keep one text for reader and frontend: a resolver's docstring is its field's description."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import strawberry

ResolverT = TypeVar("ResolverT", bound=Callable[..., Any])


def described(resolver: Callable[..., Any]) -> Any:
    """Make a GraphQL field of a resolver, described by the resolver's docstring."""
    return strawberry.field(resolver=resolver, description=inspect.getdoc(resolver))


def deprecated(reason: str) -> Callable[[Callable[..., Any]], Any]:
    """Make a deprecated GraphQL field of a resolver, described by the resolver's docstring."""

    def make(resolver: Callable[..., Any]) -> Any:
        return strawberry.field(resolver=resolver, description=inspect.getdoc(resolver), deprecation_reason=reason)

    return make


def about(description: str) -> Any:
    """Make a plain GraphQL field with a description."""
    return strawberry.field(description=description)
