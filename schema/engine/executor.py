"""The executor of an operation: made from a parsed document, executing by compiled plans and by graphql-core.

Most of a response is computed by functions from values at hand. The executor calls them in one go. A value that needs
a load is filled in when the load is done, without the bookkeeping of GraphQL's general algorithm for each field.

An unusual value (a null for a non-null type, an exception, a value that its type refuses) makes graphql-core execute
the object's fields again from the start, and word the error. The objects in its lists are then tried by plans again.
Nothing is fetched from the upstream twice because of that: loaded values and errors are memoised for the operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import strawberry
from graphql import GraphQLLeafType, GraphQLObjectType, GraphQLResolveInfoHelpers
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema.contract.errors import GatewayError
from schema.engine.answer_size import ERROR_BYTES, AnswerSize, leaf_bytes, object_bytes
from schema.engine.context import Context
from schema.engine.documents import ParsedDocument
from schema.engine.plan_execution import PlanExecution, PositionPlans
from schema.engine.plans import DocumentPlans, counts_as_object, find_plan
from schema.engine.public_errors import OperationRefusedError, to_graphql_errors
from schema.engine.turns import Turns
from schema.engine.variable_limits import check_variables

MAX_SUGGESTED_CHARACTERS = 10_000
"""Variables with more characters get errors without a search for similar names."""

_MAX_COERCION_ERRORS = 1


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's executor, which executes the fields of an object by a plan where it can."""

    plans: DocumentPlans | None = None
    """The plans of the document, set before execution."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._position_plans: PositionPlans | None = None
        self._has_failed = False
        context = self.context_value
        self._answer_size = context.answer_size if isinstance(context, Context) else AnswerSize()
        self._turns = Turns(self._answer_size)

    @property
    def async_helpers(self) -> GraphQLResolveInfoHelpers:
        """The helpers for resolvers.

        They are bound to the executor, so it must not hold them: only the garbage collector could free it then, with
        all that the operation has loaded.
        """
        return GraphQLResolveInfoHelpers(gather=self.gather_async_work, track=self.track_async_work)

    @async_helpers.setter
    def async_helpers(self, helpers: GraphQLResolveInfoHelpers) -> None:
        """Ignore the helpers that graphql-core makes."""

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Any,
        grouped_field_set: Any,
        position_context: Any,
    ) -> Any:
        """Execute the fields of one object. Returns their values by response name, or an awaitable of that."""
        arguments = (parent_type, source_value, path, grouped_field_set, position_context)
        if self._turns.is_over:
            return self._turns.run_later(partial(self._execute_fields, *arguments))
        return self._execute_fields(*arguments)

    def _execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Any,
        grouped_field_set: Any,
        position_context: Any,
    ) -> Any:
        by_core = partial(self._execute_by_core, parent_type, source_value, path, grouped_field_set, position_context)
        plans = self._position_plans if self._position_plans is not None else self._find_plans()
        plan = find_plan(parent_type, grouped_field_set, plans, self.schema)
        if plan is None or (self._has_failed and plan.may_hold_long_list):
            return by_core()
        execution = PlanExecution(self, plans, self._answer_size.bytes_left)
        try:
            response = plan.complete(source_value, execution)
        except Exception:  # graphql-core meets it again, and reports it
            execution.abort()
            self._has_failed = True
            return self._wait(execution, {}, by_core) if execution.tasks else self._fall_back(execution, by_core)
        if execution.pending:
            return self._wait(execution, response, by_core)
        self._count(execution)
        return response

    async def _wait(self, execution: PlanExecution, response: dict[str, Any], by_core: Callable[[], Any]) -> Any:
        """Wait for the pending values; after a failure let graphql-core execute the fields."""
        if await execution.wait():
            self._count(execution)
            return response
        self._has_failed = True
        result = self._fall_back(execution, by_core)
        return await result if self.is_awaitable(result) else result

    def _count(self, execution: PlanExecution) -> None:
        """Count what a plan has completed."""
        self._answer_size.object_count += execution.object_count
        self._answer_size.add(execution.answer_bytes)

    def _fall_back(self, execution: PlanExecution, by_core: Callable[[], Any]) -> Any:
        """Let graphql-core execute the fields that a plan has given up, unless it was for the size of the response."""
        if execution.is_too_large:
            self._answer_size.add(execution.answer_bytes)
        return by_core()

    def _execute_by_core(
        self, parent_type: GraphQLObjectType, source_value: Any, path: Any, fields: Any, position_context: Any
    ) -> Any:
        self._answer_size.object_count += counts_as_object(parent_type)
        self._answer_size.add(object_bytes(fields))
        return super().execute_fields(parent_type, source_value, path, fields, position_context)

    def complete_leaf_value(self, return_type: GraphQLLeafType, result: Any) -> Any:  # type: ignore[override]
        """Complete a leaf value and count its bytes."""
        value = super().complete_leaf_value(return_type, result)
        self._answer_size.add(leaf_bytes(value))
        return value

    def handle_field_error(self, *args: Any) -> None:
        """Count the bytes of a field's error. If the response is too large, every field fails, so execution ends."""
        self._answer_size.add(ERROR_BYTES)
        super().handle_field_error(*args)

    def _find_plans(self) -> PositionPlans:
        plans = self._position_plans = (self.plans or DocumentPlans()).find_variant(self)
        if isinstance(self.context_value, Context):
            self.context_value.position_plans = plans
        return plans


def build_executor(
    schema: strawberry.Schema,
    document: ParsedDocument,
    *,
    operation_name: str | None,
    variables: Mapping[str, Any] | None,
    context: Any,
    root: Any = None,
    extensions: dict[str, Any] | None = None,
    hide_suggestions: bool = False,
) -> CompiledExecutor:
    """Make the executor of one operation of a document, with its variables coerced.

    `root` is the parent value of the root fields. `extensions` are those of the request. With `hide_suggestions`, no
    error about a variable suggests a similar name.

    Raises:
        OperationRefusedError: The document is invalid, names no such operation, or the variables are refused.
    """
    if document.errors:
        raise OperationRefusedError(document.errors)
    try:
        characters = check_variables(variables or {})
    except GatewayError as error:
        raise OperationRefusedError(to_graphql_errors(error)) from None
    executor = schema.execution_context_class.build(
        schema._schema,
        document.node,
        root_value=root,
        context_value=context,
        raw_variable_values=dict(variables or {}),
        operation_name=operation_name,
        max_coercion_errors=_MAX_COERCION_ERRORS,
        hide_suggestions=hide_suggestions or characters > MAX_SUGGESTED_CHARACTERS,
        is_awaitable=cast("Any", optimized_is_awaitable),
        operation_extensions=extensions,
    )
    if isinstance(executor, list):
        raise OperationRefusedError(executor[:_MAX_COERCION_ERRORS])
    built = cast("CompiledExecutor", executor)
    built.plans = document.plans
    return built
