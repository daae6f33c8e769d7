"""Makers of fields and of enum members, each with the text that a frontend reads.

A resolver's docstring is its field's description, so that there is one text for its reader and the frontend.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import strawberry

ResolverT = TypeVar("ResolverT", bound=Callable[..., Any])


def documented_field(resolver: Callable[..., Any]) -> Any:
    """Make a GraphQL field of a resolver, described by the resolver's docstring."""
    return strawberry.field(resolver=resolver, description=inspect.getdoc(resolver))


def deprecated(reason: str) -> Callable[[Callable[..., Any]], Any]:
    """Make a deprecated GraphQL field of a resolver, described by the resolver's docstring."""

    def make(resolver: Callable[..., Any]) -> Any:
        return strawberry.field(resolver=resolver, description=inspect.getdoc(resolver), deprecation_reason=reason)

    return make


def plain_field(description: str) -> Any:
    """Make a plain GraphQL field with a description."""
    return strawberry.field(description=description)


def enum_member(word: str, description: str) -> Any:
    """Make a member of a GraphQL enum, with a description; `word` is its value inside."""
    return strawberry.enum_value(word, description=description)
