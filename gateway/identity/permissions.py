"""The rights of a signed-in user beyond the ownership of threads and files: options of runs, instructions. Pure.

Threads, all that is found through a thread, and files are checked by their keys. This module decides the rest: vector
stores that a body names, options of a run, writes of assistants, and the instructions behind the answers. It finds the
files that a body names, whose owners are to be looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
from pydantic.alias_generators import to_camel

from schema.contract.bodies import Body
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import ASSISTANTS, RUNS, AnyKind
from schema.contract.run_events import RunEvent, SnapshotChange, StatusChange
from schema.contract.wire import NULL, AssistantObject, Page, RunObject
from schema.contract.writes import (
    CREATE_ASSISTANT,
    CREATE_RUN,
    CREATE_THREAD_AND_RUN,
    DELETE_ASSISTANT,
    UPDATE_ASSISTANT,
    AnyWrite,
)

ValueT = TypeVar("ValueT")

ASSISTANT_WRITES = frozenset({CREATE_ASSISTANT, UPDATE_ASSISTANT, DELETE_ASSISTANT})
RUN_CREATIONS = frozenset({CREATE_RUN, CREATE_THREAD_AND_RUN})
RUN_OVERRIDES = ("model", "instructions", "tools", "tool_resources")
"""Options of a run that replace those of its assistant. (Those of createThreadAndRun's thread are the thread's.)"""

FILE_FIELDS = frozenset({"file_id", "file_ids"})
VECTOR_STORE_FIELDS = frozenset({"vector_store_ids"})

_HIDDEN: Mapping[type[Any], Mapping[str, Any]] = {
    AssistantObject: {"instructions": None, "tool_resources": NULL, "file_ids": None, "metadata": None},
    # The resources and files of a run are those of its assistant.
    RunObject: {"instructions": None, "tools": None, "tool_resources": NULL, "file_ids": None},
}
"""The fields that only admins see, with the values that stand in their place."""

KINDS_WITH_HIDDEN_FIELDS: frozenset[AnyKind] = frozenset({ASSISTANTS, RUNS})


class NamedObject(NamedTuple):
    """An object that a body names by its upstream id. `path` is its place in the body, its parts joined by dots."""

    field: str
    upstream_id: str
    path: str


@dataclass(frozen=True, slots=True)
class Permissions:
    """The rights of one user.

    An admin may do and see everything. `may_override_runs` and `sees_instructions` are what the gateway allows all
    others (`GATEWAY_RUN_OVERRIDES`, `GATEWAY_SHOW_INSTRUCTIONS`).
    """

    is_admin: bool = False
    may_override_runs: bool = False
    sees_instructions: bool = False

    def check_write(self, operation: AnyWrite, body: Body | None) -> None:
        """Check a write before any call. The owners of the thread in its key and of named files are not checked here.

        Raises:
            GatewayError: `FORBIDDEN` for a write or a field that is an admin's.
        """
        if self.is_admin:
            return
        if operation in ASSISTANT_WRITES:
            raise GatewayError(ErrorCode.FORBIDDEN, "Only an admin may create, change or delete assistants.")
        if body is None:
            return
        if operation in RUN_CREATIONS and not self.may_override_runs:
            for name in RUN_OVERRIDES:
                if getattr(body, name, None) is not None:
                    raise _admin_field_error(name, to_camel(name))
        for named in find_named_objects(body):
            if named.field in VECTOR_STORE_FIELDS:
                raise _admin_field_error(named.path, to_camel(named.field))

    def find_named_files(self, body: Body | None) -> list[NamedObject]:
        """Find the files that a body names, whose owners are to be checked. Empty for an admin, who may name all."""
        if self.is_admin or body is None:
            return []
        return [named for named in find_named_objects(body) if named.field in FILE_FIELDS]

    def redact_object(self, kind: AnyKind, obj: ValueT) -> ValueT:
        """Return an object of a kind as the user sees it: without instructions and their like. Errors stay."""
        return self._redact(obj) if kind in KINDS_WITH_HIDDEN_FIELDS else obj

    def redact_page(self, kind: AnyKind, page: ValueT) -> ValueT:
        """Return a page of a kind as the user sees it. Errors stay."""
        if self.sees_all or kind not in KINDS_WITH_HIDDEN_FIELDS or not isinstance(page, Page):
            return page
        return cast("ValueT", msgspec.structs.replace(page, data=[self._redact(obj) for obj in page.data]))

    def redact_result(self, operation: AnyWrite, result: ValueT) -> ValueT:  # noqa: ARG002 - as for reads
        """Return the result of a write as the user sees it."""
        return self._redact(result)

    def redact_event(self, event: RunEvent) -> RunEvent:
        """Return an event of a run or a thread as the user sees it."""
        if self.sees_all or not isinstance(event.change, SnapshotChange | StatusChange):
            return event
        change = msgspec.structs.replace(event.change, run=self._redact(event.change.run))
        return replace(event, change=change)

    @property
    def sees_all(self) -> bool:
        """Whether nothing is hidden from the user."""
        return self.is_admin or self.sees_instructions

    def _redact(self, obj: ValueT) -> ValueT:
        hidden = None if self.sees_all else _HIDDEN.get(type(obj))
        return obj if hidden is None else cast("ValueT", msgspec.structs.replace(cast("Any", obj), **hidden))


def find_named_objects(body: Body) -> Iterator[NamedObject]:
    """Find the files and vector stores that a body names, at any depth.

    Parts of the caller's own form (metadata, JSON Schemas) name nothing, whatever their keys.
    """
    return _find_in_body(body, "")


def _find_in_body(body: Body, prefix: str) -> Iterator[NamedObject]:
    for name in type(body).model_fields:
        value = getattr(body, name)
        path = f"{prefix}{name}"
        if name in FILE_FIELDS or name in VECTOR_STORE_FIELDS:
            if isinstance(value, str):
                yield NamedObject(name, value, path)
            else:
                yield from (NamedObject(name, each, f"{path}.{index}") for index, each in enumerate(value or ()))
        elif isinstance(value, Body):
            yield from _find_in_body(value, f"{path}.")
        elif isinstance(value, list):
            for index, part in enumerate(value):
                if isinstance(part, Body):
                    yield from _find_in_body(part, f"{path}.{index}.")


def _admin_field_error(path: str, name: str) -> GatewayError:
    return GatewayError(ErrorCode.FORBIDDEN, f"Only an admin may set '{name}'.", argument=path)
