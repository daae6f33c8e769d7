"""One attempt to execute the fields of an object by a compiled plan: what it waits for, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from schema.later import Later

if TYPE_CHECKING:
    from graphql import FieldNode, FragmentDefinitionNode, GraphQLSchema
    from graphql.execution import Executor
    from graphql.execution.values import VariableValues

Show: TypeAlias = Callable[[Any, "Attempt"], Any]
"""Makes of a value what the answer shows of it. It raises where graphql-core has to look."""


class UnusualError(Exception):
    """Something that graphql-core has to look at; its caller never sees it."""


class Place(NamedTuple):
    """What a resolver may ask of the place in the document where its field stands (as `_raw_info` of its `info`)."""

    field_nodes: Sequence[FieldNode]
    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variable_values: VariableValues


class PlaceInfo:
    """The `info` of a field that is called directly: of strawberry's, what our resolvers ask for."""

    __slots__ = ("_raw_info", "context")

    def __init__(self, context: Any, place: Place) -> None:
        self.context = context
        self._raw_info = place


class Attempt:
    """Executes the fields of one object and all below it; it is over when they are shown, or when one is unusual."""

    __slots__ = ("done", "executor", "failed", "given", "places", "tasks", "waiting")

    def __init__(self, executor: Executor[Any], places: dict[Any, Any]) -> None:
        """Execute for an operation; `places` keeps the plans of its document."""
        self.executor = executor
        self.places = places
        self.given: dict[object, dict[str, Any]] = {}
        """What functions are given by name, by the field's place."""
        self.waiting = 0
        self.failed = False
        self.done: asyncio.Future[None] | None = None
        self.tasks: set[asyncio.Task[Any]] = set()
        """The coroutines that fields gave, as far as they are under way."""

    def settle(self, value: Any, holder: Any, at: Any, show: Show) -> None:
        """Show a field's value at its place in `holder`: now, or as soon as it is here."""
        if type(value) is Later:
            self.wait(value, holder, at, show)
        elif type(value) is CoroutineType:
            self._run(value, holder, at, show)
        else:
            holder[at] = show(value, self)

    def wait(self, later: Later[Any], holder: Any, at: Any, show: Show) -> None:
        """Show a value in its place as soon as its load is done."""
        self.waiting += 1
        later.load.add_done_callback(partial(self._arrived, later.finish, holder, at, show))

    def info(self, nodes: Sequence[FieldNode]) -> PlaceInfo:
        """Make the `info` of the field at some nodes of the document."""
        executor = self.executor
        place = Place(nodes, executor.schema, executor.fragment_definitions, executor.variable_values)
        return PlaceInfo(executor.context_value, place)

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
        for task in self.tasks:
            task.cancel()
        if self.done is not None and not self.done.done():
            self.done.set_result(None)

    def _run(self, value: Coroutine[Any, Any, Any], holder: Any, at: Any, show: Show) -> None:
        task = asyncio.create_task(value)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        self.wait(Later(task, asyncio.Future.result), holder, at, show)

    def _arrived(
        self, finish: Callable[[Any], Any], holder: Any, at: Any, show: Show, load: asyncio.Future[Any]
    ) -> None:
        if self.failed:
            if not load.cancelled():
                load.exception()  # graphql-core asks for it again, or nobody does
            return
        try:
            holder[at] = show(finish(load), self)
        except (Exception, asyncio.CancelledError):  # the load's own cancellation, not that of who waits here
            self.give_up()
            return
        self.waiting -= 1
        if not self.waiting and self.done is not None and not self.done.done():
            self.done.set_result(None)
