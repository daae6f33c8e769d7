"""The `userErrors` of a mutation: refusals that the client can act on, as data. Pure.

They have three sources: the validation of the input by pydantic, an id that cannot be read, and the upstream. An error
that the client cannot act on (no credential, no connection, a fault) stays a GraphQL error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum

import strawberry
from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails
from strawberry.types import get_object_definition
from strawberry.types.base import StrawberryList, StrawberryOptional

from schema.contract.errors import ErrorCode, GatewayError, OwnKeyRefusedError, format_value
from schema.graph.documented_field import enum_member, plain_field
from schema.graph.scalars import JSON, Metadata


@strawberry.enum(description="The reason why a mutation was refused.")
class UserErrorCode(Enum):
    """New members may be added."""

    NOT_FOUND = enum_member("NOT_FOUND", "The object that the argument names does not exist.")
    FORBIDDEN = enum_member("FORBIDDEN", "The caller may not set the argument.")
    INVALID_VALUE = enum_member("INVALID_VALUE", "The value of the argument is not valid.")
    TOO_LONG = enum_member("TOO_LONG", "The text is too long.")
    TOO_MANY = enum_member("TOO_MANY", "The list or object has too many members.")
    ACTIVE_RUN = enum_member("ACTIVE_RUN", "A run is active on the thread. Wait until it ends, or cancel it.")
    WRONG_STATE = enum_member("WRONG_STATE", "The present status of the run does not allow it.")
    MISSING_TOOL_OUTPUT = enum_member("MISSING_TOOL_OUTPUT", "A call of the run lacks its output or decision.")
    NOT_KEPT = enum_member(
        "NOT_KEPT", "The gateway could not keep the value of the argument. All else that was sent has taken place."
    )
    UNSUPPORTED = enum_member("UNSUPPORTED", "This gateway is not set up for it; the message names the setting.")
    UNSUPPORTED_BY_UPSTREAM = enum_member(
        "UNSUPPORTED_BY_UPSTREAM", "The upstream, or its version, does not support it."
    )
    REFUSED = enum_member("REFUSED", "The upstream refused for another reason, which is in the message.")


@strawberry.type(description="A refusal that the client can act on. All other errors are GraphQL errors.")
class UserError:
    """Source: the `UserError` of Shopify's GraphQL Admin API."""

    code: UserErrorCode = plain_field("The reason, for programs.")
    message: str = plain_field("The reason, for people: the expected and the actual value.")
    field: list[str] | None = plain_field(
        "The path of the refused field within `input`, by its GraphQL names; indexes count from 0. Null if no field is "
        "the cause."
    )


class MutationRefusedError(Exception):
    """The mutation is refused. `errors` are all the reasons."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = list(errors)


_USER_CODES: Mapping[ErrorCode, UserErrorCode] = {
    ErrorCode.NOT_FOUND: UserErrorCode.NOT_FOUND,
    ErrorCode.FORBIDDEN: UserErrorCode.FORBIDDEN,
    ErrorCode.BAD_USER_INPUT: UserErrorCode.INVALID_VALUE,
    ErrorCode.ACTIVE_RUN: UserErrorCode.ACTIVE_RUN,
    ErrorCode.WRONG_STATE: UserErrorCode.WRONG_STATE,
    ErrorCode.CONFLICT: UserErrorCode.WRONG_STATE,
    ErrorCode.UNSUPPORTED: UserErrorCode.UNSUPPORTED,
    ErrorCode.UNSUPPORTED_BY_UPSTREAM: UserErrorCode.UNSUPPORTED_BY_UPSTREAM,
    ErrorCode.UPSTREAM_REFUSED: UserErrorCode.REFUSED,
}
_USER_CODES_OF_PYDANTIC = {"string_too_long": UserErrorCode.TOO_LONG, "too_long": UserErrorCode.TOO_MANY}
# For each size error of pydantic: the words of the message, and the key of the limit in pydantic's context.
_SIZES = {
    "string_too_long": ("at most", "character", "max_length"),
    "string_too_short": ("at least", "character", "min_length"),
    "too_long": ("at most", "item", "max_length"),
    "too_short": ("at least", "item", "min_length"),
}
_NOT_FOUND = re.compile(
    r"No (thread|message|run|assistant) found|(Thread|Message|Run|Assistant) \S+ not found"
    r"|No such (File) object"
)
_OTHER_OBJECT = re.compile(r"\b(file|vector ?store|step|tool|model|deployment|engine)s?\b", re.IGNORECASE)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_INDEX = re.compile(r"\[(\d+)\]")
_TOO_LONG = re.compile(r"\btoo long\b")
_TOO_MANY = re.compile(r"\btoo many\b")
_FREE_NAMES = "metadata"
_INPUT_NAMES = {"tool_call_id": "callId", "tool_approvals": "approvals"}
"""Fields of bodies that have another name in the input."""
_FREE_SCALARS = (Metadata, JSON)


def user_error_from_gateway_error(
    error: GatewayError, input_type: type[object], own_field: str | None = None
) -> UserError | None:
    """Convert an upstream's refusal. Returns None if the client cannot act on it.

    `own_field` is the argument that names the mutation's own object. The error names it if the upstream found no
    object, or the object is in the wrong state, and the upstream does not say more. The error names nothing that does
    not exist in `input_type`, the type of the mutation's input.
    """
    code = _USER_CODES.get(error.code)
    if code is None or isinstance(error, OwnKeyRefusedError):
        return None
    if code is UserErrorCode.FORBIDDEN and error.argument is None:
        return None  # all of it is forbidden, so nothing can be left out
    field = None if error.argument is None else field_path(split_argument(error.argument))
    if code is UserErrorCode.NOT_FOUND:
        named = _NOT_FOUND.match(error.message)
        if named:
            field = [f"{(named[1] or named[2] or named[3]).lower()}Id"]
        elif (
            field is None
            and own_field
            and (own_field == "fileId" or not _OTHER_OBJECT.search(_QUOTED.sub("", error.message)))
        ):
            field = [own_field]
    elif code is UserErrorCode.WRONG_STATE and field is None and own_field:
        field = [own_field]
    elif code is UserErrorCode.INVALID_VALUE:
        if _TOO_LONG.search(error.message):
            code = UserErrorCode.TOO_LONG
        elif _TOO_MANY.search(error.message):
            code = UserErrorCode.TOO_MANY
    return UserError(code=code, message=error.message, field=_existing_path(input_type, field or ()))


def _existing_path(input_type: object, path: Sequence[str]) -> list[str] | None:
    """Return the longest beginning of a path that exists in an input of this type. Returns None if there is none."""
    found: list[str] = []
    place = input_type
    for step in path:
        while isinstance(place, StrawberryOptional):
            place = place.of_type
        if isinstance(place, StrawberryList):
            following = place.of_type if step.isdigit() else None
        elif (definition := get_object_definition(place)) is not None:
            fields = {field.graphql_name or to_camel(field.python_name): field.type for field in definition.fields}
            following = fields.get(step)
        else:
            following = place if place in _FREE_SCALARS else None
        if following is None:
            break
        found.append(step)
        place = following
    return found or None


def user_errors_from_validation_error(error: ValidationError) -> list[UserError]:
    """Convert pydantic's errors, one for each path."""
    user_errors: dict[tuple[str, ...], UserError] = {}
    for fault in error.errors(include_url=False):
        steps = [str(part) for part in fault["loc"]]
        known = steps[: steps.index(_FREE_NAMES) + 1] if _FREE_NAMES in steps else steps
        if any("literal[" in step for step in known):
            continue  # the value may be a word or an object; the error of the object says more
        # The path contains the class name of a union's member.
        field = field_path([step for step in known if not step[:1].isupper()] + steps[len(known) :])
        code = _USER_CODES_OF_PYDANTIC.get(fault["type"], UserErrorCode.INVALID_VALUE)
        user_errors.setdefault(tuple(field), UserError(code=code, message=_message_from_fault(fault), field=field))
    return list(user_errors.values())


def split_argument(argument: str) -> list[str]:
    """Split an upstream's path such as `tools[0].function.name`. A key below `metadata` stays one step."""
    before, below, name = argument.partition(f"{_FREE_NAMES}.")
    steps = [step for step in _INDEX.sub(r".\1", before).split(".") if step]
    return [*steps, _FREE_NAMES, name] if below else steps


def field_path(parts: Sequence[str]) -> list[str]:
    """Convert a path in a body to a path in the input. Keys below `metadata` are the client's own and stay."""
    path: list[str] = []
    for part in parts:
        is_as_it_is = _FREE_NAMES in path or part.isdigit() or not part.islower()
        path.append(part if is_as_it_is else _INPUT_NAMES.get(part) or to_camel(part))
    return path


def _message_from_fault(fault: ErrorDetails) -> str:
    """Build a message with the expected and the actual value, in JSON spelling."""
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
