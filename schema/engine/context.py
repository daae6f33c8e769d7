"""What a resolver may reach: one context for each operation."""

from __future__ import annotations

from typing import Any, TypeAlias

import strawberry

from schema.contract.paging import PagingLimits
from schema.contract.ports import Capabilities, RunEvents, ThreadsApi
from schema.engine.loaders import Loaders


class Context:
    """The loaders, the limits and the upstream's capabilities of one operation, for one principal.

    Made inside the running loop, closed when the operation is over.
    """

    def __init__(
        self,
        api: ThreadsApi,
        limits: PagingLimits | None = None,
        *,
        deadline_seconds: float = 60.0,
        reports_cost: bool = False,
        events: RunEvents | None = None,
        resume_after: str | None = None,
    ) -> None:
        """Load and write through `api`, which already speaks for the principal; the answer may report its cost.

        `events` are what subscriptions follow, for the same principal; `resume_after` is the cursor of the last event
        that a client says it has got, which wins over one in the document.
        """
        self.api = api
        self.events = events
        self.resume_after = resume_after
        self.reports_cost = reports_cost
        self.predicted_calls = 0
        self.capabilities: Capabilities = api.capabilities
        self.limits = limits or PagingLimits()
        self.loaders = Loaders(api, deadline_seconds=deadline_seconds)
        self.places: dict[Any, Any] = {}
        """What was found out about places in the document; execution puts the dictionary of a kept document here."""

    def forget(self) -> None:
        """Forget what was loaded: after a write, the same operation reads the new state."""
        self.loaders = self.loaders.renewed()

    async def aclose(self) -> None:
        """End the loads that are still under way."""
        await self.loaders.aclose()


Info: TypeAlias = strawberry.Info[Context, None]
