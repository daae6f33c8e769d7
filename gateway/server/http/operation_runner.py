"""Runs the operations of all transports over one schema, each with its own context, and owns their tasks."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import TypeVar

from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from gateway.background_tasks import BackgroundTasks
from gateway.identity.principal import Principal
from gateway.rate_limits.caller_limits import CallerLimits, count_nothing
from gateway.rate_limits.reservation import Reservation
from gateway.server.http.cacheable_responses import encode_if_large, store_response, to_encoded_data, to_response_key
from gateway.server.http.graphql_request import GraphQLRequest, ParsedRequest
from gateway.server.http.graphql_response import encode_body, encode_json, error_body
from gateway.server.http.introspection_cache import IntrospectionCache
from gateway.server.http.operation_contexts import OperationContexts
from gateway.server.http.recorded_results import describe_operation, outcome_from_result, record_cost
from gateway.server.http.refusals import overload_refusal, query_timeout_error, unknown_operation_error
from gateway.server.http.sliced_encoding import SlicedEncoder
from gateway.telemetry.operation_log import log_end
from gateway.telemetry.operation_observer import OperationObserver
from gateway.telemetry.operation_record import OperationRecord, Outcome, current_record
from schema.contract.encoded_json import EncodedJson
from schema.contract.ports import ResponseCache, ThreadsApi
from schema.contract.rate_limits import RateLimitedError
from schema.contract.run_events import RunEvent
from schema.engine.context import Context
from schema.engine.public_errors import mask_error, to_graphql_errors, to_public_errors
from schema.operations import start_subscription
from schema.operations.gateway_schema import GatewaySchema
from schema.operations.introspection import is_introspection
from schema.operations.start_subscription import StartedSubscription

ResultT = TypeVar("ResultT")

MAX_WAITING_INTROSPECTIONS = 8
"""The most documents of callers without a credential that are parsed or validated, or wait for it."""


class OperationStoppedError(Exception):
    """The gateway stops, and the operation was cancelled or, if not `started`, never began."""

    def __init__(self, *, started: bool) -> None:
        super().__init__("the gateway stops")
        self.started = started


class OperationTasks:
    """Owns the tasks of all operations, one each.

    An operation is cancelled if its caller leaves, unless it writes, and awaited when the gateway stops.
    """

    def __init__(self) -> None:
        """Start without operations."""
        self._tasks = BackgroundTasks(logs_errors=False)
        self._stop_callbacks: list[Callable[[], None]] = []
        self._is_draining = False
        self._is_stopping = False

    @property
    def is_draining(self) -> bool:
        """Whether the gateway is about to stop or stopping, so that no more requests should come."""
        return self._is_draining

    @property
    def is_stopping(self) -> bool:
        """Whether the gateway is stopping, so that no new operation may start."""
        return self._is_stopping

    def __len__(self) -> int:
        """Count the operations in flight."""
        return len(self._tasks)

    async def run(
        self,
        operation: Coroutine[object, object, ResultT],
        *,
        shield: bool,
        on_abandoned: Callable[[asyncio.Task[ResultT]], None] | None = None,
    ) -> ResultT:
        """Run an operation as a task and await it.

        If the caller is cancelled, the operation is cancelled too. With `shield` it goes on instead, and its task is
        passed to `on_abandoned`.

        Returns:
            The result of the operation; its exception is raised.

        Raises:
            OperationStoppedError: `stop` cancelled the operation, or was called before.
        """
        if self._is_stopping:
            operation.close()
            raise OperationStoppedError(started=False)
        task = self._tasks.start(operation)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled() and not _is_caller_cancelled():
                raise OperationStoppedError(started=True) from None
            if not shield:
                task.cancel()
                await asyncio.wait([task])
            elif on_abandoned is not None and not task.done():
                on_abandoned(task)
            raise

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the stop begins, so that subscriptions end without waiting for operations."""
        self._stop_callbacks.append(callback)

    async def drain(self, seconds: float) -> None:
        """Say for some time that the gateway will stop. Operations may still start."""
        self._is_draining = True
        await asyncio.sleep(seconds)

    async def stop(self, timeout_seconds: float) -> None:
        """Refuse new operations, wait for those in flight, and cancel the rest after `timeout_seconds`."""
        self._is_draining = self._is_stopping = True
        while self._stop_callbacks:
            self._stop_callbacks.pop()()
        await self._tasks.wait(timeout_seconds)
        await self._tasks.aclose()


def _is_caller_cancelled() -> bool:
    """Whether the current task is cancelled. A frame that had the task would be a cycle with the task's error."""
    caller = asyncio.current_task()
    return caller is not None and caller.cancelling() > 0


class OperationRunner:
    """Executes queries and mutations, starts subscriptions and renders their events, for any principal."""

    def __init__(
        self,
        schema: GatewaySchema,
        contexts: OperationContexts,
        *,
        caller_limits: CallerLimits | None = None,
        always_report_cost: bool = False,
        observer: OperationObserver | None = None,
    ) -> None:
        """Run operations of `schema`, each in a context of its own.

        Without `caller_limits`, no caller has limits in a window of time; without an `observer`, nothing is measured.
        """
        self._schema = schema
        self._contexts = contexts
        self.limits = contexts.limits
        self.observer = observer or OperationObserver()
        self._metrics = self.observer.metrics
        self._caller_limits = caller_limits
        self._count_operation = count_nothing if caller_limits is None else caller_limits.count_operation
        self._count_event = count_nothing if caller_limits is None else caller_limits.count_event
        self._always_report_cost = always_report_cost
        self._introspections = IntrospectionCache()
        self._encoder = SlicedEncoder()
        self._waiting_introspections = 0

    @functools.cached_property
    def schema_text(self) -> str:
        """The schema in GraphQL's own language."""
        return self._schema.as_str() + "\n"

    def close(self) -> None:
        """End the thread of the schema."""
        self._schema.close()

    async def parse_request(self, request: GraphQLRequest, principal: Principal) -> ParsedRequest:
        """Parse the document of a request. A faulty document raises nothing; its errors are reported when it runs."""
        parsed = ParsedRequest(request, await self._schema.documents.read(request.query, principal.digest))
        record = current_record()
        describe_operation(record, parsed)
        if record is not None:
            record.is_trusted = self._schema.documents.is_pinned(request.query)
        return parsed

    async def parse_introspection(self, request: GraphQLRequest) -> ParsedRequest | None:
        """Parse a request, and validate it if it asks for the schema alone. Returns None if it does not.

        Raises:
            Refusal: Too many of such documents wait.
        """
        if self._waiting_introspections >= MAX_WAITING_INTROSPECTIONS:
            expected = f"Expected at most {MAX_WAITING_INTROSPECTIONS} documents without a credential at once"
            raise overload_refusal(f"{expected}, got one more.")
        self._waiting_introspections += 1
        try:
            document = await self._schema.documents.read_if(
                request.query, lambda parsed: ParsedRequest(request, parsed).needs_no_credential
            )
        finally:
            self._waiting_introspections -= 1
        if document is None:
            return None
        parsed = ParsedRequest(request, document)
        describe_operation(current_record(), parsed)
        return parsed

    async def execute(
        self, parsed: ParsedRequest, principal: Principal, allowed: set[OperationType], *, report_cost: bool = False
    ) -> ExecutionResult:
        """Execute a query or a mutation, or take the data of the same query from a response cache.

        The cache is not used if the cost is reported, since the cost is that of an execution. The current record ends
        with the result, or when this is cancelled, whether its client waits for it or not.

        Returns:
            The result. If the response cache was used or filled, its data is JSON that is encoded already.

        Raises:
            InvalidOperationTypeError: The type of the operation is not among the `allowed` ones.
            GatewayError: The document has no such operation.
            RateLimitedError: The caller has used up a limit.
        """
        record = current_record()
        if record is None:
            return await self._execute(parsed, principal, allowed, report_cost, None)
        record.principal = principal
        record.is_executing = True
        try:
            result = await self._execute(parsed, principal, allowed, report_cost, record)
        except asyncio.CancelledError:
            log_end(record, Outcome.CANCELLED)
            raise
        finally:
            record.is_executing = False
        log_end(record, *outcome_from_result(result))
        return result

    async def _execute(
        self,
        parsed: ParsedRequest,
        principal: Principal,
        allowed: set[OperationType],
        report_cost: bool,
        record: OperationRecord | None,
    ) -> ExecutionResult:
        api, report_cost = self._contexts.bind_api(principal), report_cost or self._always_report_cost
        if self._caller_limits is None:
            return await self._execute_over(api, principal, None, parsed, allowed, report_cost, record)
        async with self._count_operation(principal, api.cost) as reservation:
            result = await self._execute_over(api, principal, reservation, parsed, allowed, report_cost, record)
        if report_cost and result.extensions:
            result.extensions["cost"] |= await self._caller_limits.report(principal)
        return result

    async def _execute_over(
        self,
        api: ThreadsApi,
        principal: Principal,
        reservation: Reservation | None,
        parsed: ParsedRequest,
        allowed: set[OperationType],
        report_cost: bool,
        record: OperationRecord | None,
    ) -> ExecutionResult:
        request = parsed.request
        response_cache = None if report_cost else self._response_cache(parsed, api)
        response_key = (
            None
            if response_cache is None
            else to_response_key(parsed, self._schema, self.limits.paging, api.capabilities, allowed)
        )
        if response_cache is not None and response_key is not None:
            data = await response_cache.find_response(response_key)
            if self._metrics is not None:
                self._metrics.record_response_look_up(was_found=data is not None)
            if data is not None:
                if reservation is not None and response_cache is not self._introspections:
                    reservation.was_accepted = True
                return ExecutionResult(to_encoded_data(data), None, {})
        context = self._contexts.make_context(api, principal, report_cost=report_cost)
        context.admission = reservation
        try:
            async with asyncio.timeout(None if parsed.is_mutation else self.limits.query_timeout_seconds):
                result = await self._schema.execute_document(
                    parsed.document,
                    variable_values=dict(request.variables) if request.variables else None,
                    context_value=context,
                    operation_name=request.operation_name,
                    allowed_operation_types=allowed,
                )
        except TimeoutError:
            timeout = query_timeout_error(self.limits.query_timeout_seconds)
            return ExecutionResult(None, to_public_errors(to_graphql_errors(timeout)))
        except CannotGetOperationTypeError:
            raise unknown_operation_error(request.operation_name) from None
        finally:
            if record is not None:
                record_cost(record, context)
                record.objects = context.answer_size.object_count
            await context.aclose()
        result.data = await encode_if_large(result.data, context, self._encoder)
        if response_cache is not None and response_key is not None and context.is_storable:
            store_response(response_cache, response_key, result)
        return result

    async def subscribe(
        self, parsed: ParsedRequest, principal: Principal, *, resume_after: str | None = None
    ) -> StartedSubscription:
        """Start a subscription, after the event of the cursor `resume_after` if there is one.

        Raises:
            SubscriptionRefusedError: The operation cannot run.
            RateLimitedError: The caller has used up a limit.
        """
        api = self._contexts.bind_api(principal)
        async with self._count_operation(principal, api.cost) as reservation:
            context = self._contexts.make_context(api, principal, resume_after=resume_after)
            context.admission = reservation
            return await self._start_subscription(parsed, principal, context)

    async def _start_subscription(
        self, parsed: ParsedRequest, principal: Principal, context: Context
    ) -> StartedSubscription:
        record = current_record()
        if record is not None:
            record.principal = principal
        try:
            started = await start_subscription.start_subscription(
                self._schema,
                parsed.document,
                variables=parsed.request.variables,
                operation_name=parsed.request.operation_name,
                context=context,
            )
        except BaseException:
            await context.aclose()
            raise
        finally:
            if record is not None:
                record_cost(record, context)
        try:
            await context.aclose()
        except BaseException:  # cancelled: close the feed here, since the caller does not get it
            await started.feed.aclose()
            raise
        return started

    async def render_event(self, principal: Principal, started: StartedSubscription, event: RunEvent) -> EncodedJson:
        """Execute a subscription's selection on one event. Returns JSON; an unexpected exception is masked in it.

        Raises:
            RateLimitedError: The caller has too few calls left for this event.
        """
        context = self._contexts.make_context(self._contexts.bind_api(principal), principal)
        calls = 0 if self._caller_limits is None else started.predict_calls(event, context)
        try:
            async with (
                asyncio.timeout(self.limits.query_timeout_seconds),
                self.observer.show_event(event),
                self._count_event(principal, context.api.cost, calls),
            ):
                response = await started.render(event, context)
            response["data"] = await encode_if_large(response["data"], context, self._encoder)
            return encode_body(response)
        except TimeoutError:
            timeout = query_timeout_error(self.limits.query_timeout_seconds)
            return encode_json({"data": None, "errors": [error_body(timeout)]})
        except RateLimitedError:
            raise
        except Exception as error:
            return encode_json({"data": None, "errors": [error_body(mask_error(error, "rendering an event"))]})
        finally:
            await context.aclose()

    def _response_cache(self, parsed: ParsedRequest, api: ThreadsApi) -> ResponseCache | None:
        operation = parsed.document.find_operation(parsed.request.operation_name)
        if operation is not None and is_introspection(operation):
            return self._introspections
        return api if isinstance(api, ResponseCache) else None
