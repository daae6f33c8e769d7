"""The parameters of a list request, and the page of an ordered list that answers it. Pure.

A list is ordered by `created_at`, then by the order of insertion, since ties within a second are common. `after` and
`before` name objects: the page holds objects that come strictly after the one and strictly before the other in the
requested order. Two rules are assumed, since no recorded traffic shows them:

- With `before` alone, the page holds the `limit` objects closest to it (still in the requested order), and `has_more`
  says whether more objects lie before those.
- Otherwise the page begins at the list's start or right after `after`, and `has_more` says whether more objects follow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.emulator.bodies.api_errors import ApiError, unsupported_value

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


class ListPosition(NamedTuple):
    """The position of an object in a list: its unix second, then its number of insertion."""

    created_at: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The open interval of positions that a page may hold. None is no bound."""

    low: ListPosition | None = None
    high: ListPosition | None = None


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The parameters of a list request."""

    limit: int = DEFAULT_LIMIT
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None

    @property
    def reads_backwards(self) -> bool:
        """Return whether the page ends at the cursor `before` and is read backwards from there."""
        return self.before is not None and self.after is None

    @property
    def reads_oldest_first(self) -> bool:
        """Return whether the page is read from older to newer objects."""
        return (self.order == "asc") != self.reads_backwards

    def bounds(self, after: ListPosition | None, before: ListPosition | None) -> Bounds:
        """Return the interval between the cursors' positions, for either order of the list."""
        return Bounds(after, before) if self.order == "asc" else Bounds(before, after)


def parse_list_query(
    parameters: Mapping[str, str], *, default: int = DEFAULT_LIMIT, maximum: int = MAX_LIMIT
) -> ListQuery:
    """Return the list query of a query string.

    Other parameters are ignored: some servers need `api-version`, and clients send it everywhere.

    Raises:
        ApiError: A parameter has an invalid value.
    """
    order = parameters.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise unsupported_value("order", order, ("asc", "desc"))
    return ListQuery(
        limit=_limit(parameters.get("limit"), default, maximum),
        order="asc" if order == "asc" else "desc",
        after=parameters.get("after") or None,
        before=parameters.get("before") or None,
    )


def slice_ids(ids: Sequence[str], query: ListQuery) -> tuple[list[str], bool]:
    """Return the page of a short list that is held as a whole (oldest first), and whether there is more."""
    ordered = list(ids) if query.order == "asc" else list(reversed(ids))
    start = ordered.index(query.after) + 1 if query.after else 0
    end = ordered.index(query.before) if query.before else len(ordered)
    between = ordered[start:end]
    page = between[-query.limit :] if query.reads_backwards else between[: query.limit]
    return page, len(between) > query.limit


def _limit(text: str | None, default: int, maximum: int) -> int:
    if text is None:
        return default
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise ApiError(
            "Invalid type for 'limit': expected an integer, but got a string instead.",
            param="limit",
            code="invalid_type",
        )
    if len(digits) > 9 or int(text) > maximum:
        if not text.startswith("-"):
            raise ApiError(
                f"Invalid 'limit': integer above maximum value. Expected a value <= {maximum}, but got {text} instead.",
                param="limit",
                code="integer_above_max_value",
            )
        return _refuse_low_limit(text)
    return int(text) if int(text) >= 1 else _refuse_low_limit(text)


def _refuse_low_limit(text: str) -> int:
    # Newer endpoints of the API accept 0. The specification of this one says 1 to 100, so 0 is refused (assumed).
    raise ApiError(
        f"Invalid 'limit': integer below minimum value. Expected a value >= 1, but got {text} instead.",
        param="limit",
        code="integer_below_min_value",
    )
