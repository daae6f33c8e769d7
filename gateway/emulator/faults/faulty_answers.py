"""Makes answers go wrong: the middleware that lets requests meet the faults that the rules decide on."""

import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_request import BaseRequest

from gateway.emulator.bodies import api_errors
from gateway.emulator.clock import Clock
from gateway.emulator.faults.fault_rules import FaultRule, Faults, Strike
from gateway.emulator.http.api_endpoint import is_api_path, json_response, operation_name
from gateway.emulator.http.event_stream import EventStreamResponse
from gateway.emulator.http.request_counts import add_fault_header
from gateway.emulator.streams.open_streams import OpenStreams

DEFAULT_STREAM_EVENTS = 5
# Two of the three bytes of a character.
HALF_CHARACTER = "€".encode()[:2]
_HTML = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"
_BEGINNING = b'{\n  "id": "'
_BEGINNING_OF = 512
# Closing a socket that lingers for no time sends a reset instead of an orderly end.
_NO_LINGER = struct.pack("ii", 1, 0)


def fault_middleware(faults: Faults, streams: OpenStreams, clock: Clock) -> Middleware:
    """Return a middleware that puts a fault in the place of an answer, before or after the request took effect.

    It stands inside whatever counts answers and outside whatever makes refusals into answers.
    """

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_api_path(request.path):
            return await handler(request)
        name = operation_name(request)
        strike = faults.decide_for_request(name, request.method)
        response = await _answer_or_fault(request, handler, strike, clock)
        if strike.name:
            add_fault_header(response, strike.name)
        if isinstance(response, EventStreamResponse) and (rule := faults.fault_for_stream(name, request.method)):
            add_fault_header(response, rule.fault)
            response.frames = _spoil_frames(response.frames, rule, request, streams)
        return response

    return around


class ResetResponse(web.StreamResponse):
    """No answer: the connection is reset in its place."""

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Reset the connection; raises ConnectionResetError, as a client's own reset would."""
        if request.transport is not None:
            connection = request.transport.get_extra_info("socket")
            if connection is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            request.transport.abort()
        raise ConnectionResetError("reset by a fault rule")


class TruncatedResponse(web.StreamResponse):
    """A body that ends before the length that was announced; the connection then closes."""

    def __init__(self, beginning: bytes, length: int, *, status: int = 200) -> None:
        super().__init__(status=status, headers={"Content-Type": "application/json"})
        self.content_length = length
        self.force_close()
        self._beginning = beginning

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers and what there is of the body."""
        writer = await super().prepare(request)
        await self.write(self._beginning)
        return writer


async def _answer_or_fault(request: web.Request, handler: Handler, strike: Strike, clock: Clock) -> web.StreamResponse:
    if strike.latency_before:
        await clock.sleep_until(clock.now() + strike.latency_before)
    rule = strike.rule
    if rule is None:
        response = await handler(request)
    else:
        response = _response_for_fault(rule, await handler(request) if rule.when == "after" else None)
    if strike.latency_after:
        await clock.sleep_until(clock.now() + strike.latency_after)
    return response


def _response_for_fault(rule: FaultRule, answered: web.StreamResponse | None) -> web.StreamResponse:
    """Return what a client gets in the place of the answer; None stands for one that was never made."""
    match rule.fault:
        case "reset":
            return ResetResponse()
        case "truncated":
            return _truncated_response(answered)
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


def _truncated_response(answered: web.StreamResponse | None) -> TruncatedResponse:
    body = answered.body if isinstance(answered, web.Response) else None
    if answered is None or not isinstance(body, bytes):
        return TruncatedResponse(_BEGINNING, _BEGINNING_OF)
    return TruncatedResponse(body[: len(body) // 2], len(body), status=answered.status)


async def _spoil_frames(
    frames: AsyncGenerator[bytes, None], rule: FaultRule, request: web.Request, streams: OpenStreams
) -> AsyncGenerator[bytes, None]:
    """Yield a stream's frames, the first ones as they are."""
    good = DEFAULT_STREAM_EVENTS if rule.events is None else rule.events
    count = 0
    async with aclosing(frames):
        async for frame in frames:
            count += 1
            if count != good + 1:
                yield frame
                continue
            match rule.fault:
                case "cut":
                    if request.transport is not None:
                        # What was written still goes out, but not the end of the chunked body.
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
    """Return the frame with half of its JSON."""
    head, separator, data = frame.partition(b"\ndata: ")
    line = data.removesuffix(b"\n\n")
    return head + separator + line[: len(line) // 2] + b"\n\n"


def insert_half_character(frame: bytes) -> bytes:
    """Return the frame with half a character of UTF-8 within its JSON."""
    head, separator, data = frame.partition(b"\ndata: ")
    return head + separator + data[:2] + HALF_CHARACTER + data[2:]
