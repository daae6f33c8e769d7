"""Runs operations of one schema, each with a context of its own: what all transports do alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import orjson
from graphql import OperationType as DocumentOperationType
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from gateway.identity.principal import Principal
from gateway.server.http.graphql_request import GraphQLRequest, ParsedRequest
from gateway.server.http.graphql_response import encode_json, error_body
from gateway.server.http.refusals import unknown_operation
from gateway.server.http.request_limits import RequestLimits
from schema.contract.ports import ResponseCache, ResponseKey, RunEvents, ThreadsApi
from schema.contract.run_events import RunEvent
from schema.engine.context import Context
from schema.engine.public_errors import mask_error
from schema.operations import start_subscription
from schema.operations.gateway_schema import GatewaySchema
from schema.operations.start_subscription import StartedSubscription

BindApi: TypeAlias = Callable[[Principal], ThreadsApi]
BindEvents: TypeAlias = Callable[[Principal], RunEvents]


class OperationRunner:
    """Runs queries and mutations, begins subscriptions and renders their events, for whatever principal asks."""

    def __init__(
        self,
        schema: GatewaySchema,
        bind: BindApi,
        bind_events: BindEvents | None = None,
        *,
        limits: RequestLimits | None = None,
        always_report_cost: bool = False,
    ) -> None:
        """Run operations of `schema` over the ports that `bind` and `bind_events` make for a principal."""
        self._schema = schema
        self._bind = bind
        self._bind_events = bind_events
        self.limits = limits or RequestLimits()
        self._always_report_cost = always_report_cost

    def read(self, asked: GraphQLRequest) -> ParsedRequest:
        """Read the document of a request, whatever it is worth."""
        return ParsedRequest(asked, self._schema.documents.read(asked.query))

    async def execute(
        self, request: ParsedRequest, principal: Principal, allowed: set[OperationType], *, report_cost: bool = False
    ) -> ExecutionResult:
        """Run a query or a mutation; raises strawberry's InvalidOperationTypeError for what is not `allowed`.

        Raises a `GatewayError` where the request names no operation. The data is encoded already where the port knows
        whole answers again; it is not asked for one where the cost is reported, which is that of an execution.
        """
        asked = request.asked
        api = self._bind(principal)
        report_cost = report_cost or self._always_report_cost
        repeats = api if isinstance(api, ResponseCache) and not report_cost else None
        question = None if repeats is None else self._question(request, api, allowed)
        if repeats is not None and question is not None:
            data = await repeats.find_response(question)
            if data is not None:
                return ExecutionResult(_encoded(data), None, {})
        context = self._context(api, principal, report_cost=report_cost)
        try:
            result = await self._schema.execute_document(
                request.document,
                variable_values=dict(asked.variables) if asked.variables else None,
                context_value=context,
                operation_name=asked.operation_name,
                allowed_operation_types=allowed,
            )
        except CannotGetOperationTypeError:
            raise unknown_operation(asked.operation_name) from None
        finally:
            await context.aclose()
        if repeats is not None and question is not None:
            _keep(repeats, question, result)
        return result

    async def subscribe(
        self, request: ParsedRequest, principal: Principal, *, resume_after: str | None = None
    ) -> StartedSubscription:
        """Begin a subscription, behind the event of the cursor `resume_after`; raises `SubscriptionRefusedError`."""
        context = self._context(self._bind(principal), principal, resume_after=resume_after)
        try:
            subscribed = await start_subscription.start_subscription(
                self._schema,
                request.document,
                variables=request.asked.variables,
                operation_name=request.asked.operation_name,
                context=context,
            )
        except BaseException:
            await context.aclose()
            raise
        try:
            await context.aclose()
        except BaseException:  # cancelled: nobody else would leave the feed
            await subscribed.feed.aclose()
            raise
        return subscribed

    async def render(self, principal: Principal, subscribed: StartedSubscription, event: RunEvent) -> bytes:
        """Execute a subscription's selection on one event; gives the answer as JSON, whatever happens."""
        context = self._context(self._bind(principal), principal)
        try:
            return encode_json(await subscribed.render(event, context))
        except Exception as error:
            return encode_json({"data": None, "errors": [error_body(mask_error(error, "rendering an event"))]})
        finally:
            await context.aclose()

    def _question(self, request: ParsedRequest, api: ThreadsApi, allowed: set[OperationType]) -> ResponseKey | None:
        """Tell what is asked; None for what is no valid query, or not to be told from another."""
        asked, document = request.asked, request.document
        operation = document.operation(asked.operation_name)
        if document.errors or operation is None or operation.operation is not DocumentOperationType.QUERY:
            return None
        if OperationType.QUERY not in allowed:
            return None
        try:
            variables = orjson.dumps(asked.variables or {}, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # half a surrogate pair
            return None
        return ResponseKey(
            self._schema, document.text, asked.operation_name, variables, self.limits.paging, api.capabilities
        )

    def _context(
        self, api: ThreadsApi, principal: Principal, *, report_cost: bool = False, resume_after: str | None = None
    ) -> Context:
        return Context(
            api,
            self.limits.paging,
            deadline_seconds=self.limits.load_deadline_seconds,
            reports_cost=report_cost,
            events=self._bind_events(principal) if self._bind_events is not None else None,
            resume_after=resume_after,
        )


def _keep(repeats: ResponseCache, question: ResponseKey, result: ExecutionResult) -> None:
    """Keep an answer that has nothing but data, and put the data as it is kept into the answer."""
    if result.errors or result.extensions:
        return
    try:
        data = orjson.dumps(result.data)
    except TypeError:  # what `encode_json` has another way for
        return
    repeats.store_response(question, data)
    result.data = _encoded(data)


def _encoded(data: bytes) -> dict[str, Any]:
    """Data that is JSON already; nobody but `encode_json` looks into what an execution gave."""
    return cast("dict[str, Any]", orjson.Fragment(data))
