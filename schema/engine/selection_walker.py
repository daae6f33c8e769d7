"""The walk over the selections of a document, for everyone who reads them without executing them. Pure.

A fragment or an inline fragment stands for the selections in it. Either each fragment is entered once for a walk
(`SelectionWalker`), or a value is computed for each fragment once (`SelectionFold`); so the work is linear in the
document, although fragments in fragments may unfold to exponentially many selections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeAlias, TypeVar

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    get_directive_values,
    is_abstract_type,
)
from graphql.execution.values import VariableValues

ScopeT = TypeVar("ScopeT")
ValueT = TypeVar("ValueT")

FindFragment: TypeAlias = Callable[[str], FragmentDefinitionNode | None]
"""Finds a fragment by its name. An unknown one is skipped; GraphQL's own rules refuse it."""


class TooManySelectionsError(Exception):
    """The fragments unfold to more selections than allowed."""


class SelectionWalker(Generic[ScopeT]):
    """Walks the selections on objects, through their fragments, in the order of the document.

    The scope of a selection is what the caller must know of its object, such as the name of its type.
    """

    def __init__(
        self,
        find_fragment: FindFragment,
        *,
        narrow: Callable[[ScopeT, str], ScopeT | None] | None = None,
        is_included: Callable[[SelectionNode], bool] | None = None,
        max_selections: int | None = None,
    ) -> None:
        """Read the fragments of a document.

        Args:
            find_fragment: Finds a fragment by its name.
            narrow: Returns the scope in a fragment with a type condition, or None if the fragment does not apply.
                Without it, the scope stays and each fragment applies.
            is_included: Decides about a selection with directives. Without it, all selections are walked.
            max_selections: Limit of `selection_count`.
        """
        self._find_fragment = find_fragment
        self._narrow = narrow
        self._is_included = is_included
        self._max_selections = max_selections
        self.selection_count = 0
        """The selections of all walks, each as often as it was read."""

    def fields(self, sources: Iterable[tuple[ScopeT, SelectionSetNode | None]]) -> Iterator[tuple[ScopeT, FieldNode]]:
        """Yield the fields of one object, with their scopes, from the places where they are selected.

        Raises:
            TooManySelectionsError: The selections are more than allowed.
        """
        return (pair for pair in self.walk(sources) if isinstance(pair[1], FieldNode))  # type: ignore[misc]  # mypy does not narrow an item

    def walk(
        self,
        sources: Iterable[tuple[ScopeT, SelectionSetNode | None]],
        *,
        enters_fields: bool = False,
        enters_fragments: bool = True,
    ) -> Iterator[tuple[ScopeT, SelectionNode]]:
        """Yield all selections with their scopes: fields, inline fragments and spreads, each before what it stands for.

        Each fragment is entered once. With `enters_fields`, the selections below the fields follow, in the same scope.

        Raises:
            TooManySelectionsError: The selections are more than allowed.
        """
        entered: set[str] | None = set() if enters_fragments else None
        for source_scope, source in sources:
            stack = [(source_scope, self._read(source))]
            while stack:
                scope, selections = stack[-1]
                for selection in selections:
                    if self._is_included is not None and selection.directives and not self._is_included(selection):
                        continue
                    yield scope, selection
                    below: tuple[ScopeT, SelectionSetNode | None] | None
                    if isinstance(selection, FieldNode):
                        below = (scope, selection.selection_set) if enters_fields else None
                    else:
                        below = self._enter(scope, selection, entered)
                    if below is not None:
                        stack.append((below[0], self._read(below[1])))
                        break
                else:
                    stack.pop()

    def find_fragment_source(self, scope: ScopeT, name: str) -> tuple[ScopeT, SelectionSetNode] | None:
        """Find the selections of a fragment and their scope. Returns None if it is unknown or does not apply."""
        fragment = self._find_fragment(name)
        return None if fragment is None else self._source(scope, fragment)

    def _enter(
        self, scope: ScopeT, selection: SelectionNode, entered: set[str] | None
    ) -> tuple[ScopeT, SelectionSetNode] | None:
        if isinstance(selection, InlineFragmentNode):
            return self._source(scope, selection)
        if entered is None or not isinstance(selection, FragmentSpreadNode) or selection.name.value in entered:
            return None
        entered.add(selection.name.value)
        return self.find_fragment_source(scope, selection.name.value)

    def _source(
        self, scope: ScopeT, fragment: FragmentDefinitionNode | InlineFragmentNode
    ) -> tuple[ScopeT, SelectionSetNode] | None:
        if fragment.type_condition is not None and self._narrow is not None:
            narrowed = self._narrow(scope, fragment.type_condition.name.value)
            return None if narrowed is None else (narrowed, fragment.selection_set)
        return scope, fragment.selection_set

    def _read(self, selection_set: SelectionSetNode | None) -> Iterator[SelectionNode]:
        selections = selection_set.selections if selection_set is not None else ()
        self.selection_count += len(selections)
        if self._max_selections is not None and self.selection_count > self._max_selections:
            raise TooManySelectionsError
        return iter(selections)


class SelectionFold(Generic[ScopeT, ValueT]):
    """Computes a value of a selection set from those of its fields: of each fragment once for each scope."""

    def __init__(
        self,
        walker: SelectionWalker[ScopeT],
        value_of_field: Callable[[ScopeT, FieldNode], ValueT],
        merge: Callable[[Iterable[ValueT]], ValueT],
    ) -> None:
        """Merge the values of the fields. `value_of_field` may call `value` for the selections below."""
        self._walker = walker
        self._value_of_field = value_of_field
        self._merge = merge
        self._fragments: dict[tuple[str, ScopeT], ValueT] = {}

    def value(self, scope: ScopeT, selection_set: SelectionSetNode | None) -> ValueT:
        """Compute the value of a selection set. A fragment that is unknown or spreads itself counts as empty."""
        values = []
        for scope_here, selection in self._walker.walk([(scope, selection_set)], enters_fragments=False):
            if isinstance(selection, FieldNode):
                values.append(self._value_of_field(scope_here, selection))
            elif isinstance(selection, FragmentSpreadNode):
                values.append(self._value_of_fragment(scope_here, selection.name.value))
        return self._merge(values)

    def _value_of_fragment(self, scope: ScopeT, name: str) -> ValueT:
        if (name, scope) not in self._fragments:
            self._fragments[name, scope] = self._merge(())  # in case the fragment spreads itself
            source = self._walker.find_fragment_source(scope, name)
            if source is not None:
                self._fragments[name, scope] = self.value(*source)
        return self._fragments[name, scope]


def deepest(depths: Iterable[int]) -> int:
    """Merge the depths of some selections: the largest one, or 0."""
    return max(depths, default=0)


def is_included(selection: SelectionNode, variables: VariableValues) -> bool:
    """Whether `@skip` and `@include` leave a selection in. Raises the `GraphQLError` of a refused condition."""
    skip = get_directive_values(GraphQLSkipDirective, selection, variables)
    if skip and skip["if"]:
        return False
    include = get_directive_values(GraphQLIncludeDirective, selection, variables)
    return not include or bool(include["if"])


def fragment_applies(schema: GraphQLSchema, type_name: str, condition: str) -> bool:
    """Whether a fragment on the type `condition` applies to objects of a type."""
    if condition == type_name:
        return True
    condition_type = schema.type_map[condition]
    return is_abstract_type(condition_type) and schema.is_sub_type(condition_type, schema.type_map[type_name])
