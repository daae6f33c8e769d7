"""`GET /files/{file_id}/content`: the content of a file at its sealed address, passed through as it arrives.

No content runs anything in the origin of the gateway: images that hold no script are shown in place, all else is saved.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from gateway.files.byte_ranges import is_unsatisfied_range, parse_content_range, range_to_pass
from gateway.files.file_addresses import TOKEN_PARAMETER, OpenedAddress
from gateway.files.file_names import content_disposition, filename_from_disposition, to_safe_filename
from gateway.files.image_types import SNIFFED_BYTES, sniff_image
from gateway.files.transfer_requests import handle_transfer
from gateway.files.upload_endpoint import FileServices
from gateway.identity.principal import Principal
from gateway.ledger.file_access import file_not_found
from gateway.server.http.refusals import Refusal, method_refusal, stopping_refusal
from gateway.server.http.request_reader import caller_from_request
from gateway.telemetry.operation_log import log_end
from gateway.telemetry.operation_record import OperationRecord, Outcome
from gateway.upstream.file_transfers import Download
from schema.contract.errors import ErrorCode, GatewayError

UNKNOWN_TYPE = "application/octet-stream"
"""The type of all that is no image: browsers save it."""

CONTENT_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    # If a browser shows it after all, it is in an origin of its own, without script.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    # The address is worth a credential while it lasts.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "cross-origin",
}

_INVALID_RANGE = "The upstream answered with another part of the content than was asked for."


class DownloadEndpoint:
    """Serves contents, a signed-in user's only to them."""

    def __init__(self, services: FileServices) -> None:
        self._services = services

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Respond to a request of any method."""
        return await handle_transfer(request, "download", self._respond, self._services.observer)

    async def _respond(self, request: web.Request, record: OperationRecord) -> web.StreamResponse:
        if self._services.operation_tasks.is_stopping:
            raise stopping_refusal()
        if request.method not in {"GET", "HEAD"}:
            raise method_refusal(f"Expected GET or HEAD, got {request.method}.", "GET, HEAD")
        file_id, tokens = request.match_info["file_id"], request.query.getall(TOKEN_PARAMETER, [])
        address = self._services.addresses.open_address(file_id, tokens, caller_from_request(request))
        record.principal = address.principal
        await self._check_owner(address.principal, file_id)
        headers = _lasting_headers(file_id, address)
        if request.if_none_match is not None and any(tag.value in {file_id, "*"} for tag in request.if_none_match):
            return web.Response(status=304, headers=headers)
        sending = self._pass_on(request, file_id, address.principal, headers, record)
        return await self._services.operation_tasks.run(sending, shield=False)

    async def _check_owner(self, principal: Principal, file_id: str) -> None:
        users = self._services.user_files
        if principal.user is None or users is None:
            return
        if file_id not in await users.open_files(principal).find_readable([file_id]):
            raise file_not_found(file_id)

    async def _pass_on(
        self,
        request: web.Request,
        file_id: str,
        principal: Principal,
        headers: Mapping[str, str],
        record: OperationRecord,
    ) -> web.StreamResponse:
        transfers = self._services.ports.bind_transfers(principal)
        ranges, if_range = request.headers.getall("Range", []), request.headers.get("If-Range")
        wanted = range_to_pass(ranges, if_range, headers["ETag"])
        try:
            async with (
                self._services.count_call(principal, transfers.cost, 1),
                transfers.open_download(file_id, wanted) as download,
            ):
                if download.status == 416:
                    raise _unsatisfied_range(download)
                beginning = await _read_beginning(download)
                response = web.StreamResponse(status=download.status)
                response.headers.update({**headers, **_content_headers(download, beginning, file_id)})
                if download.content_length is not None:
                    response.content_length = download.content_length
                await response.prepare(request)
                if request.method == "GET":
                    await _send_content(request, response, beginning, download, record)
                return response
        finally:
            record.upstream_calls = transfers.cost.upstream_calls


async def _send_content(
    request: web.Request,
    response: web.StreamResponse,
    beginning: bytes,
    download: Download,
    record: OperationRecord,
) -> None:
    """Send the content, no faster than the client reads. A content that breaks off breaks the response off."""
    piece = beginning
    try:
        while piece:
            await response.write(piece)
            piece = await download.read_piece()
        await response.write_eof()
    except GatewayError as error:
        log_end(record, Outcome.ERRORS, [error.code])
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError as error:
        error.__traceback__ = None  # the connection holds it, and its frames the connection
        log_end(record, Outcome.CANCELLED)


async def _read_beginning(download: Download) -> bytes:
    """Read as many bytes as tell an image, or more, or all. For a part from the middle, they tell nothing."""
    beginning = b""
    while len(beginning) < SNIFFED_BYTES and (piece := await download.read_piece()):
        beginning += piece
    return beginning


def _lasting_headers(file_id: str, address: OpenedAddress) -> dict[str, str]:
    # A file never changes, so its id tells its content.
    quoted = "".join(each if "!" <= each <= "~" and each != '"' else "_" for each in file_id)
    return {
        **CONTENT_HEADERS,
        "ETag": f'"{quoted}"',
        "Cache-Control": f"private, max-age={address.seconds_left}",
    }


def _content_headers(download: Download, beginning: bytes, file_id: str) -> dict[str, str]:
    """Make the headers of a whole content, or of a part of it.

    Raises:
        GatewayError: The upstream gives a part that nobody can place.
    """
    headers, begins_at = {}, 0
    if download.status == 206:
        part = parse_content_range(download.headers.get("Content-Range"))
        if part is None or download.is_compressed or download.content_length not in {None, len(part)}:
            raise GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, _INVALID_RANGE)
        headers["Content-Range"], begins_at = download.headers["Content-Range"].strip(), part.start
    if download.status == 206 or download.headers.get("Accept-Ranges", "").strip().lower() == "bytes":
        headers["Accept-Ranges"] = "bytes"
    image_type = sniff_image(beginning) if begins_at == 0 else None
    name = to_safe_filename(
        filename_from_disposition(download.headers.get("Content-Disposition")), fallback=to_safe_filename(file_id)
    )
    headers["Content-Type"] = UNKNOWN_TYPE if image_type is None else image_type
    headers["Content-Disposition"] = content_disposition("attachment" if image_type is None else "inline", name)
    return headers


def _unsatisfied_range(download: Download) -> Refusal:
    content_range = download.headers.get("Content-Range", "").strip()
    headers = (("Content-Range", content_range),) if is_unsatisfied_range(content_range) else ()
    message = "Expected a range of bytes within the content, got one beyond its end."
    return Refusal(416, GatewayError(ErrorCode.BAD_USER_INPUT, message), headers)
