"""Conversion of `ID` arguments to keys: from a global ID, or from an upstream id if that identifies the object."""

from __future__ import annotations

from typing import TypeVar, cast

from schema.contract.errors import bad_argument
from schema.contract.keys import (
    TYPE_NAMES,
    AssistantKey,
    FileKey,
    InvalidOpaqueTextError,
    NodeKey,
    RunKey,
    ThreadKey,
    from_global_id,
    is_upstream_id,
    looks_like_damaged_global_id,
)

KeyT = TypeVar("KeyT", bound=NodeKey)

UPSTREAM_ID_SUFFICES = frozenset({ThreadKey, AssistantKey, FileKey})
"""Key types with one part: the upstream finds these objects by their id alone."""


def read_id(key_type: type[KeyT], text: str, argument: str = "id") -> KeyT:
    """Read an `ID` argument as a key of one type.

    Raises:
        GatewayError: The text is no such id; the error names `argument`.
    """
    type_name = TYPE_NAMES[cast("type[NodeKey]", key_type)]
    try:
        key = from_global_id(text)
    except InvalidOpaqueTextError:
        if key_type in UPSTREAM_ID_SUFFICES and is_upstream_id(text) and not looks_like_damaged_global_id(text):
            return cast("KeyT", key_type._make((text,)))
        expected = (
            f"the global ID or the upstream id of a {type_name}"
            if key_type in UPSTREAM_ID_SUFFICES
            else f"the global ID of a {type_name} (an upstream id does not say which thread it belongs to)"
        )
        raise bad_argument(argument, expected, text) from None
    if not isinstance(key, key_type):
        raise bad_argument(argument, f"the global ID of a {type_name}, not of a {TYPE_NAMES[type(key)]}", text)
    return key


def read_node_id(text: str, argument: str = "id") -> NodeKey:
    """Read an `ID` argument for an object of any type: a global ID, because only that names the type."""
    try:
        return from_global_id(text)
    except InvalidOpaqueTextError:
        raise bad_argument(argument, "a global ID", text) from None  # short: `nodes` has one for each of its ids


def read_run_id_within(thread: ThreadKey, text: str, argument: str = "runId") -> str:
    """Read an `ID` argument for a run of a known thread: its global ID or its upstream id."""
    try:
        key = from_global_id(text)
    except InvalidOpaqueTextError:
        if is_upstream_id(text) and not looks_like_damaged_global_id(text):
            return text
        raise bad_argument(argument, "the global ID or the upstream id of a Run", text) from None
    if not isinstance(key, RunKey) or key.thread_id != thread.thread_id:
        raise bad_argument(argument, f"a Run of thread {thread.thread_id}", text)
    return key.run_id
