"""Executes operations by compiled plans, and by graphql-core whatever is unusual.

Most of an answer is made by functions of what is at hand. They are called in one go, and what has to be waited for is
put in its place when it is here, without the bookkeeping that GraphQL's general algorithm does for each field.
Whatever is unusual (a null that must not be, an exception, a value that its type refuses) is handed back to
graphql-core, which executes those fields from the beginning and words the error; the objects in their lists are again
tried by their plans. Nothing is asked of the upstream twice by that: what was loaded is memoised for the operation,
errors too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from graphql import GraphQLObjectType
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema.engine.attempt import PlanExecution
from schema.engine.context import Context
from schema.engine.plans import DocumentPlans, PositionPlans, find_plan


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's executor, which executes the fields of an object by a plan where it can."""

    plans: DocumentPlans | None = None
    """The plans of the document; set before execution by whoever keeps them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places: PositionPlans | None = None
        self._has_failed = False

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Any,
        grouped_field_set: Any,
        position_context: Any,
    ) -> Any:
        """Execute the fields of one object; gives their values by name, or an awaitable of that."""
        by_core = partial(super().execute_fields, parent_type, source_value, path, grouped_field_set, position_context)
        places = self._places if self._places is not None else self._find_places()
        plan = find_plan(parent_type, grouped_field_set, places)
        if plan is None or (self._has_failed and plan.holds_many):
            return by_core()
        attempt = PlanExecution(self, places)
        try:
            shown = plan.show(source_value, attempt)
        except Exception:  # graphql-core meets it again, and reports it
            attempt.give_up()
            self._has_failed = True
            return self._when_shown(attempt, {}, by_core) if attempt.tasks else by_core()
        return self._when_shown(attempt, shown, by_core) if attempt.waiting else shown

    async def _when_shown(self, attempt: PlanExecution, shown: dict[str, Any], by_core: Callable[[], Any]) -> Any:
        if await attempt.shown():
            return shown
        self._has_failed = True
        again = by_core()
        return await again if self.is_awaitable(again) else again

    def _find_places(self) -> PositionPlans:
        places = self._places = (self.plans or DocumentPlans()).places_of(self)
        if isinstance(self.context_value, Context):
            self.context_value.places = places
        return places
