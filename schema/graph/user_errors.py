"""Refusals of a mutation that its caller can act on, as data. Pure.

They come from three places: the input's own checks (pydantic), an id that cannot be read, and the upstream. Whatever
says nothing to act on (no credential, no connection, a fault) stays a GraphQL error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum

import strawberry
from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from schema.contract.errors import ErrorCode, GatewayError, format_value
from schema.graph.documented_field import enum_member, plain_field


@strawberry.enum(description="Why a mutation was refused.")
class UserErrorCode(Enum):
    """New members may be added."""

    NOT_FOUND = enum_member("NOT_FOUND", "What the argument names is not there.")
    INVALID_VALUE = enum_member("INVALID_VALUE", "The argument's value cannot be taken.")
    TOO_LONG = enum_member("TOO_LONG", "A text is too long.")
    TOO_MANY = enum_member("TOO_MANY", "A list or an object has too many members.")
    ACTIVE_RUN = enum_member("ACTIVE_RUN", "A run still holds the thread; wait for it or cancel it.")
    WRONG_STATE = enum_member("WRONG_STATE", "The run's present status does not allow it.")
    MISSING_TOOL_OUTPUT = enum_member("MISSING_TOOL_OUTPUT", "A call that the run waits for has no output.")
    UNSUPPORTED_BY_UPSTREAM = enum_member("UNSUPPORTED_BY_UPSTREAM", "This upstream, or its version, cannot do it.")
    REFUSED = enum_member("REFUSED", "The upstream refused for a reason of its own; the message has it.")


@strawberry.type(description="What the caller can act on. Everything else is a GraphQL error.")
class UserError:
    """A refusal as data, as Shopify's API gives it."""

    code: UserErrorCode = plain_field("Why, for a program.")
    message: str = plain_field("Why, for a person: what was expected and what came.")
    field: list[str] | None = plain_field(
        "Path of the argument within `input`, in GraphQL's spelling; indexes count from 0. Null where none is to blame."
    )


class MutationRefusedError(Exception):
    """A mutation that is refused, with all its reasons."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = list(errors)


_OF_GATEWAY_ERROR: Mapping[ErrorCode, UserErrorCode] = {
    ErrorCode.NOT_FOUND: UserErrorCode.NOT_FOUND,
    ErrorCode.BAD_USER_INPUT: UserErrorCode.INVALID_VALUE,
    ErrorCode.ACTIVE_RUN: UserErrorCode.ACTIVE_RUN,
    ErrorCode.WRONG_STATE: UserErrorCode.WRONG_STATE,
    ErrorCode.CONFLICT: UserErrorCode.WRONG_STATE,
    ErrorCode.UNSUPPORTED_BY_UPSTREAM: UserErrorCode.UNSUPPORTED_BY_UPSTREAM,
    ErrorCode.UPSTREAM_REFUSED: UserErrorCode.REFUSED,
}
_OF_PYDANTIC = {"string_too_long": UserErrorCode.TOO_LONG, "too_long": UserErrorCode.TOO_MANY}
# What is counted of a value whose size is refused, and the key of the limit in pydantic's context.
_SIZES = {
    "string_too_long": ("at most", "character", "max_length"),
    "string_too_short": ("at least", "character", "min_length"),
    "too_long": ("at most", "item", "max_length"),
    "too_short": ("at least", "item", "min_length"),
}
_NOT_FOUND = re.compile(r"No (thread|message|run|assistant) found|(Thread|Message|Run|Assistant) \S+ not found")
_OTHER_THING = re.compile(r"\b(file|vector ?store|step|tool)\b", re.IGNORECASE)
_QUOTED = re.compile(r"'[^']*'")
_INDEX = re.compile(r"\[(\d+)\]")
_TOO_LONG = re.compile(r"\btoo long\b")
_TOO_MANY = re.compile(r"\btoo many\b")
_FREE_NAMES = "metadata"


def user_error_from_gateway_error(error: GatewayError, own_field: str | None = None) -> UserError | None:
    """Make data of an upstream's refusal; None for what the caller cannot act on.

    `own_field` names the argument that says what the mutation acts on: it is to blame where the upstream found
    nothing and says no more.
    """
    code = _OF_GATEWAY_ERROR.get(error.code)
    if code is None:
        return None
    field = None if error.argument is None else field_path(places_of(error.argument))
    if code is UserErrorCode.NOT_FOUND:
        named = _NOT_FOUND.match(error.message)
        if named:
            field = [f"{(named[1] or named[2]).lower()}Id"]
        elif field is None and own_field and not _OTHER_THING.search(_QUOTED.sub("", error.message)):
            field = [own_field]
    elif code is UserErrorCode.WRONG_STATE and field is None and own_field:
        field = [own_field]
    elif code is UserErrorCode.INVALID_VALUE:
        if _TOO_LONG.search(error.message):
            code = UserErrorCode.TOO_LONG
        elif _TOO_MANY.search(error.message):
            code = UserErrorCode.TOO_MANY
    return UserError(code=code, message=error.message, field=field)


def user_errors_from_validation_error(error: ValidationError) -> list[UserError]:
    """Make data of what pydantic found, one error for each place."""
    found: dict[tuple[str, ...], UserError] = {}
    for fault in error.errors(include_url=False):
        steps = [str(part) for part in fault["loc"]]
        known = steps[: steps.index(_FREE_NAMES) + 1] if _FREE_NAMES in steps else steps
        if any("literal[" in step for step in known):
            continue  # the other reading of a word or object; the object's own fault says more
        # A union's member stands in the place as a class name.
        field = field_path([step for step in known if not step[:1].isupper()] + steps[len(known) :])
        code = _OF_PYDANTIC.get(fault["type"], UserErrorCode.INVALID_VALUE)
        found.setdefault(tuple(field), UserError(code=code, message=_sentence(fault), field=field))
    return list(found.values())


def places_of(argument: str) -> list[str]:
    """Split an upstream's `tools[0].function.name` into its steps; what lies below metadata is one free name."""
    before, below, name = argument.partition(f"{_FREE_NAMES}.")
    steps = [step for step in _INDEX.sub(r".\1", before).split(".") if step]
    return [*steps, _FREE_NAMES, name] if below else steps


def field_path(parts: Sequence[str]) -> list[str]:
    """Respell a place in a body as a place in the input; what lies below metadata has the caller's own names."""
    path: list[str] = []
    for part in parts:
        path.append(part if _FREE_NAMES in path or part.isdigit() or not part.islower() else to_camel(part))
    return path


def _sentence(fault: ErrorDetails) -> str:
    """Say what was expected and what came, in words and JSON spelling."""
    message, got = fault["msg"], fault["input"]
    if ", got " in message:
        return message
    if fault["type"] in _SIZES:
        bound, thing, limit = _SIZES[fault["type"]]
        count = fault["ctx"][limit]
        return f"expected {bound} {count} {thing}{'' if count == 1 else 's'}, got {len(got)}"
    if fault["type"] == "dict_type":
        message = "expected a JSON object"
    for beginning, expected in (
        ("Input should be ", "expected "),
        ("String should match ", "expected a string that matches "),
    ):
        if message.startswith(beginning):
            message = expected + message.removeprefix(beginning)
    return f"{message}, got {format_value(got)}"
