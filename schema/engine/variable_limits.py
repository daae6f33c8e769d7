"""Limits on the variables of a request, checked before they are coerced, in time linear in the limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schema.contract.errors import ErrorCode, GatewayError, format_value

MAX_LIST_LENGTH = 1_000
"""The most items of a list, or fields of an object. The longest list of the API has 128 items."""

MAX_INPUT_VALUES = 10_000
"""The most values in all variables, each item of a list and each field of an object counted."""

MAX_INLINE_VALUES = 500
"""The most values that are coerced on the event loop, which takes a few milliseconds."""

CHARACTERS_PER_VALUE = 2
"""The size of a value, as the characters of a document that take as long to read. Measured."""


def count_values(variables: Mapping[str, Any]) -> int:
    """Count the values in all variables, to one above `MAX_INPUT_VALUES` at most."""
    values, pending = 0, [*variables.values()]
    while pending and values + len(pending) <= MAX_INPUT_VALUES:
        value = pending.pop()
        values += 1
        if isinstance(value, (list, tuple)):
            pending.extend(value)
        elif isinstance(value, Mapping):
            pending.extend(value.values())
    return min(values + len(pending), MAX_INPUT_VALUES + 1)


def check_variables(variables: Mapping[str, Any]) -> int:
    """Check that coercion of the variables takes little time. Returns the number of their characters.

    Raises:
        GatewayError: A list or an object is too long, or the values are too many.
    """
    values = characters = 0
    for name, variable in variables.items():
        pending = [variable]
        while pending:
            value = pending.pop()
            values += 1
            if isinstance(value, str):
                characters += len(value)
            elif isinstance(value, (list, tuple, Mapping)):
                if len(value) > MAX_LIST_LENGTH:
                    kind = "objects of at most {} fields" if isinstance(value, Mapping) else "lists of at most {} items"
                    raise _too_many(name, kind.format(MAX_LIST_LENGTH), f"one of {len(value)}")
                if isinstance(value, Mapping):
                    characters += sum(map(len, value))
                    pending.extend(value.values())
                else:
                    pending.extend(value)
            if values + len(pending) > MAX_INPUT_VALUES:
                raise _too_many(name, f"variables of at most {MAX_INPUT_VALUES} values in all", "more")
    return characters


def _too_many(name: str, expected: str, got: str) -> GatewayError:
    message = f"Variable {format_value(name)}: expected {expected}, got {got}."
    return GatewayError(ErrorCode.BAD_USER_INPUT, message, argument="variables")
