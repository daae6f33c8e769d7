"""The form with which the content of a file goes from one upstream to another, while it arrives."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

from gateway.files.file_names import to_safe_filename
from gateway.upstream.file_transfers import Download
from schema.contract.errors import GatewayError


class CopiedForm:
    """An `OutgoingForm` whose one file is a download. Read once."""

    def __init__(self, download: Download, filename: str | None, purpose: str) -> None:
        self._download = download
        self._filename = to_safe_filename(filename)
        self._purpose = purpose
        self._boundary = secrets.token_hex(16)
        self._fault: GatewayError | None = None
        self.is_complete = False

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self._boundary}"

    def take_fault(self) -> GatewayError | None:
        fault, self._fault = self._fault, None
        return fault

    async def read_pieces(self) -> AsyncIterator[bytes]:
        quoted = self._filename.replace("\\", "_").replace('"', "_")
        yield (
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{self._purpose}\r\n'
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        try:
            while piece := await self._download.read_piece():
                yield piece
        except GatewayError as error:
            self._fault = error
            raise
        self.is_complete = True
        yield f"\r\n--{self._boundary}--\r\n".encode()
