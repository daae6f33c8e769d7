"""The execution of a plan on one object: the values that it waits for, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import CoroutineType
from typing import Any, NamedTuple, TypeAlias

from graphql import FieldNode, FragmentDefinitionNode, GraphQLSchema
from graphql.execution import Executor
from graphql.execution.values import VariableValues

from schema.engine.deferred import Deferred
from schema.engine.shared_part import SharedPart

Completer: TypeAlias = Callable[[Any, "PlanExecution"], Any]
"""Turns a field's value into its part of the response ("value completion" in the GraphQL specification).

It raises for a value that graphql-core must handle.
"""

_FinishedLoad: TypeAlias = tuple[Callable[[Any], Any], Any, Any, Any, Completer, SharedPart | None]
"""The function that finishes a load, the load, the container and the key of its result, the completer, the part."""

_PausedList: TypeAlias = tuple[Sequence[Any], list[Any], Completer, SharedPart | None]
"""The values of a list, the part of them that is complete, the completer of an item, the part of the response."""

TURN_BYTES = 1 << 15
"""The structure that is completed without a turn of the event loop: about 2,000 values, or 3 ms."""

POSTPONE_SECONDS = 0.003
"""How long a value that starts no further load is postponed, so that loads leave first. Longer if the loop is busy."""

MAX_POSTPONEMENTS = 10


class NotCompilableError(Exception):
    """A value that graphql-core must handle. The caller of the operation never sees this error."""


class PositionPlans(dict[Any, Any]):
    """The plans of one operation under one set of conditions, by position in the document.

    Resolvers keep their own facts about positions in it too. `field_count` counts the planned fields. An operation
    over the limit has no plans: graphql-core executes all of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.field_count = 0
        self.is_over_limit = False


class DocumentPosition(NamedTuple):
    """The facts about a field's position in the document that a resolver may read (`_raw_info` of its `info`)."""

    field_nodes: Sequence[FieldNode]
    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variable_values: VariableValues


class PositionInfo:
    """The `info` argument of a field that is called directly: the part of strawberry's that our resolvers use."""

    __slots__ = ("_raw_info", "context")

    def __init__(self, context: Any, position: DocumentPosition) -> None:
        self.context = context
        self._raw_info = position


class PlanExecution:
    """Executes the fields of one object and all fields below it.

    It ends when all values are complete, or at the first value that graphql-core must handle.
    """

    __slots__ = (
        "_finished",
        "_is_paused",
        "_paused_lists",
        "_postponed",
        "_timer",
        "executor",
        "has_failed",
        "max_answer_bytes",
        "object_count",
        "part",
        "pending",
        "plans",
        "positions",
        "structure_bytes",
        "tasks",
        "text_bytes",
        "turn_ends_at",
    )

    def __init__(self, executor: Executor[Any], plans: PositionPlans, max_answer_bytes: int) -> None:
        """Execute for one operation, into at most `max_answer_bytes`. `plans` holds the plans of its document."""
        self.executor = executor
        self.plans = plans
        self.positions: dict[object, Any] = {}
        """What the fields of this execution know at their positions: their arguments, or what they share."""
        self.structure_bytes = 0
        """The counted bytes of complete objects and lists without their texts: a measure of the work, too."""
        self.object_count = 0
        """The number of complete nodes."""
        self.text_bytes = 0
        """The counted bytes of complete texts. The completer of each object holds both to the limit."""
        self.turn_ends_at = TURN_BYTES
        """The `structure_bytes` at which lists are completed no further before the event loop had a turn."""
        self.max_answer_bytes = max_answer_bytes
        self.pending = 0
        """The number of values that are not complete yet."""
        self.part: SharedPart | None = None
        """The shared part to which the values belong that are being completed."""
        self.has_failed = False
        self._finished: asyncio.Future[None] | None = None
        self._is_paused = False
        self._paused_lists: list[_PausedList] = []
        self._postponed: list[_FinishedLoad] = []
        self._timer: asyncio.TimerHandle | None = None
        self.tasks: set[asyncio.Task[Any]] = set()
        """The tasks of the coroutines that fields returned, while they run."""

    @property
    def answer_bytes(self) -> int:
        """The counted bytes of the values that are complete."""
        return self.structure_bytes + self.text_bytes

    @property
    def is_too_large(self) -> bool:
        """Whether the values that are complete are above the limit."""
        return self.answer_bytes > self.max_answer_bytes

    def complete_value(
        self, value: Any, container: Any, key: Any, complete: Completer, *, starts_loads: bool = True
    ) -> None:
        """Store a field's completed value as `container[key]`: now, or as soon as its load is done.

        A value that starts no further loads is postponed a little while other values are pending.
        """
        if type(value) is Deferred:
            self._begin_pending()
            on_done = partial(self._on_load_done, value.finish, container, key, complete, self.part, starts_loads)
            value.load.add_done_callback(on_done)
        elif type(value) is CoroutineType:
            task = asyncio.create_task(value)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            deferred = Deferred(task, asyncio.Future.result)
            self.complete_value(deferred, container, key, complete, starts_loads=starts_loads)
        elif starts_loads or not self.pending:
            container[key] = complete(value, self)
        else:
            self._begin_pending()
            self._postpone((_identity, value, container, key, complete, self.part))

    def pause_list(self, values: Sequence[Any], items: list[Any], complete_item: Completer) -> list[Any]:
        """Complete the other `values` of a list after a turn of the event loop. Returns the `items`, not yet all."""
        self._begin_pending()
        self._paused_lists.append((values, items, complete_item, self.part))
        if not self._is_paused:
            self._is_paused = True
            asyncio.get_running_loop().call_soon(self._continue_lists)
        return items

    def make_info(self, nodes: Sequence[FieldNode]) -> PositionInfo:
        """Make the `info` argument for a field, from its nodes in the document."""
        executor = self.executor
        position = DocumentPosition(nodes, executor.schema, executor.fragment_definitions, executor.variable_values)
        return PositionInfo(executor.context_value, position)

    async def wait(self) -> bool:
        """Wait until all values are complete. Cancelling the wait aborts the execution.

        Returns:
            False if graphql-core must execute the fields.
        """
        try:
            if self.pending and not self.has_failed:
                self._finished = asyncio.get_running_loop().create_future()
                await self._finished
            return not self.has_failed
        finally:
            self.abort()  # no caller needs more values
            if self.tasks:
                await asyncio.wait(self.tasks)

    def abort(self) -> None:
        """Complete no more values, and cancel the running tasks. Shared loads go on."""
        self.has_failed = True
        self._postponed.clear()
        self._paused_lists.clear()
        if self._timer is not None:
            self._timer.cancel()
        for task in self.tasks:
            task.cancel()
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def _on_load_done(
        self,
        finish: Callable[[Any], Any],
        container: Any,
        key: Any,
        complete: Completer,
        part: SharedPart | None,
        starts_loads: bool,
        load: asyncio.Future[Any],
    ) -> None:
        if self.has_failed:
            if not load.cancelled():
                load.exception()  # marks it as retrieved: graphql-core reads the result again, or nothing does
            return
        finished = (finish, load, container, key, complete, part)
        if starts_loads:
            self._complete(finished)
        else:
            self._postpone(finished)
        if self._postponed and len(self._postponed) == self.pending:
            self._complete_postponed()

    def _postpone(self, finished: _FinishedLoad) -> None:
        self._postponed.append(finished)
        if self._timer is None:
            self._start_timer(MAX_POSTPONEMENTS)

    def _start_timer(self, restarts_left: int) -> None:
        """Wait until the event loop has nothing else to do. A timer that fires on time shows that."""
        loop = asyncio.get_running_loop()
        due = loop.time() + POSTPONE_SECONDS

        def on_timer() -> None:
            if restarts_left and loop.time() - due > POSTPONE_SECONDS / 4:
                self._start_timer(restarts_left - 1)
            else:
                self._complete_postponed()

        self._timer = loop.call_at(due, on_timer)

    def _complete_postponed(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._postponed:
            self._complete(self._postponed.pop())

    def _complete(self, finished: _FinishedLoad) -> None:
        finish, load, container, key, complete, part = finished
        try:
            value = finish(load)
            before = None if part is None else part.enter(self)
            if type(value) is CoroutineType:
                self.complete_value(value, container, key, complete)
            else:
                container[key] = complete(value, self)
            if part is not None:
                part.leave(self, before)
        except (Exception, asyncio.CancelledError):  # the load was cancelled, not the task that waits here
            self.abort()
            return
        self._end_pending(part)

    def _continue_lists(self) -> None:
        """Complete paused lists for one turn."""
        self.turn_ends_at = self.structure_bytes + TURN_BYTES
        while self._paused_lists and self.structure_bytes <= self.turn_ends_at:
            values, items, complete_item, part = self._paused_lists.pop()
            try:
                before = None if part is None else part.enter(self)
                while len(items) < len(values) and self.structure_bytes <= self.turn_ends_at:
                    items.append(complete_item(values[len(items)], self))
                if part is not None:
                    part.leave(self, before)
            except (Exception, asyncio.CancelledError):
                self.abort()
                return
            if len(items) < len(values):
                self._paused_lists.append((values, items, complete_item, part))
            else:
                self._end_pending(part)
        self._is_paused = bool(self._paused_lists)
        if self._is_paused:
            asyncio.get_running_loop().call_soon(self._continue_lists)
        elif self._postponed and len(self._postponed) == self.pending:
            self._complete_postponed()

    def _begin_pending(self) -> None:
        self.pending += 1
        if self.part is not None:
            self.part.pending += 1

    def _end_pending(self, part: SharedPart | None) -> None:
        if part is not None:
            part.end_pending(self)
        self.pending -= 1
        if not self.pending and self._finished is not None and not self._finished.done():
            self._finished.set_result(None)


def _identity(value: Any) -> Any:
    return value
