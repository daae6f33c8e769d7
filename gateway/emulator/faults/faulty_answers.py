"""Faulty responses: the middleware that injects the faults that the rules choose."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from functools import partial

import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from gateway.emulator.bodies import api_errors
from gateway.emulator.clock import Clock
from gateway.emulator.faults.fault_rules import FILE_STREAM_FAULTS, STREAM_FAULTS, FaultRule, Faults, Strike
from gateway.emulator.faults.habits import habitual_frames, habitual_json, refusal_of_habits
from gateway.emulator.http.api_endpoint import IGNORES_LOCKS, is_api_path, json_response, operation_name
from gateway.emulator.http.file_response import FileResponse
from gateway.emulator.http.request_counts import add_fault_header
from gateway.emulator.http.streamed_response import StreamedResponse
from gateway.emulator.operations.files import UPLOAD_ONLY_PURPOSES
from gateway.emulator.state.file_pieces import PIECE_BYTES
from gateway.emulator.streams.open_streams import OpenStreams

DEFAULT_STREAM_EVENTS = 5
# Two of the three bytes of one character.
HALF_CHARACTER = "€".encode()[:2]
_UPLOAD = "createFile"
_HTML = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"
_PARTIAL_BODY = b'{\n  "id": "'
_FULL_LENGTH = 512
# With a linger time of zero, closing a socket sends a reset instead of an orderly end.
_NO_LINGER = struct.pack("ii", 1, 0)


def fault_middleware(faults: Faults, streams: OpenStreams, clock: Clock) -> Middleware:
    """Return a middleware that replaces a response by a fault, before or after the request takes effect.

    It goes inside the middleware that counts requests, and outside the one that turns refusals into responses.
    """

    @web.middleware
    async def inject_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_api_path(request.path):
            return await handler(request)
        name = operation_name(request)
        strike = faults.decide_for_request(name, request.method)
        if name == _UPLOAD and strike.rule is None:
            rule = faults.fault_for_stream(name, request.method, FILE_STREAM_FAULTS)
            handler = handler if rule is None else partial(_break_off_upload, rule=rule, streams=streams)
        response = await _respond_with_habits(request, handler, strike, clock)
        if strike.name:
            add_fault_header(response, strike.name)
        if isinstance(response, StreamedResponse):
            possible = FILE_STREAM_FAULTS if isinstance(response, FileResponse) else STREAM_FAULTS
            rule = faults.fault_for_stream(name, request.method, possible)
            if rule is not None:
                add_fault_header(response, rule.fault)
                response.frames = _spoil_frames(response.frames, rule, request, streams)
            if strike.habits and not isinstance(response, FileResponse):
                response.frames = _change_frames(response.frames, strike.habits)
        return response

    return inject_faults


class ResetResponse(web.StreamResponse):
    """A reset of the connection instead of a response."""

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Reset the connection.

        Raises:
            ConnectionResetError: Always, as for a reset by the client itself.
        """
        if request.transport is not None:
            connection = request.transport.get_extra_info("socket")
            if connection is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            request.transport.abort()
        raise ConnectionResetError("reset by a fault rule")


class TruncatedResponse(web.StreamResponse):
    """A body that ends before its announced length. The connection then closes."""

    def __init__(self, beginning: bytes, length: int, *, status: int = 200) -> None:
        super().__init__(status=status, headers={"Content-Type": "application/json"})
        self.content_length = length
        self.force_close()
        self._beginning = beginning

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers and the beginning of the body."""
        writer = await super().prepare(request)
        await self.write(self._beginning)
        return writer


async def _respond_with_habits(
    request: web.Request, handler: Handler, strike: Strike, clock: Clock
) -> web.StreamResponse:
    if not strike.habits:
        return await _respond_or_fail(request, handler, strike, clock)
    if "no-before" in strike.habits:
        request = request.clone(rel_url=request.rel_url.without_query_params("before"))
    if (refusal := refusal_of_habits(await request.read(), strike.habits)) is not None:
        return json_response(refusal, 400)
    request[IGNORES_LOCKS] = "no-lock" in strike.habits
    response = await _respond_or_fail(request, handler, strike, clock)
    body = response.body if isinstance(response, web.Response) else None
    if isinstance(response, web.Response) and isinstance(body, bytes) and response.content_type == "application/json":
        response.body = json_response(habitual_json(orjson.loads(body), strike.habits)).body
    return response


async def _change_frames(frames: AsyncGenerator[bytes, None], habits: frozenset[str]) -> AsyncGenerator[bytes, None]:
    async with aclosing(frames):
        async for frame in frames:
            for changed in habitual_frames(frame, habits):
                yield changed


async def _respond_or_fail(request: web.Request, handler: Handler, strike: Strike, clock: Clock) -> web.StreamResponse:
    if strike.latency_before:
        await clock.sleep_until(clock.now() + strike.latency_before)
    rule = strike.rule
    if rule is None:
        response = await handler(request)
    elif rule.fault == "unfiltered":
        headers = CIMultiDict(request.headers)
        headers.popall("Range", None)
        filtered = request.rel_url.without_query_params("run_id")
        response = await handler(request.clone(rel_url=filtered, headers=headers))
    elif rule.fault == "upload-only":
        response = _refuse_content(await handler(request))
    else:
        response = _response_for_fault(rule, await handler(request) if rule.when == "after" else None)
    if strike.latency_after:
        await clock.sleep_until(clock.now() + strike.latency_after)
    return response


async def _break_off_upload(request: web.Request, rule: FaultRule, streams: OpenStreams) -> web.StreamResponse:
    """Receive a part of an upload and no more: close the connection, or leave it open."""
    good_bytes = PIECE_BYTES * (DEFAULT_STREAM_EVENTS if rule.events is None else rule.events)
    with suppress(asyncio.IncompleteReadError):
        await request.content.readexactly(good_bytes)
    if rule.fault == "silent":
        await streams.wait_stopped()
    response = ResetResponse()
    add_fault_header(response, rule.fault)
    return response


def _refuse_content(original: web.StreamResponse) -> web.StreamResponse:
    """Return the refusal of a download whose file has a purpose that the real service keeps to itself."""
    if not isinstance(original, FileResponse) or original.file.purpose not in UPLOAD_ONLY_PURPOSES:
        return original
    refusal = api_errors.content_not_allowed(original.file.purpose)
    return json_response(refusal.body(), refusal.status)


def _response_for_fault(rule: FaultRule, original: web.StreamResponse | None) -> web.StreamResponse:
    """Return the response that replaces the real one. `original` is None if the request was not handled."""
    match rule.fault:
        case "reset":
            return ResetResponse()
        case "truncated":
            return _truncated_response(original)
        case "html":
            status = rule.status or 200
            title = "Welcome" if status == 200 else "502 Bad Gateway"
            return web.Response(text=_HTML.format(title), status=status, content_type="text/html")
        case "429":
            refusal = api_errors.rate_limited()
        case "502":
            refusal = api_errors.bad_gateway()
        case "503":
            refusal = api_errors.overloaded()
        case _:
            refusal = api_errors.internal_error()
    response = json_response(refusal.body(), refusal.status)
    if rule.retry_after is not None:
        response.headers["Retry-After"] = str(rule.retry_after)
    return response


def _truncated_response(original: web.StreamResponse | None) -> TruncatedResponse:
    body = original.body if isinstance(original, web.Response) else None
    if original is None or not isinstance(body, bytes):
        return TruncatedResponse(_PARTIAL_BODY, _FULL_LENGTH)
    return TruncatedResponse(body[: len(body) // 2], len(body), status=original.status)


async def _spoil_frames(
    frames: AsyncGenerator[bytes, None], rule: FaultRule, request: web.Request, streams: OpenStreams
) -> AsyncGenerator[bytes, None]:
    """Yield a stream's frames with the rule's fault. The first frames are unchanged."""
    good_count = DEFAULT_STREAM_EVENTS if rule.events is None else rule.events
    count = 0
    async with aclosing(frames):
        async for frame in frames:
            count += 1
            if count != good_count + 1:
                yield frame
                continue
            match rule.fault:
                case "cut":
                    if request.transport is not None:
                        # The frames written so far are still sent, but not the end of the chunked body.
                        request.transport.close()
                    return
                case "silent":
                    await streams.wait_stopped()
                    return
                case "garbled":
                    yield garble_frame(frame)
                case _:
                    yield insert_half_character(frame)


def garble_frame(frame: bytes) -> bytes:
    """Return the frame with only half of its JSON."""
    head, separator, data = frame.partition(b"\ndata: ")
    line = data.removesuffix(b"\n\n")
    return head + separator + line[: len(line) // 2] + b"\n\n"


def insert_half_character(frame: bytes) -> bytes:
    """Return the frame with half of a UTF-8 character within its JSON."""
    head, separator, data = frame.partition(b"\ndata: ")
    return head + separator + data[:2] + HALF_CHARACTER + data[2:]
