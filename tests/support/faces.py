"""Both faces of the emulator behind one client, so that one body of a journey runs over either.

On the face of conversations and responses there are no assistants and no runs. Whatever a journey does there with
`/assistants` and `/threads`, another gateway does for it, which shares the records of the one that is tested.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec
import pytest
from yarl import URL

from gateway.identity.principal import UpstreamIdentity, credential_digest
from gateway.ledger.memory_kept_records import make_memory_records
from gateway.upstream.responses.kept_records import KeptRecords
from gateway.upstream.responses.responses_client import BoundResponsesApi, ResponsesClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract import bodies, writes
from schema.contract.errors import GatewayError
from schema.contract.keys import AssistantKey, MessageKey, RunKey, ThreadKey
from schema.contract.kinds import (
    ASSISTANTS,
    MESSAGES,
    RUN_STEPS,
    RUNS,
    THREADS,
    AnyKind,
    AssistantPageKey,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
)
from schema.contract.paging import Window
from tests.support.emulator import Emulator

FACES = ("assistants", "responses")

both_faces = pytest.mark.both_faces
"""Runs the tests of a module over both faces: over the first one in the gate, over both in a full run."""

both_faces_always = pytest.mark.both_faces(in_the_gate=True)
"""Runs the tests of a module over both faces in the gate too."""

counts_calls = pytest.mark.first_face("counts calls by the names that they have on the first face")
unmapped = pytest.mark.first_face("needs what conversations and responses have no place for")
cancelled_at_once = pytest.mark.first_face("a response is cancelled at once, and never cancelling")
never_expires = pytest.mark.first_face("a response does not expire; the gateway's clock ends a run that waits")
second_dialect = pytest.mark.first_face("brings a gateway of its own, for another dialect")

_PATHS: Mapping[str, tuple[writes.AnyWrite, type[bodies.Body] | None]] = {
    "/threads": (writes.CREATE_THREAD, bodies.ThreadBody),
    "/threads/runs": (writes.CREATE_THREAD_AND_RUN, bodies.ThreadAndRunBody),
    "/threads/X": (writes.UPDATE_THREAD, bodies.ThreadUpdateBody),
    "/threads/X/messages": (writes.CREATE_MESSAGE, bodies.MessageBody),
    "/threads/X/runs": (writes.CREATE_RUN, bodies.RunBody),
    "/threads/X/runs/X/cancel": (writes.CANCEL_RUN, None),
    "/threads/X/runs/X/submit_tool_outputs": (writes.SUBMIT_TOOL_OUTPUTS, bodies.ToolOutputsBody),
    "/assistants": (writes.CREATE_ASSISTANT, bodies.AssistantBody),
    "/assistants/X": (writes.UPDATE_ASSISTANT, bodies.AssistantUpdateBody),
}
_DELETIONS: Mapping[str, writes.AnyWrite] = {
    "/threads/X": writes.DELETE_THREAD,
    "/threads/X/messages/X": writes.DELETE_MESSAGE,
    "/assistants/X": writes.DELETE_ASSISTANT,
}
_KEYS: Mapping[str, type[Any]] = {
    "threads": ThreadKey,
    "messages": MessageKey,
    "runs": RunKey,
    "assistants": AssistantKey,
}
_LISTS: Mapping[str, tuple[AnyKind, type[Any]]] = {
    "/assistants": (ASSISTANTS, AssistantPageKey),
    "/threads/X/messages": (MESSAGES, MessagePageKey),
    "/threads/X/runs": (RUNS, RunPageKey),
    "/threads/X/runs/X/steps": (RUN_STEPS, RunStepPageKey),
}
_GETS: Mapping[str, AnyKind] = {
    "/threads/X": THREADS,
    "/threads/X/messages/X": MESSAGES,
    "/threads/X/runs/X": RUNS,
    "/assistants/X": ASSISTANTS,
}
_COLLECTION = re.compile(r"/(threads|messages|runs|steps|assistants)/((?!runs$)[^/]+)")


@dataclass
class SuccessorEmulator(Emulator):
    """The emulator, whose client speaks of threads and runs although they are conversations and responses."""

    client: ResponsesClient = field(kw_only=True)
    kept: KeptRecords = field(kw_only=True)

    async def send(self, method: str, path: str, *, key: str = "", version: str | None = None, **options: Any) -> Any:
        url = URL(path)
        if not url.path.startswith(("/threads", "/assistants")):
            return await super().send(method, path, **({"key": key} if key else {}), version=version, **options)
        port = self._port(key or _KEY)
        pattern, ids = _COLLECTION.sub(r"/\1/X", url.path), [each for _, each in _COLLECTION.findall(url.path)]
        if method == "POST":
            operation, body_type = _PATHS[pattern]
            body = None if body_type is None else body_type.model_validate(_normalise(options["json"]))
            return _plain(await port.write(operation, self._to_key(pattern, ids), body))
        if method == "DELETE":
            await port.write(_DELETIONS[pattern], self._to_key(pattern, ids), None)
            return {"deleted": True}
        if pattern in _GETS:
            (found,) = await port.get(_GETS[pattern], [self._to_key(pattern, ids)])
            return _plain(found)
        kind, key_type = _LISTS[pattern]
        window = Window(int(url.query.get("limit", 20)), url.query.get("order", "desc"), url.query.get("after"))  # type: ignore[arg-type]
        filters = [url.query.get("run_id")] if kind is MESSAGES else []
        (page,) = await port.list(kind, [key_type(*ids, *filters, window)])
        return _plain(page)

    def _port(self, key: str) -> BoundResponsesApi:
        authorization = f"Bearer {key}"
        shelf = credential_digest(authorization, UpstreamIdentity(self.url).lasting)
        return self.client.bind(authorization, shelf=shelf)

    @staticmethod
    def _to_key(pattern: str, ids: list[str]) -> Any:
        named = re.findall(r"/(\w+)/X", pattern)
        return _KEYS[named[-1]](*ids) if named else None


_KEY = "test-key"


def _normalise(body: Any) -> Any:
    """Write texts as lists of parts, as the bodies of the gateway have them, and leave out nulls."""
    if isinstance(body, list):
        return [_normalise(each) for each in body]
    if not isinstance(body, dict):
        return body
    body = {name: _normalise(value) for name, value in body.items() if value is not None and name != "stream"}
    if isinstance(body.get("content"), str):
        body["content"] = [{"type": "text", "text": body["content"]}]
    return body


def _plain(found: Any) -> Any:
    """Return what a client of the API would get."""
    assert not isinstance(found, GatewayError), found
    shown = json.loads(msgspec.json.encode(found))
    if "data" in shown:
        ends = [shown["data"][place]["id"] if shown["data"] else None for place in (0, -1)]
        shown |= {"first_id": ends[0], "last_id": ends[1]}
    return shown


@asynccontextmanager
async def as_successor(emulator: Emulator) -> AsyncIterator[SuccessorEmulator]:
    """Show an emulator's second face as its first one."""
    kept = make_memory_records()
    options = UpstreamOptions(emulator.url, "openai-responses")
    same = {each.name: getattr(emulator, each.name) for each in fields(emulator)}
    async with ResponsesClient(options, kept) as client:
        yield SuccessorEmulator(**same, client=client, kept=kept)
