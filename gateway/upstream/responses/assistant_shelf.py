"""The assistants of one shelf, which the gateway keeps itself: its upstream knows none."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from gateway.upstream.body_rendering import render_body
from gateway.upstream.dialects import Dialect
from gateway.upstream.responses.bound_upstream import not_found
from gateway.upstream.responses.chain_reads import gather_pages
from gateway.upstream.responses.kept_records import AssistantStore
from gateway.upstream.responses.response_requests import refuse_new_stores
from schema.contract.bodies import AssistantBody, AssistantUpdateBody
from schema.contract.errors import GatewayError
from schema.contract.keys import AssistantKey
from schema.contract.kinds import AssistantPageKey
from schema.contract.ports import OnResult, Results
from schema.contract.tolerant_decoder import TolerantDecoder
from schema.contract.wire import AssistantObject, Page

_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH = 24
_ASSISTANT = TolerantDecoder(AssistantObject, "assistant")
# Null does not clear these, as in the API before.
_NOT_CLEARED = frozenset({"model", "metadata", "tools", "tool_resources", "response_format"})


class AssistantShelf:
    """Reads and writes the assistants of one shelf.

    `confirm_accepted` raises a `GatewayError` for a caller whose credential the upstream does not accept: to such, the
    gateway shows nothing and keeps nothing.
    """

    def __init__(
        self, store: AssistantStore, shelf: str, dialect: Dialect, confirm_accepted: Callable[[], Awaitable[None]]
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._dialect = dialect
        self._confirm_accepted = confirm_accepted

    async def get(self, keys: Sequence[AssistantKey]) -> Results[AssistantObject]:
        """Get assistants."""
        try:
            await self._confirm_accepted()
            found = await self._store.find_assistants(self._shelf, [key.assistant_id for key in keys])
        except GatewayError as error:
            return [error] * len(keys)
        return [found.get(key.assistant_id) or not_found("assistant", key.assistant_id) for key in keys]

    async def list(
        self,
        keys: Sequence[AssistantPageKey],
        on_result: OnResult[AssistantPageKey, Page[AssistantObject]] | None = None,
    ) -> Results[Page[AssistantObject]]:
        """List assistants."""
        return await gather_pages(self._list_page, keys, on_result)

    async def find(self, assistant_id: str) -> AssistantObject:
        """Find an assistant.

        Raises:
            GatewayError: There is none with this id, or the ledger does not answer.
        """
        (found,) = await self.get([AssistantKey(assistant_id)])
        if isinstance(found, GatewayError):
            raise found
        return found

    async def create(self, body: AssistantBody) -> AssistantObject:
        """Create an assistant, whose id is like those of the API before."""
        fields = {"tools": [], "metadata": {}, **self._render(body)}
        await self._confirm_accepted()
        made = {"id": _new_id(), "created_at": int(time.time()), "object": "assistant", **_without_nulls(fields)}
        assistant = _ASSISTANT.decode(msgspec.json.encode(made))
        await self._store.add_assistant(self._shelf, assistant)
        return assistant

    async def update(self, key: AssistantKey, body: AssistantUpdateBody) -> AssistantObject:
        """Change the fields that are set. Null clears a field that may be null. Updates at once lose nothing."""
        fields = self._render(body)
        changes = {name: value for name, value in fields.items() if value is not None or name not in _NOT_CLEARED}

        def change(kept: AssistantObject) -> AssistantObject:
            before = msgspec.json.decode(msgspec.json.encode(kept))
            return _ASSISTANT.decode(msgspec.json.encode({**before, **changes}))

        await self._confirm_accepted()
        changed = await self._store.change_assistant(self._shelf, key.assistant_id, change)
        if changed is None:
            raise not_found("assistant", key.assistant_id)
        return changed

    async def delete(self, key: AssistantKey) -> None:
        """Delete an assistant. Its runs stay."""
        await self._confirm_accepted()
        if not await self._store.remove_assistant(self._shelf, key.assistant_id):
            raise not_found("assistant", key.assistant_id)

    async def _list_page(self, key: AssistantPageKey) -> Page[AssistantObject] | GatewayError:
        try:
            await self._confirm_accepted()
            page = await self._store.list_assistants(self._shelf, key.window)
        except GatewayError as error:
            return error
        return page or not_found("assistant", key.window.after or "")

    def _render(self, body: AssistantUpdateBody) -> dict[str, Any]:
        """Return the fields that a body sets.

        Raises:
            GatewayError: A field has no place in what the upstream speaks.
        """
        refuse_new_stores(body.tool_resources)
        fields: dict[str, Any] = msgspec.json.decode(render_body(body, self._dialect, send_nulls=True))
        return fields


def _new_id() -> str:
    return "asst_" + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
