"""Writes a plan as Python source: one function that completes the objects of one position, with no call per field.

For the position `thread.messages.edges.node` of a query, the source may be

    def complete(parent, execution):
        text = 0
        v0 = to_opaque_3(TYPE_NAMES_4[type(parent.key)], *parent.key)  # id: ID!
        if type(v0) is not str: v0 = complete_5(v0, execution)
        v1 = text_from_content_6(parent.wire.content)  # words: String!
        if type(v1) is str: text += len(v1) if v1.isascii() else text_bytes(v1)
        else: v1 = complete_7(v1, execution)
        response = {'id': v0, 'words': v1, 'run': None}
        execution.structure_bytes += 68
        execution.object_count += 1
        execution.text_bytes += text
        if execution.structure_bytes + execution.text_bytes > execution.max_answer_bytes:
            raise NotCompilableError
        resolve_8(parent, execution, response, 'run')
        return response

Of the document, only response names come into the source, as literals of GraphQL names. All else is a constant that a
name with a number is bound to: functions of fields, classes, completers. `inlining.py` writes how the value of a field
is found: by the expression of its function, if that is all. `show_plans` shows the source of the plans of a document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLString,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
)

from schema.engine.answer_size import ITEM_BYTES, text_bytes
from schema.engine.completers import (
    MAX_UNPAUSED_ITEMS,
    SHORT_TYPES,
    enum_names,
    measure_leaf,
)
from schema.engine.inlining import inline_call
from schema.engine.plan_execution import Completer, NotCompilableError
from schema.engine.planned_fields import PlainField, PlannedField, ResolvedField

_UNCHANGED_TYPES = {GraphQLID: "str", GraphQLBoolean: "bool"}
"""GraphQL types whose values of this Python type are complete as they are, and not counted one by one."""


class PlanSource(NamedTuple):
    """The source of one plan, and the constants that the names in it are bound to."""

    text: str
    constants: dict[str, Any]

    def compile(self) -> Completer:
        """Compile the source. Returns its function."""
        code = compile(self.text, "<plan>", "exec", dont_inherit=True)
        exec(code, self.constants)  # noqa: S102 - of the document it holds only names, see the head of this file
        complete: Completer = self.constants["complete"]
        return complete


def write_plan(fields: Sequence[PlannedField], answer_bytes: int, *, is_counted: bool) -> PlanSource:
    """Write the source of a plan. It counts `answer_bytes` for each object, and one object if `is_counted`."""
    return _Writer().write(fields, answer_bytes, is_counted=is_counted)


class _Writer:
    """Writes one plan. Each method returns lines of source."""

    def __init__(self) -> None:
        self._constants: dict[str, Any] = {
            "NotCompilableError": NotCompilableError,
            "measure_leaf": measure_leaf,
            "text_bytes": text_bytes,
        }

    def write(self, fields: Sequence[PlannedField], answer_bytes: int, *, is_counted: bool) -> PlanSource:
        values: list[str] = []
        members: list[str] = []
        resolvers: list[str] = []
        for field in fields:
            value = "None"
            if isinstance(field, PlainField):
                value = f"v{len(members)}"
                got = inline_call(field.get, self._bind)
                values.append(f"{value} = {got}  # {field.name}: {field.type_}")
                values += self._complete(value, field)
            elif isinstance(field, ResolvedField):
                resolve = self._bind("resolve", field.resolve)
                resolvers.append(f"{resolve}(parent, execution, response, {field.name!r})")
            else:
                value = self._bind("text", field.text)
            members.append(f"{field.name!r}: {value}")
        lines = [
            "text = 0",
            *values,
            f"response = {{{', '.join(members)}}}",
            f"execution.structure_bytes += {answer_bytes}",
            f"execution.object_count += {int(is_counted)}",
            "execution.text_bytes += text",
            "if execution.structure_bytes + execution.text_bytes > execution.max_answer_bytes:",
            "    raise NotCompilableError",
            *resolvers,
            "return response",
        ]
        return PlanSource("\n    ".join(["def complete(parent, execution):", *lines]) + "\n", self._constants)

    def _bind(self, name: str, constant: Any) -> str:
        bound = f"{name}_{len(self._constants)}"
        self._constants[bound] = constant
        return bound

    def _complete(self, v: str, field: PlainField) -> list[str]:
        """Write the completion of the variable `v`, which holds the value of a field."""
        type_, can_be_null = get_nullable_type(field.type_), not is_non_null_type(field.type_)
        if is_leaf_type(type_):
            return self._complete_leaf(v, type_, field.complete, can_be_null=can_be_null)
        if isinstance(type_, GraphQLList):
            completion = self._complete_list(v, type_.of_type, field)
            return _unless_null(v, completion) if can_be_null else completion
        return [f"{v} = {self._bind('objects', field.completers.find_objects(field.type_))}[type({v})]({v}, execution)"]

    def _complete_leaf(self, v: str, type_: Any, complete: Completer, *, can_be_null: bool) -> list[str]:
        not_null = f"{v} is not None and " if can_be_null else ""
        if type_ in _UNCHANGED_TYPES:
            otherwise = self._complete_by(complete, v)
            return [f"if {not_null}type({v}) is not {_UNCHANGED_TYPES[type_]}: {otherwise}"]
        if type_ is GraphQLInt:
            otherwise = self._complete_by(complete, v)
            return [f"if {not_null}not (type({v}) is int and -0x80000000 <= {v} <= 0x7fffffff): {otherwise}"]
        if type_ is GraphQLString:
            return [
                f"if type({v}) is str: text += len({v}) if {v}.isascii() else text_bytes({v})",
                f"el{f'if {v} is not None' if can_be_null else 'se'}: {self._complete_by(complete, v)}",
            ]
        if isinstance(type_, GraphQLEnumType):
            completion = [f"{v} = {self._bind('names', enum_names(type_))}[{v}._value_]"]
        elif type_ in SHORT_TYPES:
            return [self._complete_by(complete, v)]
        else:
            completion = [
                f"{v} = {self._bind('coerce', type_.coerce_output_value)}({v})",
                f"text += len({v}) if type({v}) is str and {v}.isascii() else measure_leaf({v})",
            ]
        return _unless_null(v, completion) if can_be_null else completion

    def _complete_list(self, v: str, item_type: Any, field: PlainField) -> list[str]:
        objects = field.completers.find_objects(item_type)
        if objects is not None:
            item = f"{self._bind('objects', objects)}[type(item)](item, execution)"
        else:
            item = f"{self._bind('complete', field.completers.find(item_type))}(item, execution)"
        is_unusual = f"type({v}) is not list or len({v}) > {MAX_UNPAUSED_ITEMS}"
        return [
            f"if {is_unusual} or execution.structure_bytes > execution.turn_ends_at:",
            f"    {self._complete_by(field.complete, v)}",
            f"elif {v}:",
            f"    execution.structure_bytes += {ITEM_BYTES} * len({v})",
            f"    {v} = [{item} for item in {v}]",
        ]

    def _complete_by(self, complete: Completer, v: str) -> str:
        return f"{v} = {self._bind('complete', complete)}({v}, execution)"


def _unless_null(v: str, completion: list[str]) -> list[str]:
    return [f"if {v} is not None:", *(f"    {line}" for line in completion)]
