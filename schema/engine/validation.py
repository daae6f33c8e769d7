"""The validation of documents: GraphQL's rules, in a form that takes time near linear in the document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphql import (
    SKIP,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    KnownDirectivesRule,
    OverlappingFieldsCanBeMergedRule,
    ScalarLeafsRule,
    ValidationContext,
    ValidationRule,
    ValuesOfCorrectTypeRule,
    Visitor,
    VisitorAction,
    specified_rules,
    validate,
)
from graphql.type import GraphQLInputType
from graphql.utilities import validate_input_literal
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from schema.engine.field_merging import FieldMergingRule

MAX_ERRORS = 9
"""The most errors of a document that are reported; a tenth says that there are more.

Each may cost a search for similar names, and quotes the document.
"""


class _FirstError(Exception):
    """Ends the validation of one value."""

    def __init__(self, error: GraphQLError, _path: Sequence[str | int]) -> None:
        super().__init__(error.message)
        self.error = error


class FirstValueErrorRule(ValuesOfCorrectTypeRule):
    """Reports the first error of each argument's value. Each error may quote the whole value."""

    def is_valid_value_node(self, node: Any, input_type: GraphQLInputType | None) -> VisitorAction:
        """Validate the value of an argument, a variable's default or a directive's argument."""
        if input_type is not None:
            try:
                validate_input_literal(node, input_type, _raise, None, None, self.context.hide_suggestions)
            except _FirstError as first:
                self.report_error(first.error)
        return SKIP


class UnsuggestedLeafsRule(ScalarLeafsRule):
    """Suggests no selection below a field that needs one, if suggestions are hidden. GraphQL's own rule always does."""

    def report_error(self, error: GraphQLError) -> None:
        """Report an error, with or without its suggestion."""
        if self.context.hide_suggestions:
            error.message = error.message.partition(" Did you mean ")[0]
        super().report_error(error)


class UnknownDirectivesRule(KnownDirectivesRule):
    """Reports an unknown directive once, however often it stands in the document."""

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self._messages: set[str] = set()

    def report_error(self, error: GraphQLError) -> None:
        """Report an error, unless an equal one was reported."""
        if error.message not in self._messages:
            self._messages.add(error.message)
            super().report_error(error)


def _raise(error: GraphQLError, path: Sequence[str | int]) -> None:
    raise _FirstError(error, path)


_REPLACED: dict[type[Any], type[Any]] = {
    KnownDirectivesRule: UnknownDirectivesRule,
    OverlappingFieldsCanBeMergedRule: FieldMergingRule,
    ScalarLeafsRule: UnsuggestedLeafsRule,
    ValuesOfCorrectTypeRule: FirstValueErrorRule,
}
_RULES = (
    *(_REPLACED.get(rule, rule) for rule in specified_rules),
    MaybeNullValidationRule,
    OneOfInputValidationRule,
)


def validate_document(
    schema: GraphQLSchema,
    document: DocumentNode,
    more_rules: Sequence[type[ValidationRule]],
    *,
    hide_suggestions: bool = False,
) -> list[GraphQLError]:
    """Validate a document by GraphQL's rules, strawberry's rules and `more_rules`.

    An error may suggest a similar name. The search among the types of the schema takes ten milliseconds.
    """
    visitors: list[Visitor] = []
    rules: Any = [_recorded(rule, visitors) for rule in (*more_rules, *_RULES)]
    try:
        return validate(schema, document, rules, MAX_ERRORS, hide_suggestions=hide_suggestions)
    finally:
        # A visitor refers to its own methods, and to the document: only the garbage collector would free the two.
        for visitor in visitors:
            vars(visitor).clear()


def _recorded(rule: type[ValidationRule], visitors: list[Visitor]) -> Callable[[ValidationContext], Visitor]:
    """Return a function that makes the visitor of a rule, and records it."""

    def make_visitor(context: ValidationContext) -> Visitor:
        visitor = rule(context)
        visitors.append(visitor)
        return visitor

    return make_visitor
