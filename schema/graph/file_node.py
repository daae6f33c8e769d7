"""The node type `File`."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import strawberry

from schema.contract.keys import FileKey
from schema.contract.kinds import FILES
from schema.contract.wire import FileObject
from schema.engine.context import Info
from schema.engine.deferred import then
from schema.graph.documented_field import documented_field
from schema.graph.node import NOT_LOADED, Node
from schema.graph.scalars import URL, DateTime, to_date_time


@strawberry.type(description="An uploaded or generated file.")
class File(Node):
    """Source: schema `OpenAIFile`."""

    KIND: ClassVar = FILES
    TYPE_NAME: ClassVar = KIND.type_name
    KEY_FIELDS: ClassVar = Node.KEY_FIELDS | {"contentUrl"}

    key: strawberry.Private[FileKey]
    wire: strawberry.Private[FileObject] = NOT_LOADED

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's id of the file, such as `file-abc123`."""
        return self.key.file_id

    @documented_field
    def filename(self) -> str | None:
        """The name of the file. Null if the upstream does not send it."""
        return self.wire.filename

    @documented_field
    def bytes(self) -> int | None:
        """The size of the content in bytes. Null if the upstream does not send it, or if it is 2 GiB or more."""
        size = self.wire.bytes
        return int(size) if size is not None and size == int(size) and 0 <= size < 2**31 else None

    @documented_field
    def purpose(self) -> str | None:
        """The purpose that the file was uploaded or made for, in the word of the upstream, such as `assistants`."""
        return self.wire.purpose

    @documented_field
    def created_at(self) -> DateTime | None:
        """The time when the file was uploaded or made. Null if the upstream does not send it."""
        return to_date_time(self.wire.created_at or None)

    @documented_field
    def content_url(self, info: Info) -> URL | None:
        """A short-lived address of the content that a browser can use as it is, in an image or a link.

        Null where the caller may not read the content. It is made for the caller, and costs no call.
        """
        urls = info.context.read_content_urls()
        return None if urls is None else then(urls.start_load(self.key.file_id), _to_url)


def _to_url(load: asyncio.Future[str | None]) -> URL | None:
    url = load.result()
    return None if url is None else URL(url)
