"""Helpers that start subscriptions over a fake log and render events, as a transport does."""

from collections.abc import Mapping
from typing import Any

from schema.contract.keys import RunKey, ThreadKey, to_global_id
from schema.contract.paging import PagingLimits
from schema.contract.run_events import Change, RunEvent
from schema.engine.context import Context
from schema.operations.gateway_schema import GatewaySchema
from schema.operations.start_subscription import StartedSubscription, SubscriptionRefusedError, start_subscription
from tests.schema.builders import SCHEMA
from tests.support.fake_run_events import FakeRunEvents, run_event
from tests.support.fake_threads_api import FakeThreadsApi

RUN_KEY = RunKey("thread_1", "run_1")
RUN = to_global_id(RUN_KEY)
THREAD_KEY = ThreadKey("thread_1")


async def begin_subscription(
    events: FakeRunEvents | None,
    query: str,
    variables: Mapping[str, Any] | None = None,
    *,
    schema: GatewaySchema = SCHEMA,
    api: FakeThreadsApi | None = None,
    operation_name: str | None = None,
    resume_after: str | None = None,
    limits: PagingLimits | None = None,
) -> StartedSubscription:
    """Start a subscription with its own context, which is closed afterwards."""
    context = Context(api or FakeThreadsApi(), limits, events=events, resume_after=resume_after)
    try:
        return await start_subscription(
            schema, schema.documents.parse(query), variables=variables, operation_name=operation_name, context=context
        )
    finally:
        await context.aclose()


async def refused_errors(events: FakeRunEvents | None, query: str, variables: Any = None, **options: Any) -> Any:
    """Return the errors of a subscription that is refused."""
    try:
        await begin_subscription(events, query, variables, **options)
    except SubscriptionRefusedError as refused:
        return refused.errors
    raise AssertionError("expected a refusal")


async def render_event(subscribed: StartedSubscription, event: RunEvent, api: FakeThreadsApi | None = None) -> Any:
    """Render one event with its own context."""
    context = Context(api or FakeThreadsApi())
    try:
        return await subscribed.render(event, context)
    finally:
        await context.aclose()


async def data_from_change(change: Change, selection: str, api: FakeThreadsApi | None = None) -> Any:
    """Return the data that `selection` reads from a change in a run's log. It must have no errors."""
    subscribed = await begin_subscription(
        FakeRunEvents(), f'subscription {{ runEvents(runId: "{RUN}") {{ {selection} }} }}'
    )
    response = await render_event(subscribed, run_event(change), api)
    assert "errors" not in response, response
    return response["data"]["runEvents"]
