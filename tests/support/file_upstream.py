"""An upstream of files that stores nothing: it counts what arrives, waits when a test says so, and makes contents up.

python -m tests.support.file_upstream

runs it in a process of its own, and prints its address.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from gateway.server.app import listening
from tests.support.file_samples import PNG

PIECE = b"\x00" * (64 << 10)


@dataclass
class ReceivedUpload:
    """One upload. It is complete if its end has arrived, and over once nothing more can come of it."""

    byte_count: int = 0
    is_complete: bool = False
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    tail: bytes = b""


@dataclass
class FileUpstream:
    """The upstream. `takes` lets it read on after `first_bytes`, `answers` lets it answer, `sends` lets it send on."""

    url: str = ""
    uploads: list[ReceivedUpload] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    content_headers: dict[str, str] = field(default_factory=dict)
    content_status: int = 200
    content_bytes: int = 1 << 20
    sent_bytes: int = 0
    first_bytes: int = 0
    early_status: int = 0
    upload_status: int = 200
    delete_status: int = 200
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    sends: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.takes.set()
        self.answers.set()
        self.sends.set()

    @property
    def left_over(self) -> int:
        """The number of files that stay."""
        return sum(upload.is_complete for upload in self.uploads) - len(self.deleted)

    async def create(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        upload = ReceivedUpload()
        self.uploads.append(upload)
        self.began.set()
        if self.early_status:
            return web.json_response({"error": {"message": "Not today."}}, status=self.early_status)
        try:
            async for data in request.content.iter_any():
                upload.byte_count += len(data)
                upload.tail = (upload.tail + data)[-200:]
                if upload.byte_count >= self.first_bytes:
                    await self.takes.wait()
            upload.is_complete = upload.tail.endswith(b"--\r\n")
            self.arrived.set()
            await self.answers.wait()
        finally:
            upload.is_over.set()
        file_id = f"file-{len(self.uploads)}"
        body = {"id": file_id, "object": "file", "bytes": upload.byte_count, "filename": "a.bin", "purpose": "vision"}
        if self.upload_status != 200:
            upload.is_complete = False
            return web.json_response({"error": {"message": "Refused."}}, status=self.upload_status)
        return web.json_response({**body, "created_at": 1})

    async def content(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        whole = self.contents.get(request.match_info["file_id"])
        if whole is not None:
            return web.Response(body=whole, headers=self.content_headers, status=self.content_status)
        response = web.StreamResponse(headers=self.content_headers)
        response.content_length = len(PNG) + self.content_bytes
        await response.prepare(request)
        await response.write(PNG)
        self.began.set()
        with contextlib.suppress(ConnectionError):
            for _ in range(self.content_bytes // len(PIECE)):
                await self.sends.wait()
                await response.write(PIECE)
                self.sent_bytes += len(PIECE)
            await response.write(PIECE[: self.content_bytes % len(PIECE)])
            await response.write_eof()
        return response

    async def find(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"id": request.match_info["file_id"], "object": "file", "created_at": 1})

    async def delete(self, request: web.Request) -> web.StreamResponse:
        if self.delete_status != 200:
            return web.json_response({"error": {"message": "Not now."}}, status=self.delete_status)
        self.deleted.append(request.match_info["file_id"])
        return web.json_response({"id": request.match_info["file_id"], "object": "file", "deleted": True})

    async def report(self, _: web.Request) -> web.StreamResponse:
        """Report the counts to a test in another process."""
        complete = sum(upload.is_complete for upload in self.uploads)
        report: dict[str, Any] = {"uploads": len(self.uploads), "complete": complete, "left_over": self.left_over}
        return web.json_response({**report, "received": sum(upload.byte_count for upload in self.uploads)})

    def _note(self, request: web.Request) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.method, request.path_qs, headers))


def file_app(upstream: FileUpstream) -> web.Application:
    app = web.Application()
    app.router.add_post("/v1/files", upstream.create)
    app.router.add_get("/v1/files/{file_id}/content", upstream.content)
    app.router.add_get("/v1/files/{file_id}", upstream.find)
    app.router.add_delete("/v1/files/{file_id}", upstream.delete)
    app.router.add_get("/report", upstream.report)
    return app


@asynccontextmanager
async def file_upstream() -> AsyncIterator[FileUpstream]:
    upstream = FileUpstream()
    async with listening(file_app(upstream), "127.0.0.1", 0) as url:
        upstream.url = f"{url}/v1"
        yield upstream
        for gate in (upstream.takes, upstream.answers, upstream.sends):
            gate.set()


async def main() -> None:
    async with file_upstream() as upstream:
        sys.stdout.write(upstream.url + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
