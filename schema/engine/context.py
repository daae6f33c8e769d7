"""The context of one operation: the loaders, limits and ports that its resolvers use."""

from __future__ import annotations

from typing import Any, TypeAlias

import strawberry

from schema.contract.cost import DEFAULT_MAX_ANSWER_BYTES
from schema.contract.paging import PagingLimits
from schema.contract.ports import Capabilities, RunEvents, ThreadsApi
from schema.engine.answer_size import AnswerSize
from schema.engine.loaders import Loaders


class Context:
    """The loaders, the limits and the upstream's capabilities of one operation, for one principal.

    Make it inside the running event loop, and close it when the operation is over.
    """

    def __init__(
        self,
        api: ThreadsApi,
        limits: PagingLimits | None = None,
        *,
        deadline_seconds: float = 60.0,
        max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES,
        reports_cost: bool = False,
        events: RunEvents | None = None,
        resume_after: str | None = None,
        caller: str = "",
    ) -> None:
        """Load and write through `api`, which is bound to the principal.

        `events` serves subscriptions, for the same principal. `resume_after` is the cursor of the last event that the
        client received; it wins over a cursor in the document. The response may have `max_answer_bytes`. With
        `reports_cost` it reports its cost. `caller` names the caller, where callers share what the process can compute.
        """
        self.api = api
        self.events = events
        self.caller = caller
        self.resume_after = resume_after
        self.reports_cost = reports_cost
        self.predicted_calls = 0
        self.predicted_objects = 0
        self.answer_size = AnswerSize(max_answer_bytes)
        self.capabilities: Capabilities = api.capabilities
        self.limits = limits or PagingLimits()
        self.loaders = Loaders(api, deadline_seconds=deadline_seconds)
        self.position_plans: dict[Any, Any] = {}
        """Plans and facts by position in the document. The executor sets the dictionary of a cached document here."""

    def reset_loaders(self) -> None:
        """Drop the loaded values, so that the same operation reads the new state after a write."""
        self.loaders = self.loaders.make_fresh()

    async def aclose(self) -> None:
        """Cancel the loads in flight."""
        await self.loaders.aclose()


Info: TypeAlias = strawberry.Info[Context, None]
