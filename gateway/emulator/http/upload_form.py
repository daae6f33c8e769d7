"""The form of an upload, whose parts go to the disk while they are received unless they are small."""

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from tempfile import SpooledTemporaryFile

from aiohttp import BodyPartReader, ClientPayloadError, web

from gateway.emulator.bodies import api_errors
from gateway.emulator.operations.api_call import FormField
from gateway.emulator.state.file_pieces import PIECE_BYTES

_BYTES_IN_MEMORY = 1 << 20
_MAX_PARTS = 100


@asynccontextmanager
async def received_form(request: web.Request, max_bytes: int) -> AsyncIterator[Mapping[str, FormField] | None]:
    """Receive the fields of a form. None if the body is none. Their contents can be read within the block.

    Raises:
        ApiError: The form cannot be parsed, is longer than `max_bytes`, or ends in the middle.
    """
    with ExitStack() as contents:
        try:
            fields = await _receive_fields(request, max_bytes, contents)
        except (ValueError, ClientPayloadError):
            raise api_errors.malformed_form() from None
        yield fields


async def _receive_fields(request: web.Request, max_bytes: int, contents: ExitStack) -> Mapping[str, FormField] | None:
    match request.content_type:
        case "multipart/form-data":
            return await _receive_parts(request, max_bytes, contents)
        case "application/x-www-form-urlencoded":
            texts = {name: str(value).encode() for name, value in (await request.post()).items()}
            return {name: FormField(io.BytesIO(text), len(text)) for name, text in texts.items()}
        case _:
            return None


async def _receive_parts(request: web.Request, max_bytes: int, contents: ExitStack) -> dict[str, FormField]:
    fields: dict[str, FormField] = {}
    parts = await request.multipart()
    while (part := await parts.next()) is not None:
        if not isinstance(part, BodyPartReader) or not part.name or len(fields) == _MAX_PARTS:
            raise api_errors.malformed_form()
        content = contents.enter_context(SpooledTemporaryFile(_BYTES_IN_MEMORY))  # noqa: SIM115
        while piece := await part.read_chunk(PIECE_BYTES):
            if request.content.total_bytes > max_bytes:
                raise api_errors.body_too_large(max_bytes)
            content.write(piece)
        size = content.tell()
        content.seek(0)
        fields[part.name] = FormField(content, size, part.filename)
    return fields
