"""One write of a mutation: its body, its payload, and the refusals that the client can act on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from strawberry import UNSET

from schema.contract.bodies import Body
from schema.contract.errors import GatewayError
from schema.contract.keys import NodeKey, to_global_id
from schema.contract.ports import ThreadsApi
from schema.contract.writes import Write
from schema.engine.context import Info
from schema.graph.id_arguments import read_id
from schema.graph.input_parts import present_fields
from schema.graph.payloads import Payload
from schema.graph.user_errors import (
    MutationRefusedError,
    user_error_from_gateway_error,
    user_errors_from_validation_error,
)

PayloadT = TypeVar("PayloadT", bound=Payload)
BodyT = TypeVar("BodyT", bound=Body)
KeyT = TypeVar("KeyT", bound=NodeKey)
Fields: TypeAlias = dict[str, Any]
"""The fields of a payload, by their names in Python."""


async def write_once(
    info: Info,
    payload_type: type[PayloadT],
    input: Any,
    write: Callable[[ThreadsApi], Awaitable[Fields]],
    own_field: str | None = None,
) -> PayloadT:
    """Send one write. Returns the payload with the result, or with the refusals that the client can act on.

    In any case the loaders are cleared, because a write that failed may still have taken place.

    Raises:
        GatewayError: The client cannot act on the error.
    """
    mutation_id = None if input.client_mutation_id is UNSET else input.client_mutation_id
    try:
        fields = await write(info.context.api)
    except ValidationError as error:
        return payload_type(user_errors=user_errors_from_validation_error(error), client_mutation_id=mutation_id)
    except MutationRefusedError as refused:
        return payload_type(user_errors=refused.errors, client_mutation_id=mutation_id)
    except GatewayError as error:
        user_error = user_error_from_gateway_error(error, type(input), own_field)
        if user_error is None:
            raise
        return payload_type(user_errors=[user_error], client_mutation_id=mutation_id)
    finally:
        info.context.reset_loaders()
    return payload_type(client_mutation_id=mutation_id, **fields)


async def delete_once(
    info: Info,
    payload_type: type[PayloadT],
    input: Any,
    operation: Write[KeyT, None, None],
    key_type: type[KeyT],
) -> PayloadT:
    """Send the deletion of the object that the input names, in a field that is named like the last part of its key."""
    field = key_type._fields[-1]
    argument = to_camel(field)

    async def write(api: ThreadsApi) -> Fields:
        key = read_id(key_type, getattr(input, field), argument)
        await api.write(operation, key, None)
        return {"deleted_id": to_global_id(key)}

    return await write_once(info, payload_type, input, write, argument)


def build_body(body_type: type[BodyT], input: Any, *excluded: str, keep_nulls: bool = False, **overrides: Any) -> BodyT:
    """Build the body of the fields that are set in an input.

    Raises:
        ValidationError: pydantic refuses a value.
    """
    wire = {
        name: value
        for name, value in present_fields(input)
        if name not in {*excluded, "client_mutation_id"} and (keep_nulls or value is not None)
    }
    return body_type.model_validate(wire | overrides)
