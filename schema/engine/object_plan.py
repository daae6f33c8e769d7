"""The plan of one position in a document: how the objects that are met there are completed.

Few objects are completed field by field. A position that is met more often gets a function of its own, whose source
`plan_source.py` writes: compiling takes as long as completing some hundred objects, and most documents that are not
repeated never have so many. So a document costs little to run once, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schema.engine.plan_execution import Completer, NotCompilableError, PlanExecution
from schema.engine.plan_source import PlanSource, write_plan
from schema.engine.planned_fields import ConstantField, PlainField, PlannedField, PlanPlaces, ResolvedField

COMPILED_AFTER = 50
"""The objects of a position that are completed field by field before its function is compiled."""

MAX_COMPILED_FIELDS = 100
"""The most fields of a function. Compiling a field takes 0.04 ms, in which the event loop has no turn."""


class ObjectPlan:
    """The fields of the objects at one position, and how they are completed."""

    __slots__ = ("_answer_bytes", "_fields", "_is_counted", "_met", "compiled", "may_hold_long_list", "places")

    def __init__(
        self,
        fields: Sequence[PlannedField],
        places: PlanPlaces,
        answer_bytes: int,
        *,
        is_counted: bool,
        may_hold_long_list: bool,
    ) -> None:
        """Plan `fields`, in response order. They know the `places` of the plan, too.

        `answer_bytes` are counted for each object, besides those of its texts and of what is below it. `is_counted`
        says that it counts among the shown objects, `may_hold_long_list` that graphql-core executes such an object
        after a failure.
        """
        self._fields = fields
        self.places = places
        self._answer_bytes = answer_bytes
        self._is_counted = is_counted
        self._met = 0
        self.may_hold_long_list = may_hold_long_list
        self.compiled: Completer | None = None
        """The function that completes an object, once there is one."""

    def complete(self, parent: Any, execution: PlanExecution) -> dict[str, Any]:
        """Complete the fields of an object. Pending values are added to the result when their loads are done."""
        if self.compiled is None and self._met >= COMPILED_AFTER:
            self.compile()
        if self.compiled is not None:
            response: dict[str, Any] = self.compiled(parent, execution)
            return response
        self._met += 1
        return self._complete_fields(parent, execution)

    def compile(self) -> None:
        """Compile the function, unless it would be too long."""
        if len(self._fields) <= MAX_COMPILED_FIELDS:
            self.compiled = self.write_source().compile()

    def write_source(self) -> PlanSource:
        """Write the source of the function."""
        return write_plan(self._fields, self._answer_bytes, is_counted=self._is_counted)

    def _complete_fields(self, parent: Any, execution: PlanExecution) -> dict[str, Any]:
        """Do the same as the function that `plan_source.py` writes, one field after the other."""
        response: dict[str, Any] = {}
        for field in self._fields:
            if isinstance(field, PlainField):
                response[field.name] = field.complete(field.get(parent), execution)
            else:
                response[field.name] = field.text if isinstance(field, ConstantField) else None
        execution.structure_bytes += self._answer_bytes
        execution.object_count += self._is_counted
        if execution.is_too_large:
            raise NotCompilableError
        for field in self._fields:
            if isinstance(field, ResolvedField):
                field.resolve(parent, execution, response, field.name)
        return response
