"""`POST /files`: a file goes to the upstream while it arrives, and leaves nothing there if it breaks off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from aiohttp import web

from gateway.background_tasks import BackgroundTasks
from gateway.files.file_addresses import FileAddresses
from gateway.files.file_form import UploadForm
from gateway.files.incoming_upload import IncomingUpload
from gateway.files.transfer_requests import handle_transfer
from gateway.files.user_files import UserFiles
from gateway.identity.authenticator import Authenticator
from gateway.identity.credentials import Caller, CredentialRefusedError, is_foreign_page
from gateway.identity.principal import Principal
from gateway.ledger.ownership import CreateIntent
from gateway.ledger.thread_creation import REFUSALS
from gateway.server.http.graphql_response import json_response
from gateway.server.http.held_bytes import HeldRequest, UnfinishedBytes
from gateway.server.http.operation_runner import OperationTasks
from gateway.server.http.refusals import Refusal, credential_refusal, input_refusal, method_refusal, stopping_refusal
from gateway.server.http.request_reader import caller_from_request
from gateway.telemetry.audit import audit_write
from gateway.telemetry.operation_log import log_end
from gateway.telemetry.operation_observer import OperationObserver
from gateway.telemetry.operation_record import OperationRecord, Outcome
from gateway.upstream.file_transfers import BoundFileTransfers
from schema.contract.cost import Cost
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import FileKey, to_global_id
from schema.contract.ports import ThreadsApi
from schema.contract.wire import FileObject
from schema.contract.writes import DELETE_FILE

_logger = logging.getLogger(__name__)

PREFLIGHT_HEADER = "GraphQL-Require-Preflight"
"""A header that no form of a page can send, so a browser asks before it sends it for a page of another origin."""

HELD_BYTES = 256 << 10
"""Bytes that count as held of an upload, whatever its size: what is read ahead, and what waits for the upstream."""

CountCall: TypeAlias = Callable[[Principal, Cost, int], AbstractAsyncContextManager[object]]

_CLOSE = ("Connection", "close")


class TransferPorts(Protocol):
    """The ports of transfers, for any principal."""

    def bind(self, principal: Principal) -> ThreadsApi:
        """Make the port of objects."""

    def bind_transfers(self, principal: Principal) -> BoundFileTransfers:
        """Make the port of contents."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """The largest file, and how long a client may send nothing."""

    max_file_bytes: int
    silence_seconds: float


@dataclass(frozen=True, slots=True)
class FileServices:
    """The parts that uploads and downloads share. Without `user_files`, nobody signs in."""

    ports: TransferPorts
    addresses: FileAddresses
    count_call: CountCall
    operation_tasks: OperationTasks
    observer: OperationObserver
    user_files: UserFiles | None = None


@dataclass(slots=True)
class _Creation:
    """One file that is being made upstream, and the intent to own it."""

    principal: Principal
    upload: IncomingUpload
    record: OperationRecord
    transfers: BoundFileTransfers
    intent: CreateIntent | None = field(default=None)
    sending: asyncio.Task[FileObject] | None = field(default=None)

    async def send(self) -> FileObject:
        """Send the file, and record whose it is before anything else. Writes the audit line, whatever comes of it."""
        try:
            file = await self.transfers.upload(self.upload)
        except BaseException as error:
            if self.intent is not None and self._made_nothing(error):
                self.intent.discard()
            self._audit(Outcome.CANCELLED.value if self.upload.client_has_left else _outcome_of(error))
            raise
        if self.intent is not None:
            await self.intent.record_id(file.id)
        self._audit(Outcome.OK.value, file.id)
        return file

    def _made_nothing(self, error: BaseException) -> bool:
        if not self.upload.is_complete:
            return True
        return isinstance(error, GatewayError) and (error.retryable or error.code in REFUSALS)

    def _audit(self, outcome: str, *file_ids: str) -> None:
        audit_write(self.principal, "uploadFile", outcome, record=self.record, kind="File", ids=file_ids)


class UploadEndpoint:
    """Takes uploads, by the rules of `/graphql` for credentials and pages."""

    def __init__(
        self,
        services: FileServices,
        authenticator: Authenticator,
        unfinished_bytes: UnfinishedBytes,
        limits: UploadLimits,
    ) -> None:
        self._services = services
        self._authenticator = authenticator
        self._unfinished_bytes = unfinished_bytes
        self._limits = limits
        self._sending = BackgroundTasks(logs_errors=False)

    async def aclose(self, timeout_seconds: float) -> None:
        """Wait for files that are still being made without a client, and removed again, and then for no longer."""
        await self._sending.wait(timeout_seconds)
        await self._sending.aclose()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Respond to a request of any method."""
        return await handle_transfer(request, "upload", self._respond, self._services.observer)

    async def _respond(self, request: web.Request, record: OperationRecord) -> web.StreamResponse:
        if self._services.operation_tasks.is_stopping:
            raise stopping_refusal()
        if request.method != "POST":
            raise method_refusal(f"Expected POST, got {request.method}.", "POST")
        caller = caller_from_request(request)
        self._check_page(caller)
        try:
            principal = await self._authenticator.authenticate(caller)
        except CredentialRefusedError as refused:
            raise credential_refusal(refused) from None
        record.principal = principal
        upload = self._expect_form(request)
        with HeldRequest(self._unfinished_bytes) as held:
            held.hold(HELD_BYTES)
            await upload.read_beginning()
            creation = _Creation(principal, upload, record, self._services.ports.bind_transfers(principal))
            try:
                file = await self._services.operation_tasks.run(self._send(creation), shield=False)
            except BaseException:
                self._begin_removal(creation)
                raise
            if upload.client_has_left:
                self._begin_removal(creation)
                log_end(record, Outcome.CANCELLED)
        return json_response(self._describe(file, upload, principal), 201)

    def _check_page(self, caller: Caller) -> None:
        """Refuse the form of a page that its browser did not ask about before.

        Any page can send a form to any server. Its browser may add a password that it stores for this one.
        """
        if PREFLIGHT_HEADER.lower() in caller.headers:
            return
        told = f"the header {PREFLIGHT_HEADER}: 1"
        if not caller.authorization:
            message = f"Expected an Authorization header, or {told}, got a plain form."
        elif is_foreign_page(caller) and not self._authenticator.origins.allows(caller.origin):
            message = f"Expected {told}, or a page that GATEWAY_ALLOWED_ORIGINS names, got the plain form of another."
        else:
            return
        raise Refusal(403, GatewayError(ErrorCode.FORBIDDEN, message), (_CLOSE,))

    def _expect_form(self, request: web.Request) -> IncomingUpload:
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            expected = "Expected a body without Content-Encoding"
            raise input_refusal(415, f"{expected}, got {encoding[:80]!r}.", ("Accept-Encoding", "identity"), _CLOSE)
        content_type = request.headers.get("Content-Type")
        form = UploadForm(content_type, request.content_length, self._limits.max_file_bytes)
        return IncomingUpload(request, form, self._limits.silence_seconds)

    async def _send(self, creation: _Creation) -> FileObject:
        """Send a file for a client. If the client leaves before all of it has arrived, its making is cancelled."""
        services, cost = self._services, creation.transfers.cost
        try:
            async with services.count_call(creation.principal, cost, 1):
                if services.user_files is not None and creation.principal.user is not None:
                    creation.intent = await services.user_files.begin_upload(creation.principal)
                creation.sending = self._sending.start(creation.send())
                try:
                    return await asyncio.shield(creation.sending)
                except asyncio.CancelledError:
                    if not creation.upload.is_complete:
                        creation.sending.cancel()
                        await asyncio.wait([creation.sending])
                    raise
        finally:
            creation.record.upstream_calls = cost.upstream_calls

    def _begin_removal(self, creation: _Creation) -> None:
        """Let the file be deleted that is made although its client gets no answer, since nobody knows its id."""
        sending, creation.sending = creation.sending, None  # its error has frames that hold the creation
        if sending is not None:
            self._sending.start(self._remove_once_made(creation.principal, sending))

    async def _remove_once_made(self, principal: Principal, sending: asyncio.Task[FileObject]) -> None:
        await asyncio.wait([sending])
        if sending.cancelled() or sending.exception() is not None:
            return
        try:
            await self._services.ports.bind(principal).write(DELETE_FILE, FileKey(sending.result().id), None)
        except GatewayError as error:
            _logger.warning("a file stays upstream whose client left while it was sent (%s)", error.code)

    def _describe(self, file: FileObject, upload: IncomingUpload, principal: Principal) -> dict[str, object]:
        return {
            "id": to_global_id(FileKey(file.id)),
            "upstreamId": file.id,
            "filename": upload.form.filename if file.filename is None else file.filename,
            "bytes": upload.form.file_bytes if file.bytes is None else file.bytes,
            "purpose": file.purpose,
            "contentUrl": self._services.addresses.make_address(file.id, principal),
        }


def _outcome_of(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return Outcome.CANCELLED.value
    if isinstance(error, Refusal):
        return error.error.code.value
    return (error.code if isinstance(error, GatewayError) else ErrorCode.INTERNAL).value
