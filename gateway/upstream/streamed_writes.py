"""Writes that set a run going and ask for its events: the answer is the run as soon as its stream tells of it.

Servers that know nothing of streams answer with the run; those that know of them may call them `text/plain`.
"""

from typing import TypeVar

import aiohttp
from multidict import CIMultiDict

from gateway.upstream.call_sender import CallSender, UpstreamCall
from gateway.upstream.event_decoder import BYTE_ORDER_MARK, read_event
from gateway.upstream.retry import CallFailure
from gateway.upstream.run_stream import UpstreamRunStream
from gateway.upstream.transport_failures import TooLargeError, read_body
from schema.contract.errors import GatewayError
from schema.contract.run_streams import StreamConsumer
from schema.contract.wire import RunObject

KeyT = TypeVar("KeyT")

EVENT_STREAM = "text/event-stream"
_LINE_BEGINNINGS = (b":", b"data:", b"event:", b"id:", b"retry:")


async def send_streamed(
    sender: CallSender,
    call: UpstreamCall[KeyT, RunObject],
    take_stream: StreamConsumer,
    *,
    thread_id: str | None,
    run_id: str | None = None,
) -> RunObject | CallFailure:
    """Send a write whose body asks for a stream, once, and hand its stream over; gives the run.

    Takes a place among the streams, of which one has to be free. A stream that was not taken over is closed, also
    where this is cancelled.
    """
    opened = await _open(sender, call, thread_id, run_id)
    if not isinstance(opened, UpstreamRunStream):
        return opened
    is_taken = False
    try:
        run = await take_stream(opened)
        is_taken = True
    except GatewayError as error:
        return CallFailure(error)
    except Exception as error:
        return sender.failure(call, error)
    finally:
        if not is_taken:
            await opened.aclose()
    return run


async def _open(
    sender: CallSender, call: UpstreamCall[KeyT, RunObject], thread_id: str | None, run_id: str | None
) -> UpstreamRunStream | RunObject | CallFailure:
    pool = sender.pool
    await pool.stream_places.acquire()
    response: aiohttp.ClientResponse | None = None
    stream: UpstreamRunStream | None = None
    try:
        response = await pool.stream_session.request(
            call.request.method,
            call.url,
            # What compresses a stream may hold its events back.
            headers=CIMultiDict({**sender.headers_with_content, "Accept": EVENT_STREAM, "Accept-Encoding": "identity"}),
            data=call.content,
            allow_redirects=False,
            trace_request_ctx=call.departure,
        )
        beginning = b""
        if 200 <= response.status < 300:
            beginning, is_stream = await _beginning(response, pool.options.max_response_bytes)
            if is_stream:
                stream = UpstreamRunStream(
                    response,
                    thread_id,
                    run_id=run_id,
                    begun_with=beginning,
                    credential=sender.credential,
                    idle_seconds=pool.options.stream_idle_seconds,
                    on_close=pool.stream_places.release,
                )
                return stream
        body = await read_body(response, pool.options.max_response_bytes, beginning)
        return _read_whole(sender, call, response, body)
    except Exception as error:
        return sender.failure(call, error)
    finally:
        if stream is None:
            if response is not None:
                response.close()
            pool.stream_places.release()


def _read_whole(
    sender: CallSender, call: UpstreamCall[KeyT, RunObject], response: aiohttp.ClientResponse, body: bytes
) -> RunObject | CallFailure:
    """Read an answer that is no stream: the run, a refusal, or an error under a status that promised more."""
    outcome = sender.read(call, response, body)
    if isinstance(outcome, CallFailure) and 200 <= response.status < 300:
        reported = read_event(None, body.removeprefix(BYTE_ORDER_MARK), sender.credential).error
        return outcome if reported is None else CallFailure(reported)
    return outcome


async def _beginning(response: aiohttp.ClientResponse, max_bytes: int) -> tuple[bytes, bool]:
    """Read until it is clear whether the body is a stream of events; gives what was read, too."""
    read = b""
    while (is_stream := looks_like_events(read, declared=response.content_type == EVENT_STREAM)) is None:
        data = await response.content.readany()
        read += data
        if not data:
            return read, False
        if len(read) > max_bytes:
            raise TooLargeError(max_bytes)
    return read, is_stream


def looks_like_events(beginning: bytes, *, declared: bool) -> bool | None:
    """Tell whether a body that begins so is a stream of events; None where that needs more of it.

    `declared`: its server says so. JSON is none even then.
    """
    if BYTE_ORDER_MARK.startswith(beginning):
        return None
    text = beginning.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not text:
        return None
    if text.startswith((b"{", b"[")):
        return False
    if declared or text.startswith(_LINE_BEGINNINGS):
        return True
    return None if any(field.startswith(text) for field in _LINE_BEGINNINGS) else False
