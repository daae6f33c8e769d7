"""Sends writes that start a run and ask for its events. The result is the run, as soon as the stream contains it.

Servers without streaming respond with the run. Servers with streaming may declare the stream as `text/plain`.
"""

from functools import partial
from typing import Any, TypeVar

import aiohttp
from multidict import CIMultiDict

from gateway.media_types import EVENT_STREAM, JSON
from gateway.upstream.call_sender import CallSender, ObservedCall, UpstreamCall
from gateway.upstream.event_decoder import EventParser, parse_event
from gateway.upstream.reply_readers import BYTE_ORDER_MARK
from gateway.upstream.retry import CallFailure
from gateway.upstream.run_stream import UpstreamRunStream
from gateway.upstream.transport_failures import BodyTooLargeError, read_body
from schema.contract.errors import GatewayError, OwnKeyRefusedError
from schema.contract.run_streams import RunStream, StreamConsumer
from schema.contract.wire import RunObject

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

# A server that compresses a stream may delay its events.
_STREAM_HEADERS = {"Accept": f"{EVENT_STREAM}, {JSON}", "Accept-Encoding": "identity"}
"""An error is JSON. A strict server answers 406 to a request that accepts only streams."""

_LINE_BEGINNINGS = (b":", b"data:", b"event:", b"id:", b"retry:")


async def send_streamed(
    sender: CallSender,
    call: UpstreamCall[KeyT, RunObject],
    record_stream: StreamConsumer,
    *,
    thread_id: str | None,
    run_id: str | None = None,
) -> RunObject | CallFailure:
    """Send a write whose body asks for a stream, once, and pass the stream to `record_stream`.

    Takes one of the stream slots; one has to be free. A stream that `record_stream` did not accept is closed, also if
    this call is cancelled.

    Returns:
        The run, or the failure.
    """
    outcome = await open_stream(sender, call, thread_id=thread_id, run_id=run_id)
    if not isinstance(outcome, UpstreamRunStream):
        return outcome
    return await record_opened(sender, call, outcome, record_stream)


async def record_opened(
    sender: CallSender, call: UpstreamCall[Any, Any], stream: RunStream, record_stream: StreamConsumer
) -> RunObject | CallFailure:
    """Pass an open stream to `record_stream`, and return the run or the failure. One not accepted is closed."""
    is_recorded = False
    try:
        run = await record_stream(stream)
        is_recorded = True
    except GatewayError as error:
        return _failure_from_reported(error)
    except Exception as error:
        return sender.to_failure(call, error)
    finally:
        if not is_recorded:
            await stream.aclose()
    return run


def _failure_from_reported(error: GatewayError) -> CallFailure:
    """Return the failure of a run that was not named. One that the own key was refused for has not begun."""
    return CallFailure(error, refused=isinstance(error, OwnKeyRefusedError))


def _log_refusal(sender: CallSender, call: UpstreamCall[Any, Any], upstream_request_id: str | None) -> None:
    sender.pool.log_own_key_refusal(None, call.request.operation, upstream_request_id)


async def open_stream(
    sender: CallSender,
    call: UpstreamCall[KeyT, ValueT],
    *,
    thread_id: str | None,
    run_id: str | None = None,
    parse: EventParser | None = None,
    may_be_silent: bool = False,
) -> UpstreamRunStream | ValueT | CallFailure:
    """Send a call that asks for a stream of events, once, in a stream slot.

    Args:
        sender: The principal's sender.
        call: The call. It needs a `send_state`, also if it is a read.
        thread_id: The thread that the request names, if any.
        run_id: The run that it names, if any.
        parse: The reader of each event; without it, they are read as those of the Threads API.
        may_be_silent: Whether the server may have nothing to tell yet. Then its word that this is a stream counts.

    Returns:
        The stream, which holds the slot until it is closed. Or what the server answered in place of a stream: the
        object, or the failure.
    """
    pool = sender.pool
    await pool.stream_slots.acquire()
    response: aiohttp.ClientResponse | None = None
    stream: UpstreamRunStream | None = None
    observed = ObservedCall(pool, call.request)
    headers = sender.headers if call.body is None else sender.headers_with_body
    try:
        response = await pool.stream_session.request(
            call.request.method,
            pool.url_for(call.request),
            headers=CIMultiDict({**headers, **_STREAM_HEADERS, **observed.headers}),
            data=call.body,
            allow_redirects=False,
            trace_request_ctx=call.send_state,
        )
        sender.on_status(response.status)
        observed.status = response.status
        first_bytes = b""
        if 200 <= response.status < 300:
            is_stream = may_be_silent and response.content_type == EVENT_STREAM
            if not is_stream:
                first_bytes, is_stream = await _read_beginning(response, pool.options.max_response_bytes)
            if is_stream:
                stream = UpstreamRunStream(
                    response,
                    thread_id,
                    run_id=run_id,
                    credential=sender.credential,
                    on_own_key_refused=partial(_log_refusal, sender, call) if sender.is_own_key else None,
                    idle_seconds=pool.options.stream_idle_seconds,
                    on_close=pool.stream_slots.release,
                    parse=parse,
                )
                stream.push_back(first_bytes)
                return stream
        body = await read_body(response, pool.options.max_response_bytes, pool.large_body_slots, first_bytes)
        return _read_whole(sender, call, response, body)
    except Exception as error:
        return sender.to_failure(call, error)
    finally:
        observed.end()
        if stream is None:
            if response is not None:
                response.close()
            pool.stream_slots.release()


def _read_whole(
    sender: CallSender, call: UpstreamCall[KeyT, ValueT], response: aiohttp.ClientResponse, body: bytes
) -> ValueT | CallFailure:
    """Read a response that is no stream: the object, a refusal, or an error under a status of success."""
    outcome = sender.read_response(call, response, body)
    if isinstance(outcome, CallFailure) and 200 <= response.status < 300:
        data = body.removeprefix(BYTE_ORDER_MARK)
        reported = parse_event(None, data, sender.credential, is_own_key=sender.is_own_key).error
        if isinstance(reported, OwnKeyRefusedError):
            _log_refusal(sender, call, outcome.error.upstream_request_id)
        return outcome if reported is None else _failure_from_reported(reported)
    return outcome


async def _read_beginning(response: aiohttp.ClientResponse, max_bytes: int) -> tuple[bytes, bool]:
    """Read until it is clear whether the body is an event stream. Also returns the bytes that were read."""
    received = b""
    while (is_stream := looks_like_events(received, declared=response.content_type == EVENT_STREAM)) is None:
        data = await response.content.readany()
        received += data
        if not data:
            return received, False
        if len(received) > max_bytes:
            raise BodyTooLargeError(max_bytes)
    return received, is_stream


def looks_like_events(first_bytes: bytes, *, declared: bool) -> bool | None:
    """Tell whether a body that begins with these bytes is an event stream, or return None if more bytes are needed.

    `declared`: the server declares an event stream. JSON is not one even then.
    """
    if BYTE_ORDER_MARK.startswith(first_bytes):
        return None
    text = first_bytes.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not text:
        return None
    if text.startswith((b"{", b"[")):
        return False
    if declared or text.startswith(_LINE_BEGINNINGS):
        return True
    return None if any(field.startswith(text) for field in _LINE_BEGINNINGS) else False
