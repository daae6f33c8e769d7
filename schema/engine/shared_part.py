"""Parts of a response that stand in several places: completed once, and counted as often as they stand there."""

from __future__ import annotations

from typing import Any, Protocol


class Execution(Protocol):
    """The execution that completes a part, as far as the part must know it."""

    part: SharedPart | None
    structure_bytes: int
    text_bytes: int
    object_count: int

    def complete_value(self, value: Any, container: Any, key: Any, complete: Any, *, starts_loads: bool = True) -> None:
        """Store a completed value as `container[key]`: now, or later as a pending value of the current part."""


class SharedPart:
    """The part of the response that a field returns for all parents with the same key.

    Its values are counted when they are completed. Each further place counts them again once all of them are complete;
    until then the places wait. A place may belong to another part, which then waits for this one.
    """

    __slots__ = (
        "_counted_at_once",
        "_holder",
        "_is_complete",
        "_object_count",
        "_places",
        "_structure_bytes",
        "_text_bytes",
        "pending",
    )

    def __init__(self) -> None:
        """Start without a place."""
        self.pending = 0
        """The number of values in it that are not complete yet."""
        self._structure_bytes = self._text_bytes = self._object_count = 0
        self._counted_at_once = (0, 0, 0)
        self._holder: list[Any] = [None]
        self._is_complete = False
        self._places: list[tuple[SharedPart | None, Any, Any]] = []

    def complete_first(
        self, execution: Execution, value: Any, container: Any, key: Any, complete: Any, *, starts_loads: bool
    ) -> None:
        """Complete the value of the part in its first place, `container[key]`."""
        before = self.enter(execution)
        execution.complete_value(value, self._holder, 0, complete, starts_loads=starts_loads)
        self.leave(execution, before)
        if self.pending:
            self._counted_at_once = (self._structure_bytes, self._text_bytes, self._object_count)
            self._add_place(execution, container, key)
        else:
            self._is_complete = True
            container[key] = self._holder[0]

    def repeat(self, execution: Execution, container: Any, key: Any) -> None:
        """Put the part in one more place: now, or when it is complete."""
        if self._is_complete:
            container[key] = self._holder[0]
            self._count_again(execution)
        else:
            self._add_place(execution, container, key)

    def enter(self, execution: Execution) -> tuple[SharedPart | None, int, int, int]:
        """Let the values that are completed from now on belong to this part. `leave` takes what this returns."""
        outer, execution.part = execution.part, self
        return outer, execution.structure_bytes, execution.text_bytes, execution.object_count

    def leave(self, execution: Execution, before: Any) -> None:
        """Count what was completed since `enter` for this part."""
        execution.part, structure_bytes, text_bytes, object_count = before
        self._structure_bytes += execution.structure_bytes - structure_bytes
        self._text_bytes += execution.text_bytes - text_bytes
        self._object_count += execution.object_count - object_count

    def end_pending(self, execution: Execution) -> None:
        """Note that one of the pending values is complete. With the last one, the part is complete in all places."""
        self.pending -= 1
        if self.pending:
            return
        self._is_complete = True
        for index, (outer, container, key) in enumerate(self._places):
            container[key] = self._holder[0]
            if index:
                self._count_again(execution)
            if outer is not None:
                outer._add_counted(self, counted_before=(0, 0, 0) if index else self._counted_at_once)
                outer.end_pending(execution)
        self._places.clear()

    def _add_place(self, execution: Execution, container: Any, key: Any) -> None:
        outer = execution.part
        self._places.append((outer, container, key))
        if outer is not None:
            outer.pending += 1

    def _count_again(self, execution: Execution) -> None:
        execution.structure_bytes += self._structure_bytes
        execution.text_bytes += self._text_bytes
        execution.object_count += self._object_count

    def _add_counted(self, inner: SharedPart, counted_before: tuple[int, int, int]) -> None:
        """Count a part within this one, but for that of it which was counted before, while this one was entered."""
        structure_bytes, text_bytes, object_count = counted_before
        self._structure_bytes += inner._structure_bytes - structure_bytes
        self._text_bytes += inner._text_bytes - text_bytes
        self._object_count += inner._object_count - object_count
