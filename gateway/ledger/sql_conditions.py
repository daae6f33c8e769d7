"""Conditions that both databases understand, each in its own words. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Text, any_, bindparam, func, select

from gateway.ledger.storable_text import escape_text


def is_among(
    column: ColumnElement[Any], values: Iterable[str] | Iterable[int], *, postgresql: bool
) -> ColumnElement[bool]:
    """Compare with any number of texts or numbers by one parameter, so that the statement is always the same."""
    listed = [escape_text(value) if isinstance(value, str) else value for value in values]
    if postgresql:
        item_type = BigInteger if isinstance(column.type, BigInteger) else Text
        return column == any_(bindparam(None, listed, type_=ARRAY(item_type)))
    items = func.json_each(bindparam(None, json.dumps(listed))).table_valued("value")
    return column.in_(select(items.c.value))
