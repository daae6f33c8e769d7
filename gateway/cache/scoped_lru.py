"""An LRU cache whose entries belong to scopes, so that all of one scope can be removed without a look at the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from cachetools import LRUCache

NameT = TypeVar("NameT")
ValueT = TypeVar("ValueT")


class ScopedLRU(LRUCache[tuple[str, NameT], ValueT], Generic[NameT, ValueT]):
    """Values by scope and name, least recently used out first."""

    def __init__(self, maxsize: float, getsizeof: Callable[[ValueT], float]) -> None:
        super().__init__(maxsize, getsizeof)
        self._names: dict[str, set[NameT]] = {}

    def __setitem__(self, key: tuple[str, NameT], value: ValueT) -> None:
        super().__setitem__(key, value)
        scope, name = key
        self._names.setdefault(scope, set()).add(name)

    def __delitem__(self, key: tuple[str, NameT]) -> None:
        super().__delitem__(key)
        scope, name = key
        names = self._names[scope]
        names.discard(name)
        if not names:
            del self._names[scope]

    def remove_scope(self, scope: str) -> list[NameT]:
        """Remove all entries of a scope. Returns their names."""
        names = list(self._names.get(scope, ()))
        for name in names:
            del self[scope, name]
        return names
