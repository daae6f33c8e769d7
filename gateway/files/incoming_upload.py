"""An upload as it arrives: no faster than the upstream takes it, and only while its client moves."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.files.client_pace import MIN_BYTES_PER_SECOND, ClientPace
from gateway.files.file_form import UploadForm
from gateway.server.http.refusals import input_refusal

_CLOSE = ("Connection", "close")


class IncomingUpload:
    """The form of one request, read once. An `OutgoingForm`."""

    def __init__(self, request: web.Request, form: UploadForm, silence_seconds: float) -> None:
        """Refuse a client whose next bytes are awaited for more than `silence_seconds`, by the rule of `ClientPace`."""
        self.form = form
        self.content_type = form.content_type
        self._fault: Exception | None = None
        self._request = request
        self._silence_seconds = silence_seconds
        self._pace = ClientPace(silence_seconds)
        self._pieces: list[bytes] = []
        self._is_at_end = False

    @property
    def is_complete(self) -> bool:
        """Whether the last piece was given."""
        return self.form.is_complete

    @property
    def client_has_left(self) -> bool:
        """Whether nobody waits for an answer any more."""
        transport = self._request.transport
        return transport is None or transport.is_closing() or _has_hung_up(transport)

    def take_fault(self) -> Exception | None:
        """Return the error with which the pieces ended, if they did, and forget it."""
        fault, self._fault = self._fault, None
        return fault

    async def read_beginning(self) -> None:
        """Read until the first bytes of the file, so that the upstream is called for a file only.

        Raises:
            Refusal: The form is not good.
        """
        while not (self._pieces or self._is_at_end):
            self._pieces = await self._read_more()

    async def read_pieces(self) -> AsyncIterator[bytes]:
        try:
            while True:
                pieces, self._pieces = self._pieces, []
                for piece in pieces:
                    yield piece
                if self._is_at_end:
                    return
                self._pieces = await self._read_more()
        except Exception as fault:
            self._fault = fault
            raise

    async def _read_more(self) -> list[bytes]:
        self._pace.begin_wait()
        try:
            async with asyncio.timeout(self._pace.seconds_left):
                data = await self._request.content.readany()
        except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
            error.__traceback__ = None  # the body holds it, and its frames the body
            raise input_refusal(400, "Expected a complete HTTP body, got a broken one.", _CLOSE) from None
        except TimeoutError:
            pace = f"{self._silence_seconds:g} s, and {MIN_BYTES_PER_SECOND} bytes a second on average"
            raise input_refusal(408, f"Expected more of the body within {pace}, got less.", _CLOSE) from None
        self._pace.end_wait(len(data))
        if data:
            return self.form.feed(data)
        self._is_at_end = True
        return self.form.finish()


def _has_hung_up(transport: asyncio.BaseTransport) -> bool:
    """Ask the operating system whether the other end is closed, which a busy gateway reads only later. Linux tells."""
    hang_up, socket = getattr(select, "POLLRDHUP", None), transport.get_extra_info("socket")
    if hang_up is None or socket is None or socket.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(socket.fileno(), hang_up)
    return bool(poll.poll(0))
