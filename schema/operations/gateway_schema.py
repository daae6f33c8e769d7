"""The executable schema: documents, limits and the execution of queries and mutations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import strawberry
from graphql import GraphQLEnumType, GraphQLObjectType, GraphQLSchema, Undefined, ValidationRule
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.arguments import convert_argument
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from schema.contract.rate_limits import RateLimitedError
from schema.engine.context import Context
from schema.engine.core_executor import EXECUTORS, Engine
from schema.engine.direct_calls import enable_direct_calls
from schema.engine.documents import DocumentCache, DocumentReader, ParsedDocument, Unpinned
from schema.engine.executor import CompiledExecutor, build_executor
from schema.engine.long_inputs import convert_long_inputs_in_thread
from schema.engine.plan_warming import compile_plans, show_plans
from schema.engine.public_errors import to_graphql_errors, to_public_errors
from schema.engine.variable_limits import CHARACTERS_PER_VALUE, MAX_INLINE_VALUES, count_values
from schema.graph.scalars import SCALARS
from schema.operations.event_execution import EventSelections
from schema.operations.introspection import repair_one_of
from schema.operations.operation_budget import (
    OperationBudget,
    count_free_objects,
    enforce_budget,
    find_bounds,
    needs_prediction,
    report_cost,
)
from schema.operations.upper_bounds import UpperBounds

MAX_SUGGESTED_WORD = 200
"""The longest word in the place of an enum value for which similar values are searched."""

MAX_CACHED_CHARACTERS = 300_000
"""Total length of the cached documents, in characters: about 200 usual ones with their plans, at most some 100 MB."""

MAX_PREPARED_CHARACTERS = 5_000
"""The longest document that is prepared on the event loop: that takes a few milliseconds, a tenth of reading it."""

MAX_PREDICTED_CHARACTERS = 300
"""The longest document whose calls are predicted on the event loop. A longer one may unfold to 10,000 selections."""

_CHARACTERS_PER_PREDICTED = 10
"""The size of a character whose calls are predicted, as characters that are read."""

ResultT = TypeVar("ResultT")

_QUERY_OR_MUTATION = frozenset({OperationType.QUERY, OperationType.MUTATION})


@dataclass(frozen=True, slots=True)
class OperationLimits:
    """The limits of every operation, over any transport: of its document, and of what it is predicted to need."""

    max_tokens: int
    budget: OperationBudget
    rules: tuple[type[ValidationRule], ...] = ()
    """Validation rules that are checked before GraphQL's own."""
    hide_suggestions: bool = False
    """Whether no error suggests a similar name, which would show a part of the schema."""


class GatewaySchema(strawberry.Schema):
    """A schema that executes every operation in the same way and under the same limits.

    Strawberry builds the types. Of its methods to execute operations only `execute` is supported. Subscriptions begin
    in `start_subscription`.
    """

    def __init__(
        self,
        query: type,
        mutation: type | None = None,
        subscription: type | None = None,
        *,
        types: Iterable[type] = (),
        limits: OperationLimits,
        engine: Engine = "compiled",
    ) -> None:
        """Build the types. Each schema has its own document cache, because documents are validated by its limits."""
        repair_one_of()
        super().__init__(
            query=query,
            mutation=mutation,
            subscription=subscription,
            types=types,
            config=StrawberryConfig(scalar_map=SCALARS),
            execution_context_class=EXECUTORS[engine],
        )
        scalars = self.schema_converter.scalar_registry
        enable_direct_calls(self._schema, partial(convert_argument, scalar_registry=scalars, config=self.config))
        _drop_null_defaults(self._schema)
        _suggest_only_for_short_words(self._schema)
        self.limits = limits
        self._has_plans = engine == "compiled"
        cache = DocumentCache(MAX_CACHED_CHARACTERS)
        self.documents = DocumentReader(
            self._schema,
            cache,
            max_tokens=limits.max_tokens,
            rules=limits.rules,
            hide_suggestions=limits.hide_suggestions,
        )
        convert_long_inputs_in_thread(self, self.documents.worker)
        self.event_selections: EventSelections = WeakValueDictionary()

    def close(self) -> None:
        """End the thread that reads long documents."""
        self.documents.worker.close()

    async def pin_documents(self, texts: Iterable[str]) -> Mapping[str, Unpinned]:
        """Keep documents parsed, validated and planned. Returns those that are invalid or have no place."""
        return await self.documents.pin(texts, partial(compile_plans, self) if self._has_plans else _plan_nothing)

    def show_plans(self, text: str) -> str:
        """Return the Python source that executes the operations of a valid document, for people who want to read it."""
        return show_plans(self, self.documents.parse(text))

    async def prepare(
        self,
        document: ParsedDocument,
        variables: Mapping[str, Any] | None,
        prepare: Callable[[], ResultT],
        caller: str = "",
    ) -> ResultT:
        """Call a function that prepares an operation of a caller, in the worker thread if that takes long."""
        characters, values = len(document.text), count_values(variables or {})
        if characters > MAX_PREPARED_CHARACTERS or values > MAX_INLINE_VALUES:
            return await self.documents.worker.run(prepare, characters + CHARACTERS_PER_VALUE * values, caller)
        return prepare()

    def enforce_budget(
        self, document: ParsedDocument, context: Context, executor: CompiledExecutor, bounds: UpperBounds
    ) -> Awaitable[None] | None:
        """Call `operation_budget.enforce_budget`. Returns its awaitable if it takes long, in the worker thread."""
        enforce = partial(enforce_budget, context, self.limits.budget, executor, bounds)
        characters = len(document.text)
        if characters > MAX_PREDICTED_CHARACTERS and needs_prediction(context, self.limits.budget, bounds):
            return self.documents.worker.run(enforce, _CHARACTERS_PER_PREDICTED * characters, context.caller)
        enforce()
        return None

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Read a document and execute its query or mutation, as `execute_document` does."""
        return await self.execute_document(
            await self.documents.read(query or ""),
            variable_values,
            context_value,
            root_value,
            operation_name,
            allowed_operation_types,
            operation_extensions,
        )

    async def execute_document(
        self,
        document: ParsedDocument,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Execute a query or a mutation.

        Returns:
            The data and the `errors`. Every failure of the execution is among the `errors`, masked for the caller.

        Raises:
            CannotGetOperationTypeError: The document does not have the operation.
            InvalidOperationTypeError: The operation's type is not allowed, whether the document is valid or not.
            RateLimitedError: The caller has used up a limit.
        """
        _check_operation_type(document, operation_name, allowed_operation_types)
        context = context_value if isinstance(context_value, Context) else None

        def prepare() -> tuple[CompiledExecutor, UpperBounds | None]:
            executor = build_executor(
                self,
                document,
                operation_name=operation_name,
                variables=variable_values,
                context=context_value,
                root=root_value,
                extensions=operation_extensions,
                hide_suggestions=self.limits.hide_suggestions,
            )
            return executor, None if context is None else find_bounds(context.limits, executor)

        try:
            caller = "" if context is None else context.caller
            executor, bounds = await self.prepare(document, variable_values, prepare, caller)
            if context is not None and bounds is not None:
                enforced = self.enforce_budget(document, context, executor, bounds)
                if enforced is not None:
                    await enforced
                if context.admission is not None:
                    await context.admission.admit(calls=context.predicted_calls, runs=context.predicted_runs)
            result: Any = executor.execute_operation()
            if optimized_is_awaitable(result):
                result = await result
            data, errors = result.data, result.errors
            if context is not None and context.reports_cost:
                context.answer_size.object_count -= count_free_objects(executor, data)
        except RateLimitedError:
            raise
        except Exception as error:
            data, errors = None, to_graphql_errors(error)
        finally:
            self.documents.on_executed(document)
        extensions = {} if context is None else report_cost(context)
        if context is not None and context.left_out:
            errors = [*(errors or ()), *context.left_out.values()]
        return ExecutionResult(data, to_public_errors(errors) if errors else None, extensions)


def _plan_nothing(_: ParsedDocument) -> None:
    """Make no plans, because nothing would use them."""


def _drop_null_defaults(schema: GraphQLSchema) -> None:
    """Leave out the defaults that are null: an argument that is not given is the same, and tools show them as noise."""
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType):
            for argument in (one for field in type_.fields.values() for one in field.args.values()):
                if argument.default_value is None:
                    argument.default_value = Undefined


def _suggest_only_for_short_words(schema: GraphQLSchema) -> None:
    """Search for no enum value like a long word. graphql-core does so also where it is told to suggest nothing."""

    def coerce(coerce_word: Callable[..., Any], word: Any, hide_suggestions: bool = False) -> Any:
        return coerce_word(word, hide_suggestions or (isinstance(word, str) and len(word) > MAX_SUGGESTED_WORD))

    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLEnumType):
            type_.coerce_input_value = partial(coerce, type_.coerce_input_value)  # type: ignore[method-assign]


def _check_operation_type(document: ParsedDocument, name: str | None, allowed: Iterable[OperationType] | None) -> None:
    operation = document.find_operation(name)
    if operation is not None:
        # strawberry and graphql-core have an enum each for the same three types. Only the values are equal.
        operation_type = OperationType(operation.operation.value)
        if operation_type not in (_QUERY_OR_MUTATION if allowed is None else allowed):
            raise InvalidOperationTypeError(operation_type)
    elif document.is_parsed and (name is not None or not document.operations):
        raise CannotGetOperationTypeError(name)
