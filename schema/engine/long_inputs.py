"""Long inputs of mutations: made into Python objects in the worker thread, at 20 microseconds for each value."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import strawberry
from graphql import GraphQLResolveInfo
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from schema.engine.variable_limits import CHARACTERS_PER_VALUE, MAX_INLINE_VALUES, count_values
from schema.engine.worker_thread import WorkerThread


def convert_long_inputs_in_thread(schema: strawberry.Schema, worker: WorkerThread) -> None:
    """Make every mutation of a schema convert a long input in the worker thread, and a short one as before."""
    mutation = schema._schema.mutation_type
    for field in mutation.fields.values() if mutation is not None else ():
        definition = cast("StrawberryField", field.extensions["strawberry-definition"])
        field.resolve = _resolver(schema, worker, definition, cast("Callable[..., Any]", field.resolve))


def _resolver(
    schema: strawberry.Schema, worker: WorkerThread, definition: StrawberryField, resolve_short: Callable[..., Any]
) -> Callable[..., Any]:
    convert = partial(
        convert_arguments,
        arguments=definition.arguments,
        scalar_registry=schema.schema_converter.scalar_registry,
        config=schema.config,
    )
    resolver = definition.base_resolver

    async def resolve_long(source: Any, info: strawberry.Info, arguments: dict[str, Any], values: int) -> Any:
        size, caller = CHARACTERS_PER_VALUE * values, info.context.caller
        converted = await worker.run(partial(convert, arguments, info=info), size, caller)
        return await cast("Any", resolver)(source, info=info, **converted)

    def resolve(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        if (values := count_values(arguments)) > MAX_INLINE_VALUES:
            return resolve_long(source, strawberry.Info(info, definition), arguments, values)
        return resolve_short(source, info, **arguments)

    return resolve
