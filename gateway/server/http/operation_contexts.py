"""The contexts of operations: each with the ports of its principal, and the limits of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from gateway.identity.principal import Principal
from gateway.server.http.request_limits import RequestLimits
from schema.contract.content_urls import ContentUrls
from schema.contract.cost import Cost, ExecutionBounds
from schema.contract.ports import RunEvents, ThreadsApi
from schema.contract.viewer import ViewerApi
from schema.engine.context import Context

BindApi: TypeAlias = Callable[[Principal], ThreadsApi]
BindEvents: TypeAlias = Callable[[Principal], RunEvents]
BindViewer: TypeAlias = Callable[[Principal, Cost], ViewerApi | None]
BindContentUrls: TypeAlias = Callable[[Principal], ContentUrls]


class OperationContexts:
    """Makes the contexts of operations over the ports that the functions make for a principal.

    The viewer counts its calls in the cost of the operation.
    """

    def __init__(
        self,
        bind_api: BindApi,
        bind_events: BindEvents | None = None,
        bind_viewer: BindViewer | None = None,
        bind_content_urls: BindContentUrls | None = None,
        *,
        limits: RequestLimits | None = None,
    ) -> None:
        """Bind with these functions, and within these limits."""
        self.bind_api = bind_api
        self.limits = limits or RequestLimits()
        self._bind_events = bind_events
        self._bind_viewer = bind_viewer
        self._bind_content_urls = bind_content_urls

    def make_context(
        self, api: ThreadsApi, principal: Principal, *, report_cost: bool = False, resume_after: str | None = None
    ) -> Context:
        """Make the context of an operation that reads through `api`, which was bound for it."""
        context = Context(
            api,
            self.limits.paging,
            bounds=ExecutionBounds(self.limits.load_deadline_seconds, self.limits.max_answer_bytes),
            reports_cost=report_cost,
            events=self._bind_events(principal) if self._bind_events is not None else None,
            resume_after=resume_after,
            caller=principal.digest,
            viewer=self._bind_viewer(principal, api.cost) if self._bind_viewer is not None else None,
        )
        context.content_urls = self._bind_content_urls(principal) if self._bind_content_urls is not None else None
        return context
