"""The port of signed-in users: it checks the owner of all they reach, before the cache and before any upstream call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from gateway.cache.cached_threads_api import CachedThreadsApi, OperationResponses
from gateway.identity.permissions import KINDS_WITH_HIDDEN_FIELDS, Permissions
from gateway.identity.principal import Principal
from gateway.ledger.file_access import FileAccess
from gateway.ledger.ledger_store import MadeFile, ObjectKind
from gateway.ledger.ownership import Ownership
from gateway.ledger.seen_files import find_made_files
from gateway.ledger.thread_access import Scope, ThreadAccess
from gateway.ledger.thread_creation import ThreadCreation
from gateway.telemetry.audit import audit_refused_access
from schema.contract.bodies import Body
from schema.contract.cost import Cost
from schema.contract.encoded_json import EncodedJson
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, FileKey
from schema.contract.kinds import MESSAGES, RUN_STEPS, AnyKind, AssistantPageKey, Kind, NodeKeyT, ObjectT, PageKeyT
from schema.contract.ports import Capabilities, OnResult, ResponseKey, Results, ThreadsApi
from schema.contract.run_streams import RunStream
from schema.contract.wire import Page
from schema.contract.writes import (
    CREATE_THREAD,
    CREATE_THREAD_AND_RUN,
    DELETE_FILE,
    DELETE_THREAD,
    AnyWrite,
    BodyT,
    ResultT,
    Write,
    WriteKeyT,
)

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

OnPage: TypeAlias = OnResult[PageKeyT, Page[ObjectT]] | None

WatchStream: TypeAlias = Callable[[RunStream], RunStream]

FILE_MAKERS: frozenset[AnyKind] = frozenset({MESSAGES, RUN_STEPS})
"""The kinds of objects that may name files which runs made."""

THREAD_CREATIONS: frozenset[AnyWrite] = frozenset({CREATE_THREAD, CREATE_THREAD_AND_RUN})


class OpenPort(Protocol):
    """Opens the cached port of a scope. All ports of an operation count in one cost."""

    def __call__(self, scope: str, watch_stream: WatchStream = ..., /) -> CachedThreadsApi:
        """Open the port. The streams of the runs that it starts are recorded as `watch_stream` returns them."""


class OwnedThreadsApi:
    """The `ThreadsApi` of one operation of a signed-in user.

    A key of a thread or a file that the user may not reach has the error of an unknown one. Every other key goes to
    the port of its scope: that of the owner, whoever calls, or the gateway's for assistants. What the user may not see
    is removed behind these ports, so that all users share them. `responses` are the user's own; one is used only while
    each of its threads and files would be found as before.

    Files that runs made are recorded as their thread's owner's before anybody is shown what names them.
    """

    def __init__(
        self,
        principal: Principal,
        access: ThreadAccess,
        files: FileAccess,
        ownership: Ownership,
        permissions: Permissions,
        *,
        upstream: ThreadsApi,
        responses: OperationResponses,
        open_port: OpenPort,
    ) -> None:
        """Share the cost of `upstream`, the port below those that `open_port` opens."""
        self._upstream = upstream
        self._principal = principal
        self._access = access
        self._files = files
        self._ownership = ownership
        self._permissions = permissions
        self._responses = responses
        self._open_port = open_port
        self._ports: dict[str, CachedThreadsApi] = {}

    @property
    def capabilities(self) -> Capabilities:
        return self._upstream.capabilities

    @property
    def cost(self) -> Cost:
        return self._upstream.cost

    async def find_response(self, response_key: ResponseKey) -> EncodedJson | None:
        scopes = self._responses.find_object_scopes(response_key)
        if (
            scopes is None
            or not await self._access.are_unchanged(scopes)
            or not await self._files.are_unchanged(scopes)
        ):
            return None
        return await self._responses.find_data(response_key)

    def store_response(self, response_key: ResponseKey, data: EncodedJson) -> None:
        thread_scopes, file_scopes = self._access.to_object_scopes(), self._files.to_object_scopes()
        if thread_scopes is not None and file_scopes is not None:
            recorded = [port.recorded for port in self._ports.values()]
            self._responses.store_data(response_key, data, recorded, thread_scopes | file_scopes)

    def record_cited(self, file_ids: Iterable[str]) -> None:
        self._files.record_cited(file_ids)

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        def get_in_scope(port: ThreadsApi, some: Sequence[NodeKeyT]) -> Awaitable[Results[ObjectT]]:
            return port.get(kind, some)

        results = await self._read(keys, get_in_scope)
        if kind in FILE_MAKERS:
            await self._wait_for_all(map(self._record_made_files, keys, results))
        if not self._hides_fields(kind):
            return results
        return [self._permissions.redact_object(kind, result) for result in results]

    async def list(
        self,
        kind: Kind[Any, ObjectT, PageKeyT],
        keys: Sequence[PageKeyT],
        *,
        on_result: OnResult[PageKeyT, Page[ObjectT]] | None = None,
    ) -> Results[Page[ObjectT]]:
        if kind in FILE_MAKERS:
            return await self._list_file_makers(kind, keys, on_result)
        if kind in KINDS_WITH_HIDDEN_FIELDS and not self._permissions.sees_all:
            return await self._list_redacted(kind, keys, on_result)
        return await self._list(kind, keys, on_result)

    async def write(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        """Send a write in the scope of what it changes. Raises a `GatewayError` before any call if it is refused."""
        await self._check_write(operation, body)
        if operation in THREAD_CREATIONS:
            result = await self._create_thread(operation, key, body)
        elif key is None or isinstance(key, AssistantKey):
            result = await self._port(self._access.gateway_scope).write(operation, key, body)
        elif isinstance(key, FileKey):
            file_id = key.file_id
            result = await self._port(await self._files.find_scope(file_id)).write(operation, key, body)
            if operation is DELETE_FILE:
                self._files.record_deleted(file_id)
                await self._ownership.record_deleted(ObjectKind.FILE, file_id)
        else:
            scope = await self._access.find_scope(key.thread_id)
            result = await self._port(scope).write(operation, key, body)
            await self._wait_for_all([self._record_made_files(key, result)])
            if operation is DELETE_THREAD:
                self._access.record_deleted(key.thread_id)
                await self._ownership.record_deleted(ObjectKind.THREAD, key.thread_id)
        return self._permissions.redact_result(operation, result)

    async def _check_write(self, operation: AnyWrite, body: Body | None) -> None:
        """Check a write and the files that its body names, before any call."""
        try:
            self._permissions.check_write(operation, body)
            if named_files := self._permissions.find_named_files(body):
                await self._files.check_named(named_files)
        except GatewayError as error:
            if error.code is not ErrorCode.LEDGER_UNAVAILABLE:
                audit_refused_access(self._principal, f"{operation.name} with what only an admin may write or name")
            raise

    async def _create_thread(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        """Send a write that creates a thread, once the intent is recorded. Its owner is recorded before the answer."""
        access = self._access
        creation = ThreadCreation(await self._ownership.begin_create(access.user.owner, ObjectKind.THREAD))
        try:
            result = await self._open_port(access.own_scope, creation.watch_stream).write(operation, key, body)
        except GatewayError as error:
            creation.record_failure(error)
            raise
        await creation.record_result(result)
        if creation.thread_id is not None:
            access.record_created(creation.thread_id)
        return result

    async def _list(
        self, kind: Kind[Any, ObjectT, PageKeyT], keys: Sequence[PageKeyT], on_result: OnPage[PageKeyT, ObjectT]
    ) -> Results[Page[ObjectT]]:
        def list_in_scope(port: ThreadsApi, some: Sequence[PageKeyT]) -> Awaitable[Results[Page[ObjectT]]]:
            return port.list(kind, some, on_result=on_result)

        return await self._read(keys, list_in_scope, on_result)

    async def _list_redacted(
        self, kind: Kind[Any, ObjectT, PageKeyT], keys: Sequence[PageKeyT], on_result: OnPage[PageKeyT, ObjectT]
    ) -> Results[Page[ObjectT]]:
        redacted: dict[PageKeyT, Page[ObjectT] | GatewayError] = {}

        def redact(key: PageKeyT, result: Page[ObjectT] | GatewayError) -> Page[ObjectT] | GatewayError:
            if key not in redacted:  # a result that is reported early is the one that is returned
                redacted[key] = self._permissions.redact_page(kind, result)
            return redacted[key]

        def report(key: PageKeyT, result: Page[ObjectT] | GatewayError) -> None:
            if on_result is not None:
                on_result(key, redact(key, result))

        results = await self._list(kind, keys, report)
        return [redact(key, result) for key, result in zip(keys, results, strict=True)]

    async def _list_file_makers(
        self, kind: Kind[Any, ObjectT, PageKeyT], keys: Sequence[PageKeyT], on_result: OnPage[PageKeyT, ObjectT]
    ) -> Results[Page[ObjectT]]:
        """List pages that may name files which runs made. A page with new ones is reported once they are recorded."""
        recordings: dict[PageKeyT, Awaitable[None] | None] = {}

        def record(key: PageKeyT, result: Page[ObjectT] | GatewayError) -> Awaitable[None] | None:
            if key not in recordings:
                recordings[key] = self._record_made_files(key, result)
            return recordings[key]

        def report(key: PageKeyT, result: Page[ObjectT] | GatewayError) -> None:
            if record(key, result) is None and on_result is not None:
                on_result(key, result)

        results = await self._list(kind, keys, report)
        await self._wait_for_all(map(record, keys, results))
        return results

    def _record_made_files(self, key: Any, result: object) -> Awaitable[None] | None:
        """Record the files that runs made, in a result in a thread. Returns the end of the first try, if any."""
        if not (file_ids := list(find_made_files(result))):
            return None
        owner = self._access.get_owner(key.thread_id)
        if owner is None:
            return None
        return self._ownership.record_made_files([MadeFile(each, key.thread_id, owner) for each in file_ids])

    async def _wait_for_all(self, recordings: Iterable[Awaitable[None] | None]) -> None:
        for recording in list(recordings):
            if recording is not None:
                await recording

    async def _read(
        self,
        keys: Sequence[KeyT],
        read: Callable[[ThreadsApi, Sequence[KeyT]], Awaitable[Results[ValueT]]],
        on_result: OnResult[KeyT, ValueT] | None = None,
    ) -> Results[ValueT]:
        """Read each key in its scope, all scopes at the same time. A refused key has its error at once."""
        scopes = dict(zip(keys, await self._find_scopes(keys), strict=True))
        results: dict[KeyT, ValueT | GatewayError] = {}
        allowed: dict[str, list[KeyT]] = {}
        for key, scope in scopes.items():
            if isinstance(scope, str):
                allowed.setdefault(scope, []).append(key)
            else:
                results[key] = scope
                if on_result is not None:
                    on_result(key, scope)
        if len(allowed) == 1 and not results:
            (scope,) = allowed
            return await read(self._port(scope), keys)
        parts = await asyncio.gather(*(read(self._port(scope), some) for scope, some in allowed.items()))
        for some, part in zip(allowed.values(), parts, strict=True):
            results.update(zip(some, part, strict=True))
        return [results[key] for key in keys]

    async def _find_scopes(self, keys: Sequence[Any]) -> Sequence[Scope]:
        if not keys or isinstance(keys[0], AssistantKey | AssistantPageKey):
            return [self._access.gateway_scope] * len(keys)
        if isinstance(keys[0], FileKey):
            files = await self._files.find_scopes([key.file_id for key in keys])
            return [files[key.file_id] for key in keys]
        found = await self._access.find_scopes([key.thread_id for key in keys])
        return [found[key.thread_id] for key in keys]

    def _hides_fields(self, kind: AnyKind) -> bool:
        return kind in KINDS_WITH_HIDDEN_FIELDS and not self._permissions.sees_all

    def _port(self, scope: str) -> CachedThreadsApi:
        port = self._ports.get(scope)
        if port is None:
            port = self._ports[scope] = self._open_port(scope)
        return port
