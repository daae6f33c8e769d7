"""HTTP handlers of the API's operations: read the request, perform one transaction, write JSON or a stream."""

import hashlib
import itertools
import json
import logging
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Final

import orjson
from aiohttp import web
from aiohttp.abc import AbstractMatchInfo
from aiohttp.typedefs import Handler, Middleware

from gateway.emulator.bodies import api_errors
from gateway.emulator.clock import Clock
from gateway.emulator.http.file_response import FileResponse
from gateway.emulator.http.partitions import KeyRing
from gateway.emulator.http.request_counts import FAULT_HEADER, UNKNOWN_OPERATION, LoggedRequest, RequestCounts
from gateway.emulator.http.server_paths import (
    requested_version,
    server_kind_from_path,
    version_from_header,
)
from gateway.emulator.http.streamed_response import StreamedResponse
from gateway.emulator.http.upload_form import received_form
from gateway.emulator.model.model_runs import ModelRuns
from gateway.emulator.objects import JsonObject, Run, ServerKind
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.files import FileContent
from gateway.emulator.operations.registry import ApiOperation, allowed_methods, operations
from gateway.emulator.operations.responses import AwaitedResponse, cancel_abandoned_response, finished_response
from gateway.emulator.state.store import Store
from gateway.emulator.streams.open_streams import OpenStreams, PartitionedThreadKey
from gateway.emulator.streams.stream_events import CONTENT_TYPE, StreamReply

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The largest body of an upload, and that of any other request.

    Source: https://platform.openai.com/docs/api-reference/files/create (uploads).
    """

    upload_bytes: int = 512 << 20
    other_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class ApiServices:
    """The parts of the emulator that all handlers share. If `model_runs` is set, a model answers runs."""

    store: Store
    clock: Clock
    streams: OpenStreams
    keys: KeyRing
    model_runs: ModelRuns | None = None
    limits: BodyLimits = field(default_factory=BodyLimits)

    def announce_change(self, thread: PartitionedThreadKey) -> None:
        """Let the streams and the requests to a model see that the runs of a thread have changed."""
        self.streams.wake_streams(thread)
        if self.model_runs is not None:
            self.model_runs.cancel_ended_runs(thread)


SERVICES: Final = web.AppKey("SERVICES", ApiServices)
IGNORES_LOCKS: Final = web.RequestKey("IGNORES_LOCKS", bool)
"""The key of a request that a fault rule has let through a conversation's lock."""


def operation_handler(operation: ApiOperation, kind: ServerKind, services: ApiServices) -> Handler:
    """Return the HTTP handler of an operation on one kind of server."""
    store, streams, model_runs = services.store, services.streams, services.model_runs

    async def handle(request: web.Request) -> web.StreamResponse:
        partition = services.keys.partition_from_headers(request.headers, kind)
        version = requested_version(request, kind, operation)
        if not operation.exists_in(version, kind):
            if allowed := allowed_methods(operation.path, version, kind):
                raise api_errors.invalid_method(request.method, request.path, allowed)
            raise api_errors.invalid_url(request.method, request.path)
        query = request.query
        form = received_form(request, services.limits.upload_bytes) if operation.takes_form else nullcontext()
        async with form as fields:
            call = ApiCall(
                store=store,
                partition=partition,
                version=version,
                now=services.clock.now(),
                path=request.match_info,
                query=query,
                includes=frozenset([*query.getall("include[]", []), *query.getall("include", [])]),
                body=b"" if operation.takes_form else await request.read(),
                form=fields,
                server=kind,
                has_model=model_runs is not None,
                origin=str(request.url.origin()),
                ignores_locks=request.get(IGNORES_LOCKS, False),
            )
            with store.transaction():
                result = operation.perform(call)
        if operation.method != "GET" and (thread_id := request.match_info.get("thread_id")):
            call.changed_threads.append(thread_id)
        for thread_id in call.changed_threads:
            services.announce_change(PartitionedThreadKey(partition, thread_id))
        if model_runs is not None:
            for run in call.runs_for_model:
                model_runs.enqueue_run(partition, run)
        match result:
            case StreamReply(ends_when_dropped=True):
                return _event_stream(_frames_of_foreground(services, partition, result))
            case StreamReply():
                return _event_stream(streams.frames(partition, result))
            case AwaitedResponse(stream=stream):
                with _cancelled_if_abandoned(services, partition, stream.progress.run):
                    await streams.wait_for_end(partition, stream)
                return json_response(finished_response(replace(call, now=services.clock.now()), result))
            case FileContent(file):
                return FileResponse(request, file, store.file_pieces, partition)
            case _:
                return json_response(result)

    return handle


def _event_stream(frames: AsyncGenerator[bytes, None]) -> StreamedResponse:
    return StreamedResponse(frames, {"Content-Type": CONTENT_TYPE})


@contextmanager
def _cancelled_if_abandoned(services: ApiServices, partition: str, run: Run) -> Iterator[None]:
    """Cancel a response in the foreground if its client leaves within the block, before the response's end."""
    try:
        yield
    finally:
        with services.store.transaction():
            is_changed = cancel_abandoned_response(services.store, partition, run.id, services.clock.now())
        if is_changed:
            services.announce_change(PartitionedThreadKey(partition, run.thread_id))


async def _frames_of_foreground(
    services: ApiServices, partition: str, reply: StreamReply
) -> AsyncGenerator[bytes, None]:
    with _cancelled_if_abandoned(services, partition, reply.progress.run):
        async with aclosing(services.streams.frames(partition, reply)) as frames:
            async for frame in frames:
                yield frame


def api_middleware(counts: RequestCounts) -> Middleware:
    """Return a middleware that adds the API's headers to every response of the API, and counts the requests."""
    numbers = itertools.count(1)

    @web.middleware
    async def add_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_api_path(request.path):
            return await handler(request)
        started = time.perf_counter()
        response = await handler(request)
        elapsed_ms = round((time.perf_counter() - started) * 1000)
        response.headers.update(
            {
                "openai-organization": "emulator",
                "openai-processing-ms": str(max(1, elapsed_ms)),
                "openai-version": "2020-10-01",
                "x-request-id": _request_id(next(numbers)),
            }
        )
        counts.record_request(
            LoggedRequest(
                operation_name(request),
                request.method,
                request.path_qs,
                response.status,
                response.headers.get(FAULT_HEADER),
                request.headers.get("X-Request-ID"),
                request.headers.get("traceparent"),
            )
        )
        return response

    return add_headers


@web.middleware
async def refusal_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every refusal and every exception into an error response in the API's form."""
    if not is_api_path(request.path):
        return await handler(request)
    return await _handle_or_refuse(request, handler)


def operation_name(request: web.Request) -> str:
    """Return the name of the operation that a request is for, or `UNKNOWN_OPERATION`."""
    return operation_name_from_route(request.match_info)


def operation_name_from_route(match: AbstractMatchInfo) -> str:
    """Return the name of a route's operation. Routes of other kinds of servers have the kind before the name."""
    name = match.route.name if isinstance(match, web.UrlMappingMatchInfo) else None
    return name.rpartition(".")[2] if name else UNKNOWN_OPERATION


def json_response(result: JsonObject, status: int = 200) -> web.Response:
    """Return a response with the object as the API prints it: indented by two spaces."""
    try:
        body = orjson.dumps(result, option=orjson.OPT_INDENT_2)
    except TypeError:
        # orjson takes integers of 64 bits only. A client's JSON schema, which is echoed, may hold longer ones.
        body = json.dumps(result, indent=2, ensure_ascii=False).encode()
    return web.Response(body=body, status=status, content_type="application/json")


def is_api_path(path: str) -> bool:
    """Return whether a path belongs to the API and not to the emulator's own pages."""
    return path != "/" and not path.startswith("/_emulator/")


async def _handle_or_refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except api_errors.ApiError as error:
        refusal = error.with_traceback(None)  # its frames have this one, which has the error
    except web.HTTPRequestEntityTooLarge:
        refusal = api_errors.body_too_large(request.client_max_size)
    except web.HTTPMethodNotAllowed as error:
        allowed = await _allowed_methods(request, error.allowed_methods)
        if allowed:
            refusal = api_errors.invalid_method(request.method, request.path, allowed)
        else:
            refusal = api_errors.invalid_url(request.method, request.path)
    except web.HTTPNotFound:
        refusal = api_errors.invalid_url(request.method, request.path)
    except Exception:
        _logger.exception("expected an answer to %s %s, got an exception", request.method, request.path)
        refusal = api_errors.internal_error()
    response = json_response(refusal.body(), refusal.status)
    response.headers.update(refusal.headers)
    return response


async def _allowed_methods(request: web.Request, methods: Iterable[str]) -> list[str]:
    """Return those of the methods that the path has in the request's version of the API."""
    version = version_from_header(request) or "v2"
    kind = server_kind_from_path(request.path)
    allowed: list[str] = []
    for method in methods:
        name = operation_name_from_route(await request.app.router.resolve(request.clone(method=method)))
        if any(one.name == name and one.exists_in(version, kind) for one in operations()):
            allowed.append(method)
    return allowed


def _request_id(number: int) -> str:
    """Return an id of the recorded form, `req_` and 32 hexadecimal digits."""
    return "req_" + hashlib.sha256(f"request:{number}".encode()).hexdigest()[:32]
