"""The port of signed-in users: it checks the owner of every thread, before the cache and before any upstream call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from gateway.cache.cached_threads_api import CachedThreadsApi, OperationResponses
from gateway.identity.permissions import KINDS_WITH_HIDDEN_FIELDS, Permissions
from gateway.identity.principal import Principal
from gateway.ledger.ownership import Ownership
from gateway.ledger.thread_access import ThreadAccess, ThreadScope, file_not_found
from gateway.ledger.thread_creation import ThreadCreation
from gateway.telemetry.audit import audit_refused_access
from schema.contract.cost import Cost
from schema.contract.encoded_json import EncodedJson
from schema.contract.errors import GatewayError
from schema.contract.keys import AssistantKey, FileKey
from schema.contract.kinds import AnyKind, AssistantPageKey, Kind, NodeKeyT, ObjectT, PageKeyT
from schema.contract.ports import Capabilities, OnResult, ResponseKey, Results, ThreadsApi
from schema.contract.run_streams import RunStream
from schema.contract.wire import Page
from schema.contract.writes import (
    CREATE_THREAD,
    CREATE_THREAD_AND_RUN,
    DELETE_THREAD,
    AnyWrite,
    BodyT,
    ResultT,
    Write,
    WriteKeyT,
)

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

WatchStream: TypeAlias = Callable[[RunStream], RunStream]

THREAD_CREATIONS: frozenset[AnyWrite] = frozenset({CREATE_THREAD, CREATE_THREAD_AND_RUN})


class OpenPort(Protocol):
    """Opens the cached port of a scope. All ports of an operation count in one cost."""

    def __call__(self, scope: str, watch_stream: WatchStream = ..., /) -> CachedThreadsApi:
        """Open the port. The streams of the runs that it starts are recorded as `watch_stream` returns them."""


class OwnedThreadsApi:
    """The `ThreadsApi` of one operation of a signed-in user.

    A key of a thread that the user may not reach has the error of an unknown thread. Every other key goes to the port
    of its scope: that of the thread's owner, whoever calls, or the gateway's for assistants. What the user may not see
    is removed behind these ports, so that all users share them. `responses` are the user's own; one is used only while
    each of its threads would be found as before.
    """

    def __init__(
        self,
        principal: Principal,
        access: ThreadAccess,
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
        thread_scopes = self._responses.find_thread_scopes(response_key)
        if thread_scopes is None or not await self._access.are_unchanged(thread_scopes):
            return None
        return await self._responses.find_data(response_key)

    def store_response(self, response_key: ResponseKey, data: EncodedJson) -> None:
        thread_scopes = self._access.to_thread_scopes()
        if thread_scopes is not None:
            recorded = [port.recorded for port in self._ports.values()]
            self._responses.store_data(response_key, data, recorded, thread_scopes)

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        def get_in_scope(port: ThreadsApi, some: Sequence[NodeKeyT]) -> Awaitable[Results[ObjectT]]:
            return port.get(kind, some)

        results = await self._read(keys, get_in_scope)
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
        redacted: dict[PageKeyT, Page[ObjectT] | GatewayError] = {}

        def redact(key: PageKeyT, result: Page[ObjectT] | GatewayError) -> Page[ObjectT] | GatewayError:
            if key not in redacted:  # a result that is reported early is the one that is returned
                redacted[key] = self._permissions.redact_page(kind, result)
            return redacted[key]

        listener = on_result
        if on_result is not None and self._hides_fields(kind):

            def listener(key: PageKeyT, result: Page[ObjectT] | GatewayError) -> None:
                on_result(key, redact(key, result))

        def list_in_scope(port: ThreadsApi, some: Sequence[PageKeyT]) -> Awaitable[Results[Page[ObjectT]]]:
            return port.list(kind, some, on_result=listener)

        results = await self._read(keys, list_in_scope, listener)
        if not self._hides_fields(kind):
            return results
        return [redact(key, result) for key, result in zip(keys, results, strict=True)]

    async def write(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        """Send a write in the scope of what it changes. Raises a `GatewayError` before any call if it is refused."""
        try:
            self._permissions.check_write(operation, body)
        except GatewayError:
            audit_refused_access(self._principal, f"{operation.name} with what only an admin may write or name")
            raise
        if operation in THREAD_CREATIONS:
            result = await self._create_thread(operation, key, body)
        elif key is None or isinstance(key, AssistantKey):
            result = await self._port(self._access.gateway_scope).write(operation, key, body)
        elif isinstance(key, FileKey):
            (file_scope,) = self._find_file_scopes([key])
            if isinstance(file_scope, GatewayError):
                raise file_scope
            result = await self._port(file_scope).write(operation, key, body)
        else:
            scope = await self._access.find_scope(key.thread_id)
            result = await self._port(scope).write(operation, key, body)
            if operation is DELETE_THREAD:
                self._access.record_deleted(key.thread_id)
                await self._ownership.record_deleted(key.thread_id)
        return self._permissions.redact_result(operation, result)

    async def _create_thread(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        """Send a write that creates a thread, once the intent is recorded. Its owner is recorded before the answer."""
        access = self._access
        creation = ThreadCreation(await self._ownership.begin_create(access.user.owner))
        try:
            result = await self._open_port(access.own_scope, creation.watch_stream).write(operation, key, body)
        except GatewayError as error:
            creation.record_failure(error)
            raise
        await creation.record_result(result)
        if creation.thread_id is not None:
            access.record_created(creation.thread_id)
        return result

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

    async def _find_scopes(self, keys: Sequence[Any]) -> Sequence[ThreadScope]:
        if not keys or isinstance(keys[0], AssistantKey | AssistantPageKey):
            return [self._access.gateway_scope] * len(keys)
        if isinstance(keys[0], FileKey):
            return self._find_file_scopes(keys)
        found = await self._access.find_scopes([key.thread_id for key in keys])
        return [found[key.thread_id] for key in keys]

    def _find_file_scopes(self, keys: Sequence[FileKey]) -> Sequence[ThreadScope]:
        """Find the scopes of files. They have no owners yet, so all files are an admin's."""
        if self._access.user.is_admin:
            return [self._access.gateway_scope] * len(keys)
        return [file_not_found(key.file_id) for key in keys]

    def _hides_fields(self, kind: AnyKind) -> bool:
        return kind in KINDS_WITH_HIDDEN_FIELDS and not self._permissions.sees_all

    def _port(self, scope: str) -> CachedThreadsApi:
        port = self._ports.get(scope)
        if port is None:
            port = self._ports[scope] = self._open_port(scope)
        return port
