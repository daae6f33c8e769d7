"""Stand-ins for what only an answer will contain: the ids, the objects and the rounds of a prediction. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

Factors: TypeAlias = tuple[int, ...]
"""How many objects a call may be made for: the sizes of the lists around it, from the outermost."""


class UnknownId:
    """A symbol in a key: the ids, known only from an answer, of all objects at one place of the operation."""

    __slots__ = ("is_listed", "lists")

    def __init__(self, owner: object, *, is_many: bool, is_listed: bool) -> None:
        self.lists: tuple[UnknownId, ...] = (*lists_around(owner), self) if is_many else lists_around(owner)
        """The lists that lead to these objects, from the outermost: pages, or lists of ids."""
        self.is_listed = is_listed
        """Whether the objects came in a page, so that no other reference to them needs a call."""


class Round:
    """A round of loads: the calls that start at the same time. The calls that follow an answer are a later round."""

    __slots__ = ("previous",)

    def __init__(self, previous: Round | None = None) -> None:
        self.previous = previous


def lists_around(id_or_symbol: object) -> tuple[UnknownId, ...]:
    """Return the lists that lead to a symbol; none for an id that is known."""
    return id_or_symbol.lists if isinstance(id_or_symbol, UnknownId) else ()


def largest_factors(left: Factors | None, right: Factors) -> Factors:
    """Return the larger one of each factor."""
    return right if left is None else tuple(map(max, left, right))


class StandIn:
    """A stand-in for an object of the response: attributes that are not known before execution are symbols."""

    def __init__(self, identity: Identity, to_symbol: Callable[[object, object], UnknownId]) -> None:
        self.identity = identity
        self._to_symbol = to_symbol

    def __getattr__(self, name: str) -> Any:
        place, known, own_id = self.identity
        return known[name] if name in known else self._to_symbol((place, name), own_id)


class Identity(NamedTuple):
    """The identity of an object or of a part of one: its place in the operation, and what is known of it."""

    place: object
    known: Mapping[str, Any] = MappingProxyType({})
    own_id: object = None


def find_identity(owner: Any) -> Identity:
    """Find the identity of a node, of a stand-in, or of the root (`owner` is None)."""
    if owner is None or isinstance(owner, StandIn):
        return Identity("root") if owner is None else owner.identity
    return Identity((type(owner), owner.key), owner.key._asdict(), owner.key[-1])
