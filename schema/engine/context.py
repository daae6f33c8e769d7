"""The context of one operation: the loaders, limits and ports that its resolvers use."""

from __future__ import annotations

from typing import Any, TypeAlias

import strawberry
from graphql import GraphQLError, GraphQLResolveInfo

from schema.contract.content_urls import ContentUrls
from schema.contract.cost import ExecutionBounds
from schema.contract.errors import GatewayError
from schema.contract.paging import PagingLimits
from schema.contract.ports import Capabilities, RunEvents, ThreadsApi
from schema.contract.rate_limits import Admission
from schema.contract.viewer import ViewerApi
from schema.engine.answer_size import AnswerSize
from schema.engine.cited_files import CitedFiles
from schema.engine.loaders import Loaders, PortLoader
from schema.engine.viewer_loaders import ViewerLoaders


class Context:
    """The loaders, the limits and the upstream's capabilities of one operation, for one principal.

    Make it inside the running event loop, and close it when the operation is over.
    """

    def __init__(
        self,
        api: ThreadsApi,
        limits: PagingLimits | None = None,
        *,
        bounds: ExecutionBounds | None = None,
        reports_cost: bool = False,
        events: RunEvents | None = None,
        resume_after: str | None = None,
        caller: str = "",
        viewer: ViewerApi | None = None,
    ) -> None:
        """Load and write through `api`, which is bound to the principal.

        `events` serves subscriptions, for the same principal. `resume_after` is the cursor of the last event that the
        client received; it wins over a cursor in the document. With `reports_cost` the
        response reports its cost. `caller` names the caller, where callers share what the process can compute.
        `viewer` is the port of the same principal as a viewer, or None where nobody is known.
        """
        bounds = bounds or ExecutionBounds()
        self.api = api
        self.events = events
        self.caller = caller
        self.resume_after = resume_after
        self.reports_cost = reports_cost
        self.admission: Admission | None = None
        """Is asked before the first upstream call, if the caller has limits."""
        self.predicted_calls = 0
        self.predicted_runs = 0
        self.predicted_objects = 0
        self.admitted_calls = 0
        """The predicted calls, or an upper bound where it was within the limit already."""
        self.answer_size = AnswerSize(bounds.max_answer_bytes)
        self.capabilities: Capabilities = api.capabilities
        self.limits = limits or PagingLimits()
        self.loaders = Loaders(api, deadline_seconds=bounds.deadline_seconds)
        self.cited_files = CitedFiles(api)
        self.is_storable = True
        """Whether the response may be stored. One that shows the viewer, or an address, holds for this moment only."""
        self._viewer_loaders = None if viewer is None else ViewerLoaders(viewer, self.loaders.batches)
        self.content_urls: ContentUrls | None = None
        """Makes addresses of files for the same principal. None where no files are served."""
        self._url_loader: PortLoader[str, str | None] | None = None
        self.left_out: dict[Any, GraphQLError] = {}
        """The errors of objects that are left out of their list, each once, however often the list is executed."""
        self.position_plans: dict[Any, Any] = {}
        """Plans and facts by position in the document. The executor sets the dictionary of a cached document here."""

    @property
    def viewer_api(self) -> ViewerApi | None:
        """The viewer's port. None where nobody is known."""
        return None if self._viewer_loaders is None else self._viewer_loaders.api

    def read_viewer(self) -> ViewerLoaders | None:
        """Return the loaders over the viewer's port. Returns None where nobody is known."""
        self.is_storable = False
        return self._viewer_loaders

    def read_content_urls(self) -> PortLoader[str, str | None] | None:
        """Return the loader of the addresses of files, by upstream ids. Returns None where no files are served."""
        self.is_storable = False
        if self._url_loader is None and self.content_urls is not None:
            self._url_loader = PortLoader(self.content_urls.make_urls, self.loaders.batches)
        return self._url_loader

    def report_left_out(self, field: GraphQLResolveInfo[Any], key: Any, error: GatewayError) -> None:
        """Report that the object of a key could not be loaded, and is left out of the list of a field."""
        path = field.path.as_list()
        self.left_out[(*path, key)] = GraphQLError(
            error.message, nodes=field.field_nodes, path=path, original_error=error
        )

    def reset_loaders(self) -> None:
        """Drop the loaded values, so that the same operation reads the new state after a write."""
        self.loaders = self.loaders.make_fresh()
        self.cited_files.expect_new_loads()
        self._url_loader = None
        if self._viewer_loaders is not None:
            self._viewer_loaders = self._viewer_loaders.make_fresh()

    async def aclose(self) -> None:
        """Cancel the loads in flight."""
        await self.loaders.aclose()


Info: TypeAlias = strawberry.Info[Context, None]
