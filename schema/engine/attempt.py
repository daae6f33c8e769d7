"""One attempt to execute the fields of an object by a compiled plan: what it waits for, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from schema.engine.deferred import Deferred

if TYPE_CHECKING:
    from graphql import FieldNode, FragmentDefinitionNode, GraphQLSchema
    from graphql.execution import Executor
    from graphql.execution.values import VariableValues

    from schema.engine.plans import PositionPlans

Show: TypeAlias = Callable[[Any, "PlanExecution"], Any]
"""Makes of a value what the answer shows of it. It raises where graphql-core has to look."""

_Arrived: TypeAlias = tuple[Callable[[Any], Any], Any, Any, Any, Show]
"""How a load is finished, the load, the holder and the place of what it gives, and how that is shown."""


PAUSE_SECONDS = 0.003
"""How long what leads to no further load waits, so that what does leaves first; longer while the loop is busy."""

MAX_PAUSES = 10


class NotCompilableError(Exception):
    """Something that graphql-core has to look at; its caller never sees it."""


class DocumentPosition(NamedTuple):
    """What a resolver may ask of the place in the document where its field stands (as `_raw_info` of its `info`)."""

    field_nodes: Sequence[FieldNode]
    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variable_values: VariableValues


class PositionInfo:
    """The `info` of a field that is called directly: of strawberry's, what our resolvers ask for."""

    __slots__ = ("_raw_info", "context")

    def __init__(self, context: Any, place: DocumentPosition) -> None:
        self.context = context
        self._raw_info = place


class PlanExecution:
    """Executes the fields of one object and all below it; it is over when they are shown, or when one is unusual."""

    __slots__ = ("_leaves", "_timer", "done", "executor", "failed", "given", "places", "tasks", "waiting")

    def __init__(self, executor: Executor[Any], places: PositionPlans) -> None:
        """Execute for an operation; `places` keeps the plans of its document."""
        self.executor = executor
        self.places = places
        self.given: dict[object, dict[str, Any]] = {}
        """What functions are given by name, by the field's place."""
        self.waiting = 0
        self.failed = False
        self.done: asyncio.Future[None] | None = None
        self._leaves: list[_Arrived] = []
        self._timer: asyncio.TimerHandle | None = None
        self.tasks: set[asyncio.Task[Any]] = set()
        """The coroutines that fields gave, as far as they are under way."""

    def settle(self, value: Any, holder: Any, at: Any, show: Show, *, leads_on: bool = True) -> None:
        """Show a field's value at its place in `holder`: now, or as soon as it is here.

        What does not lead on to other loads is shown a little later while others are awaited.
        """
        if type(value) is Deferred:
            self.waiting += 1
            arrived = partial(self._arrived, value.finish, holder, at, show, leads_on)
            value.load.add_done_callback(arrived)
        elif type(value) is CoroutineType:
            task = asyncio.create_task(value)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            self.settle(Deferred(task, asyncio.Future.result), holder, at, show, leads_on=leads_on)
        elif leads_on or not self.waiting:
            holder[at] = show(value, self)
        else:
            self.waiting += 1
            self._put_off((_itself, value, holder, at, show))

    def info(self, nodes: Sequence[FieldNode]) -> PositionInfo:
        """Make the `info` of the field at some nodes of the document."""
        executor = self.executor
        place = DocumentPosition(nodes, executor.schema, executor.fragment_definitions, executor.variable_values)
        return PositionInfo(executor.context_value, place)

    async def shown(self) -> bool:
        """Wait until all is shown; False where something was unusual. Whoever stops waiting ends the attempt."""
        try:
            if self.waiting and not self.failed:
                self.done = asyncio.get_running_loop().create_future()
                await self.done
            return not self.failed
        finally:
            self.give_up()  # nobody looks any more
            if self.tasks:
                await asyncio.wait(self.tasks)

    def give_up(self) -> None:
        """Show nothing more."""
        self.failed = True
        self._leaves.clear()
        if self._timer is not None:
            self._timer.cancel()
        for task in self.tasks:
            task.cancel()
        if self.done is not None and not self.done.done():
            self.done.set_result(None)

    def _arrived(
        self,
        finish: Callable[[Any], Any],
        holder: Any,
        at: Any,
        show: Show,
        leads_on: bool,
        load: asyncio.Future[Any],
    ) -> None:
        if self.failed:
            if not load.cancelled():
                load.exception()  # graphql-core asks for it again, or nobody does
            return
        arrived = (finish, load, holder, at, show)
        if leads_on:
            self._show(arrived)
        else:
            self._put_off(arrived)
        if self._leaves and len(self._leaves) == self.waiting:
            self._show_leaves()

    def _put_off(self, arrived: _Arrived) -> None:
        self._leaves.append(arrived)
        if self._timer is None:
            self._pause(MAX_PAUSES)

    def _pause(self, pauses_left: int) -> None:
        """Wait until the loop has nothing else to do, which it shows by being on time."""
        loop = asyncio.get_running_loop()
        due = loop.time() + PAUSE_SECONDS

        def look() -> None:
            if pauses_left and loop.time() - due > PAUSE_SECONDS / 4:
                self._pause(pauses_left - 1)
            else:
                self._show_leaves()

        self._timer = loop.call_at(due, look)

    def _show_leaves(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._leaves:
            self._show(self._leaves.pop())

    def _show(self, arrived: _Arrived) -> None:
        finish, load, holder, at, show = arrived
        try:
            holder[at] = show(finish(load), self)
        except (Exception, asyncio.CancelledError):  # the load's own cancellation, not that of who waits here
            self.give_up()
            return
        self.waiting -= 1
        if not self.waiting and self.done is not None and not self.done.done():
            self.done.set_result(None)


def _itself(value: Any) -> Any:
    return value
