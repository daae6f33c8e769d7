"""Uploads and downloads of files, passed through piece by piece and never held as a whole.

They have connections of their own, so that long transfers do not delay short calls. Whoever gives the next piece slowly
slows the other side down. Each transfer ends if the upstream takes or sends nothing for a while.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn, Protocol

import aiohttp
from multidict import CIMultiDict

from gateway.upstream.call_admission import CallerAdmission
from gateway.upstream.call_sender import CallSender, ObservedCall, UpstreamCall
from gateway.upstream.connection_pool import timeout_error
from gateway.upstream.reply_outcome import invalid_response
from gateway.upstream.reply_readers import CreatedReader, UnexpectedReplyError
from gateway.upstream.rest_operations import RestOperation
from gateway.upstream.rest_requests import Route
from gateway.upstream.retry import CallFailure, write_error
from gateway.upstream.transport_failures import failure_from_exception, read_body
from schema.contract.cost import Cost
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import FileKey
from schema.contract.wire import FileObject

CONTENT_STATUSES = frozenset({200, 206, 416})
"""Statuses of a whole content, of a part of it, and of a part that it does not have."""


# Ranges are of the content itself, and a content that nobody unpacks cannot become huge.
_CONTENT_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}


class OutgoingForm(Protocol):
    """The form of an upload, which waits for its client between two pieces."""

    @property
    def content_type(self) -> str:
        """The media type, with its boundary."""

    @property
    def is_complete(self) -> bool:
        """Whether the last piece was given, without which the upstream can store nothing."""

    def take_fault(self) -> Exception | None:
        """Return the error with which the pieces ended, if they did, and forget it."""

    def read_pieces(self) -> AsyncIterator[bytes]:
        """Read the pieces, once."""


class _ContentReader:
    """Refuses a success that is not one of `CONTENT_STATUSES`."""

    def read_result(self, key: FileKey, body: bytes) -> NoReturn:  # noqa: ARG002 - a reader's signature
        raise UnexpectedReplyError("the content of a file", "another success")


CREATE_FILE: RestOperation[None, FileObject] = RestOperation(
    Route("createFile", "/files", "POST").object_request, CreatedReader(FileObject, "file")
)
DOWNLOAD_FILE: RestOperation[FileKey, NoReturn] = RestOperation(
    Route("downloadFile", "/files/{file_id}/content").object_request, _ContentReader()
)


class Download:
    """The content of a file, or a part of it, while it arrives."""

    def __init__(self, response: aiohttp.ClientResponse, idle_seconds: float) -> None:
        self._response = response
        self._idle_seconds = idle_seconds
        self.status = response.status
        self.headers = response.headers

    @property
    def content_length(self) -> int | None:
        """The bytes that are to come, if the upstream says how many. It does not if it has compressed them."""
        return None if self.is_compressed else self._response.content_length

    @property
    def is_compressed(self) -> bool:
        """Whether the upstream has compressed the content although it was asked not to. Here it is as it was before."""
        return self.headers.get("Content-Encoding", "identity").strip().lower() != "identity"

    async def read_piece(self) -> bytes:
        """Read the next bytes. Empty at the end.

        Raises:
            GatewayError: The upstream broke off, or sent nothing for too long.
        """
        try:
            async with asyncio.timeout(self._idle_seconds):
                return await self._response.content.readany()
        except TimeoutError:
            raise timeout_error(self._idle_seconds) from None
        except (aiohttp.ClientError, OSError) as error:
            raise failure_from_exception(error, "downloadFile").error from None


class BoundFileTransfers:
    """Transfers with one principal's credential. `cost` counts the calls that were sent.

    Without `is_accepted`, the upstream is not known to accept the credential; such transfers get a part of the slots.
    """

    def __init__(self, sender: CallSender, *, caller: str, is_accepted: bool = True) -> None:
        self.cost = Cost()
        self._pool = sender.pool
        self._sender = sender
        self._admission = CallerAdmission(sender.pool.admission, caller, sender.credential)
        shares = [] if is_accepted else [sender.pool.unproven_transfer_slots]
        self._slots = [share.slots_for(caller) for share in (*shares, sender.pool.transfer_slots)]

    async def upload(self, form: OutgoingForm) -> FileObject:
        """Send a form once, and return the file that it made.

        If this is cancelled before the form is complete, or the form fails, the upstream gets no end of it.

        Raises:
            GatewayError: The upstream did not take it.
            Exception: The fault of the form.
        """
        call = self._sender.prepare_call(CREATE_FILE, None)
        async with self._started_call(call):
            outcome = await self._send_form(call, form)
            if (fault := form.take_fault()) is not None:
                try:
                    # Its frames hold the deadline, which holds the task that will hold them.
                    raise fault.with_traceback(None)
                finally:
                    del fault
            failure = outcome if isinstance(outcome, CallFailure) else None
            self._admission.record_outcome(call.request.operation, failure)
        if isinstance(outcome, CallFailure):
            raise write_error(outcome, sent=form.is_complete)
        return outcome

    @asynccontextmanager
    async def open_download(self, file_id: str, wanted_range: str | None) -> AsyncIterator[Download]:
        """Open the content of a file, or a range of it. The connection is closed at the end.

        Raises:
            GatewayError: The upstream gives no content.
        """
        call = self._sender.prepare_call(DOWNLOAD_FILE, FileKey(file_id))
        async with self._started_call(call), AsyncExitStack() as stack:
            opened = await self._send_request(call, wanted_range, stack)
            self._admission.record_outcome(call.request.operation, opened if isinstance(opened, CallFailure) else None)
            if isinstance(opened, CallFailure):
                raise opened.error
            yield opened

    @asynccontextmanager
    async def _started_call(self, call: UpstreamCall[Any, Any]) -> AsyncIterator[None]:
        """Wait for a slot and count a call that the admission lets pass."""
        async with AsyncExitStack() as stack:
            await self._acquire_slots(stack)
            if (refusal := self._admission.refusal(call.request.operation)) is not None:
                raise refusal.error
            async with self.cost.measure_call():
                yield

    async def _acquire_slots(self, stack: AsyncExitStack) -> None:
        try:
            async with asyncio.timeout(self._pool.options.timeout_seconds / 2):
                for slots in self._slots:
                    await stack.enter_async_context(slots)
        except TimeoutError:
            message = "Expected fewer uploads and downloads at once, got one too many; it was not begun."
            raise GatewayError(ErrorCode.TOO_MANY_OPERATIONS, message, retry_after_ms=1000) from None

    async def _send_form(self, call: UpstreamCall[None, FileObject], form: OutgoingForm) -> FileObject | CallFailure:
        seconds = self._pool.options.timeout_seconds
        observed = ObservedCall(self._pool, call.request)
        headers = CIMultiDict({**self._sender.headers, "Content-Type": form.content_type, **observed.headers})
        deadline = asyncio.timeout(seconds)
        try:
            async with (
                deadline,
                self._pool.transfer_session.post(
                    self._pool.url_for(call.request),
                    headers=headers,
                    data=_watch_pieces(form, deadline, seconds),
                    allow_redirects=False,
                ) as response,
            ):
                self._sender.on_status(response.status)
                observed.status = response.status
                options = self._pool.options
                body = await read_body(response, options.max_response_bytes, self._pool.large_body_slots)
                if not form.is_complete and response.status < 300:
                    response.close()
                    message = "Upstream operation createFile: expected an answer to the whole file, got one too early."
                    return invalid_response(message, response.headers, credential=self._sender.credential)
                return self._sender.read_response(call, response, body)
        except TimeoutError as error:
            return CallFailure(timeout_error(seconds)) if deadline.expired() else self._to_failure(call, error)
        except Exception as error:
            return self._to_failure(call, error)
        finally:
            observed.end()

    async def _send_request(
        self, call: UpstreamCall[FileKey, NoReturn], wanted_range: str | None, stack: AsyncExitStack
    ) -> Download | CallFailure:
        pool, options = self._pool, self._pool.options
        observed = ObservedCall(pool, call.request)
        stack.callback(observed.end)
        headers = CIMultiDict({**self._sender.headers, **_CONTENT_HEADERS, **observed.headers})
        if wanted_range is not None:
            headers["Range"] = wanted_range
        deadline = asyncio.timeout(options.timeout_seconds)
        try:
            async with deadline:
                url = pool.url_for(call.request)
                response = await pool.transfer_session.get(url, headers=headers, allow_redirects=False)
                stack.callback(response.close)
                self._sender.on_status(response.status)
                observed.status = response.status
                if response.status in CONTENT_STATUSES:
                    return Download(response, options.stream_idle_seconds)
                body = await read_body(response, options.max_response_bytes, pool.large_body_slots)
        except TimeoutError as error:
            expired = deadline.expired()
            return CallFailure(timeout_error(options.timeout_seconds)) if expired else self._to_failure(call, error)
        except Exception as error:
            return self._to_failure(call, error)
        return self._sender.read_response(call, response, body)

    def _to_failure(self, call: UpstreamCall[Any, Any], error: Exception) -> CallFailure:
        """Convert an exception. aiohttp holds it for longer, and its frames would hold all of the transfer."""
        failure = self._sender.to_failure(call, error)
        error.__traceback__ = None
        return failure


async def _watch_pieces(form: OutgoingForm, deadline: asyncio.Timeout, upstream_seconds: float) -> AsyncIterator[bytes]:
    """Pass the pieces on. The deadline counts only while the upstream takes one, or makes its answer."""
    loop = asyncio.get_running_loop()
    deadline.reschedule(None)
    async for piece in form.read_pieces():
        deadline.reschedule(loop.time() + upstream_seconds)
        yield piece
        deadline.reschedule(None)
    deadline.reschedule(loop.time() + upstream_seconds)
