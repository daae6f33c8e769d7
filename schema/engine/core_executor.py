"""The executor that has no plans: graphql-core executes every field.

Its responses are those of the compiled executor, and its calls are the same, but it takes several times as long. It is
for support: a response that differs shows a fault of a plan, and a release of Strawberry or of graphql-core that plans
cannot follow yet can still be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from graphql import GraphQLObjectType

from schema.engine.executor import CompiledExecutor

Engine: TypeAlias = Literal["compiled", "graphql-core"]
"""What executes operations: plans, with graphql-core for what is unusual, or graphql-core alone."""


class CoreExecutor(CompiledExecutor):
    """An executor that lets graphql-core execute all fields, within the same limits."""

    def _execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Any,
        grouped_field_set: Any,
        position_context: Any,
    ) -> Any:
        return self._execute_by_core(parent_type, source_value, path, grouped_field_set, position_context)


EXECUTORS: Mapping[Engine, type[CompiledExecutor]] = {"compiled": CompiledExecutor, "graphql-core": CoreExecutor}
