"""The form of an upload: checked while it arrives, and turned piece by piece into the form that the upstream gets.

Pure. The last piece, which ends the upstream's form, is made only when the whole form has arrived and is good. Until
then the upstream has nothing that it could store.

Source: RFC 7578; https://platform.openai.com/docs/api-reference/files/create.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from gateway.files.file_names import to_safe_filename
from gateway.files.image_types import SNIFFED_BYTES, sniff_image
from gateway.server.http.refusals import Refusal, input_refusal
from schema.contract.errors import format_value

FORM_TYPE = "multipart/form-data"
FILE, PURPOSE = "file", "purpose"
MAX_FORM_OVERHEAD = 64 << 10
"""Most bytes of a form beside the content of its file."""

IMAGE_PURPOSE, OTHER_PURPOSE = "vision", "assistants"
"""The purposes without one in the form. An upstream may refuse the content of a file that was sent for assistants."""

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}\Z")
_PURPOSE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")
_CLOSE = {"Connection": "close"}


class UploadForm:
    """The form of one upload."""

    def __init__(
        self,
        content_type: str | None,
        content_length: int | None,
        max_file_bytes: int,
        new_boundary: Callable[[], str] = lambda: f"threads-gateway-{secrets.token_hex(16)}",
    ) -> None:
        """Expect a form of this type and length, with a file of at most `max_file_bytes`.

        Raises:
            Refusal: It is no form, or too large.
        """
        self._max_file_bytes = max_file_bytes
        if content_length is not None and content_length > max_file_bytes + MAX_FORM_OVERHEAD:
            raise self._too_large()
        self._parser = PushMultipartParser(
            _boundary_from(content_type), max_header_size=4096, max_header_count=8, max_segment_count=8
        )
        self._boundary = new_boundary()
        self.content_type = f"{FORM_TYPE}; boundary={self._boundary}"
        self.filename: str | None = None
        self.file_bytes = 0
        self.is_complete = False
        self._segment: MultipartSegment | None = None
        self._first_bytes = bytearray()
        self._purpose: bytearray | None = None
        self._other_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Read the next bytes of the form. Returns the pieces that they give, if any.

        Raises:
            Refusal: The form is not good.
        """
        self._other_bytes += len(data)
        try:
            pieces = [piece for event in self._parser.parse(data) for piece in self._read_event(event)]
        except MultipartError as error:
            if any(isinstance(each, UnicodeDecodeError) for each in error.args):
                raise _refuse("Expected the headers of parts in UTF-8, got other bytes.") from None
            raise _refuse(f"Expected a form of type {FORM_TYPE}, got a malformed one: {error}.") from None
        if self._other_bytes > MAX_FORM_OVERHEAD:
            raise _refuse(f"Expected at most {MAX_FORM_OVERHEAD} bytes beside the file, got more.")
        return pieces

    def finish(self) -> list[bytes]:
        """End the form, of which all bytes have arrived. Returns the last pieces.

        Raises:
            Refusal: The form is not good.
        """
        try:
            self._parser.close()  # type: ignore[no-untyped-call]
        except MultipartError:
            raise _refuse(f"Expected a complete form of type {FORM_TYPE}, got one without its end.") from None
        if self.filename is None:
            raise _refuse(f"Expected one file, in the part '{FILE}', got none.")
        if not self.file_bytes:
            raise _refuse(f"Expected a file with content in the part '{FILE}', got an empty one.")
        purpose = self._checked_purpose()
        self.is_complete = True
        return [
            f'\r\n--{self._boundary}\r\nContent-Disposition: form-data; name="{PURPOSE}"\r\n\r\n{purpose}'.encode(),
            f"\r\n--{self._boundary}--\r\n".encode(),
        ]

    def _read_event(self, event: MultipartSegment | bytes | bytearray | None) -> Iterator[bytes]:
        if isinstance(event, MultipartSegment):
            self._segment = event
            self._begin_part(event)
        elif event is None:
            self._segment = None
        elif self._segment is not None and self._segment.name == FILE:
            self._other_bytes -= len(event)
            yield from self._read_file(event)
        elif self._purpose is not None:
            self._purpose += event

    def _begin_part(self, segment: MultipartSegment) -> None:
        for name, _ in segment.headerlist:
            if name in {"Content-Transfer-Encoding", "Content-Encoding"}:
                raise _refuse(f"Expected parts without {name}, got one with it.")
        if segment.name == FILE:
            if self.filename is not None:
                raise _refuse(f"Expected one file, in the part '{FILE}', got two.")
            self.filename = to_safe_filename(segment.filename)
        elif segment.name == PURPOSE and segment.filename is None:
            if self._purpose is not None:
                raise _refuse(f"Expected one part '{PURPOSE}', got two.")
            self._purpose = bytearray()
        else:
            expected = f"Expected the parts '{FILE}', and '{PURPOSE}' if any"
            raise _refuse(f"{expected}, got {format_value(segment.name)}.")

    def _read_file(self, content: bytes | bytearray) -> Iterator[bytes]:
        begins = self.file_bytes == 0
        self.file_bytes += len(content)
        if self.file_bytes > self._max_file_bytes:
            raise self._too_large()
        if len(self._first_bytes) < SNIFFED_BYTES:
            self._first_bytes += content[: SNIFFED_BYTES - len(self._first_bytes)]
        if begins:
            yield (
                f'--{self._boundary}\r\nContent-Disposition: form-data; name="{FILE}"; filename="{self.filename}"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n"
            ).encode()
        yield bytes(content)

    def _checked_purpose(self) -> str:
        if self._purpose is None:
            return OTHER_PURPOSE if sniff_image(bytes(self._first_bytes)) is None else IMAGE_PURPOSE
        purpose = self._purpose.decode(errors="replace")
        if not _PURPOSE.match(purpose):
            raise _refuse(f"Expected a word as '{OTHER_PURPOSE}' in the part '{PURPOSE}', got {format_value(purpose)}.")
        return purpose

    def _too_large(self) -> Refusal:
        expected = f"Expected a file of at most {self._max_file_bytes} bytes (GATEWAY_MAX_FILE_BYTES)"
        return input_refusal(413, f"{expected}, got more.", *_CLOSE.items())


def _refuse(message: str) -> Refusal:
    """Refuse a form. What still comes of it is not read, so the connection is closed."""
    return input_refusal(400, message, *_CLOSE.items())


def _boundary_from(content_type: str | None) -> str:
    media_type, options = parse_options_header(content_type or "")  # type: ignore[no-untyped-call]
    boundary = str(options.get("boundary", ""))
    if media_type == FORM_TYPE and _BOUNDARY.match(boundary):
        return boundary
    got = "none" if content_type is None else format_value(content_type[:80])
    message = f"Expected Content-Type: {FORM_TYPE} with a boundary, got {got}."
    raise input_refusal(415, message, ("Accept-Post", FORM_TYPE), *_CLOSE.items())
