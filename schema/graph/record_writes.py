"""The part of a mutation that writes the record of a thread: fields that the gateway keeps, and never sends upstream.

It is written behind the upstream's part. If it fails then, the mutation has taken place all the same: its payload has
the object, and a user error with the code `NOT_KEPT` names each field that was not kept. A GraphQL error would make
clients drop the payload, and a client that tries again would make a second thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET
from pydantic import ValidationError

from schema.contract.bodies import RecordBody
from schema.contract.errors import GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.thread_records import RecordUpdate
from schema.contract.viewer import ViewerApi, unsupported_without_ledger
from schema.engine.context import Info
from schema.graph.input_parts import present_fields
from schema.graph.user_errors import (
    MutationRefusedError,
    UserError,
    UserErrorCode,
    user_errors_from_validation_error,
)

_INPUT_NAMES = {"title": "title", "is_archived": "isArchived"}


class RecordWrite:
    """The record's part of one mutation. `viewer` is None if the input has no such field.

    `path` leads to the fields in the input, for the errors.
    """

    def __init__(self, viewer: ViewerApi | None, update: RecordUpdate, path: Sequence[str] = ()) -> None:
        self._viewer = viewer
        self._update = update
        self._path = path

    def __bool__(self) -> bool:
        """Whether anything is to be written."""
        return self._viewer is not None

    async def send(self, key: ThreadKey) -> None:
        """Write it alone, as all that the mutation does.

        Raises:
            GatewayError: Nothing was written.
        """
        await self._send(key, is_part=False)

    async def send_behind(self, key: ThreadKey) -> list[UserError]:
        """Write it after the upstream's part has taken place. Returns an error for each field that was not kept."""
        try:
            await self._send(key, is_part=True)
        except GatewayError as error:
            message = f"The rest has taken place, but this was not kept; try it with updateThread. {error.message}"
            return _errors_for_each(self._update, UserErrorCode.NOT_KEPT, message, self._path)
        return []

    async def _send(self, key: ThreadKey, *, is_part: bool) -> None:
        if self._viewer is not None:
            await self._viewer.update_record(key, self._update, is_part=is_part)


def read_record_write(info: Info, source: Any, *path: str, keep_nulls: bool = False) -> RecordWrite:
    """Read the record's part of an input, which stands at `path` in the input of the mutation.

    Raises:
        MutationRefusedError: A value is refused, or this gateway keeps no records.
    """
    fields = {name: value for name, value in present_fields(source, kept=True) if keep_nulls or value is not None}
    try:
        body = RecordBody.model_validate(fields)
    except ValidationError as error:
        raise MutationRefusedError(
            [
                UserError(code=one.code, message=one.message, field=[*path, *(one.field or ())])
                for one in user_errors_from_validation_error(error)
            ]
        ) from None
    update = RecordUpdate(
        title=body.title if "title" in fields else UNSET,
        is_archived=UNSET if body.is_archived is None else body.is_archived,
    )
    if not update:
        return RecordWrite(None, update)
    viewer = info.context.read_viewer()
    if viewer is None or not viewer.api.keeps_records:
        message = unsupported_without_ledger("What the gateway keeps of a thread").message
        raise MutationRefusedError(_errors_for_each(update, UserErrorCode.UNSUPPORTED, message, path))
    return RecordWrite(viewer.api, update, path)


def _errors_for_each(update: RecordUpdate, code: UserErrorCode, message: str, path: Sequence[str]) -> list[UserError]:
    """Make an error for each field that the update changes."""
    changes = zip(update._fields, update, strict=True)
    names = [_INPUT_NAMES[name] for name, value in changes if value is not UNSET]
    return [UserError(code=code, message=message, field=[*path, name]) for name in names]
