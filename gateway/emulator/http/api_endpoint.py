"""HTTP handlers of the API's operations: read the request, perform one transaction, write JSON or a stream."""

import hashlib
import itertools
import json
import logging
import time

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.emulator.bodies import api_errors
from gateway.emulator.clock import Clock
from gateway.emulator.http.event_stream import EventStreamResponse
from gateway.emulator.http.partitions import partition_from_headers
from gateway.emulator.http.request_counts import FAULT_HEADER, UNKNOWN_OPERATION, LoggedRequest, RequestCounts
from gateway.emulator.model.model_runs import ModelRuns
from gateway.emulator.objects import ApiVersion, JsonObject
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.registry import ApiOperation
from gateway.emulator.state.store import Store
from gateway.emulator.streams.open_streams import OpenStreams, PartitionedThreadKey
from gateway.emulator.streams.stream_events import StreamReply

API_PREFIX = "/v1"
_BETAS: dict[str, ApiVersion] = {"assistants=v1": "v1", "assistants=v2": "v2"}
_logger = logging.getLogger(__name__)


def operation_handler(
    operation: ApiOperation,
    store: Store,
    clock: Clock,
    streams: OpenStreams,
    path_versions: frozenset[ApiVersion],
    model_runs: ModelRuns | None = None,
) -> Handler:
    """Return the HTTP handler of an operation.

    Args:
        operation: The operation to perform.
        store: The objects.
        clock: The time of each request.
        streams: The open streams, which are woken by a write.
        path_versions: The versions in which the operation's path exists at all.
        model_runs: If set, a model answers the runs that choose no scenario.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        partition = partition_from_headers(request.headers)
        version = _version(request)
        if version not in operation.versions:
            refusal = api_errors.invalid_method if version in path_versions else api_errors.invalid_url
            raise refusal(request.method, request.path)
        body = await request.read()
        query = request.query
        call = ApiCall(
            store=store,
            partition=partition,
            version=version,
            now=clock.now(),
            path=request.match_info,
            query=query,
            includes=frozenset([*query.getall("include[]", []), *query.getall("include", [])]),
            body=body,
            has_model=model_runs is not None,
        )
        with store.transaction():
            result = operation.perform(call)
        if operation.method != "GET" and (thread_id := request.match_info.get("thread_id")):
            streams.wake_streams(PartitionedThreadKey(partition, thread_id))
            if model_runs is not None:
                model_runs.cancel_ended_runs(PartitionedThreadKey(partition, thread_id))
        if model_runs is not None:
            for run in call.runs_for_model:
                model_runs.enqueue_run(partition, run)
        if isinstance(result, StreamReply):
            return EventStreamResponse(streams.frames(partition, result, version))
        return json_response(result)

    return handle


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
    return request.match_info.route.name or UNKNOWN_OPERATION


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
        refusal = error
    except web.HTTPRequestEntityTooLarge:
        refusal = api_errors.body_too_large(request.client_max_size)
    except web.HTTPMethodNotAllowed:
        refusal = api_errors.invalid_method(request.method, request.path)
    except web.HTTPNotFound:
        refusal = api_errors.invalid_url(request.method, request.path)
    except Exception:
        _logger.exception("expected an answer to %s %s, got an exception", request.method, request.path)
        refusal = api_errors.internal_error()
    return json_response(refusal.body(), refusal.status)


def _version(request: web.Request) -> ApiVersion:
    # The header may name several beta features, separated by commas.
    for beta in request.headers.get("OpenAI-Beta", "").split(","):
        version = _BETAS.get(beta.strip())
        if version is not None:
            return version
    raise api_errors.invalid_beta()


def _request_id(number: int) -> str:
    """Return an id of the recorded form, `req_` and 32 hexadecimal digits."""
    return "req_" + hashlib.sha256(f"request:{number}".encode()).hexdigest()[:32]
