"""Makes and compiles the plans of a document before it is executed for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import strawberry
from graphql import (
    DocumentNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    OperationDefinitionNode,
    get_named_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import GroupedFieldSet, collect_fields

from schema.engine.documents import ParsedDocument
from schema.engine.object_plan import ObjectPlan
from schema.engine.plan_execution import PositionPlans
from schema.engine.plans import find_plan

MAX_WARMED_FIELDS = 2_000
"""The most fields of an operation that are planned ahead: a fifth of what its plans may hold."""


def compile_plans(schema: strawberry.Schema, document: ParsedDocument) -> None:
    """Compile the plans of all operations of a valid document.

    An operation whose fields depend on variables, by `@skip` or `@include`, is left to its first execution.
    """
    for operation in document.operations:
        executor = _build_executor(schema, document, operation)
        if not document.plans.depends_on_variables(executor):
            plans = document.plans.find_variant(executor)
            root = cast("GraphQLObjectType", executor.schema.get_root_type(operation.operation))
            collected = collect_fields(executor.schema, executor.fragments, executor.variable_values, root, operation)
            _compile_fields(executor, plans, root, collected.grouped_field_set)


def show_plans(schema: strawberry.Schema, document: ParsedDocument) -> str:
    """Return the Python source of the plans of all operations of a valid document, each after its position's type."""
    compile_plans(schema, document)
    return "\n".join(
        f"# {position[0]}\n{plan.write_source().text}"
        for plans in document.plans.variants
        for position, plan in plans.items()
        if isinstance(plan, ObjectPlan)
    )


def _build_executor(
    schema: strawberry.Schema, document: ParsedDocument, operation: OperationDefinitionNode
) -> Executor[Any]:
    """Build the executor of an operation as if it had no variables, since their values are not known yet."""
    bare = OperationDefinitionNode(operation=operation.operation, selection_set=operation.selection_set)
    fragments = [part for part in document.node.definitions if not isinstance(part, OperationDefinitionNode)]
    node = DocumentNode(definitions=(bare, *fragments))
    executor = cast("Executor[Any]", schema.execution_context_class.build(schema._schema, node))
    executor.operation = operation
    return executor


def _compile_fields(
    executor: Executor[Any], plans: PositionPlans, type_: GraphQLObjectType, fields: GroupedFieldSet
) -> None:
    if plans.field_count + len(fields) > MAX_WARMED_FIELDS:
        return
    known_fields = plans.field_count
    plan = find_plan(type_, fields, plans, executor.schema)
    if plans.field_count == known_fields:
        return  # planned already: a fragment may stand in many places
    if plan is not None:
        plan.compile()
    for details in fields.values():
        field = type_.fields.get(details[0].node.name.value)
        for below in _object_types(executor.schema, field.type) if field is not None else ():
            collected = executor.collect_subfields(below, details)
            if collected.grouped_field_set:
                _compile_fields(executor, plans, below, collected.grouped_field_set)


def _object_types(schema: GraphQLSchema, type_: Any) -> Sequence[GraphQLObjectType]:
    named = get_named_type(type_)
    if isinstance(named, GraphQLObjectType):
        return [named]
    return schema.get_possible_types(named) if isinstance(named, GraphQLInterfaceType | GraphQLUnionType) else []
