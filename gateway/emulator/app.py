"""The emulator's web application: store, clock, routes and request counts, put together."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

from aiohttp import web

from gateway.emulator.clock import Clock, SystemClock
from gateway.emulator.demo.seed import seed_demo
from gateway.emulator.faults.fault_control import FAULTS, add_fault_control
from gateway.emulator.faults.fault_rules import FaultRule, Faults
from gateway.emulator.faults.faulty_answers import fault_middleware
from gateway.emulator.http.api_endpoint import (
    SERVICES,
    ApiServices,
    BodyLimits,
    api_middleware,
    operation_handler,
    refusal_middleware,
)
from gateway.emulator.http.front_page import add_front_page
from gateway.emulator.http.partitions import KeyRing, partition_from_key
from gateway.emulator.http.request_counts import COUNTS, UNKNOWN_OPERATION, RequestCounts
from gateway.emulator.http.server_paths import BASE_PATHS
from gateway.emulator.model.model_client import ModelOptions
from gateway.emulator.model.model_runs import MODEL_RUNS, ModelRuns, fail_interrupted_runs
from gateway.emulator.operations.registry import operations
from gateway.emulator.state.store import Store
from gateway.emulator.streams.open_streams import OpenStreams

STREAMS: Final = web.AppKey("STREAMS", OpenStreams)


def create_app(
    *,
    database: str = ":memory:",
    clock: Clock | None = None,
    seed_keys: Sequence[str] = (),
    keys: Collection[str] = (),
    limits: BodyLimits | None = None,
    faults: Sequence[FaultRule] = (),
    fault_control: bool = False,
    model: ModelOptions | None = None,
) -> web.Application:
    """Return an application that serves the API from the database file: under `/v1`, and as Azure's servers do.

    Args:
        database: Path of a SQLite file, or `:memory:`.
        clock: The system's clock if None.
        seed_keys: API keys that see the demo data.
        keys: The only API keys that are taken. Any key if empty.
        limits: The largest bodies of requests. The usual ones if None.
        faults: Fault rules that are active from the start.
        fault_control: Whether a route may change the fault rules.
        model: The model that answers runs. Without it, scripts answer.

    Raises:
        DatabaseVersionError: The file was written by another version.
        FaultRuleError: A rule matches no operation.
    """
    clock, limits = clock or SystemClock(), limits or BodyLimits()
    counts = RequestCounts()
    active_faults = Faults(faults, [*(operation.name for operation in operations()), UNKNOWN_OPERATION])
    store = Store(database)
    for key in seed_keys:
        seed_demo(store, partition_from_key(key), clock.now())
    streams = OpenStreams(store, clock)
    middlewares = [api_middleware(counts), fault_middleware(active_faults, streams, clock), refusal_middleware]
    app = web.Application(middlewares=middlewares, client_max_size=limits.other_bytes)
    app[COUNTS] = counts
    app[FAULTS] = active_faults
    app[STREAMS] = streams
    # Also without a model now: no task continues the requests of an earlier process.
    fail_interrupted_runs(store, clock.now())
    model_runs = None if model is None else ModelRuns(store, clock, streams, model)
    app[SERVICES] = ApiServices(store, clock, streams, KeyRing(keys), model_runs, limits)
    _add_operations(app, app[SERVICES])
    add_front_page(app, fault_control=fault_control)
    if fault_control:
        add_fault_control(app)

    async def stop_streams(_: web.Application) -> None:
        streams.stop_all()

    app.on_shutdown.append(stop_streams)

    async def close_store(_: web.Application) -> AsyncIterator[None]:
        yield
        store.close()

    app.cleanup_ctx.append(close_store)
    if model_runs is not None:
        # Registered last, so that it ends before the store closes.
        _add_model_runs(app, model_runs)
    return app


def _add_model_runs(app: web.Application, model_runs: ModelRuns) -> None:
    app[MODEL_RUNS] = model_runs

    async def run_model_runs(_: web.Application) -> AsyncIterator[None]:
        async with model_runs:
            yield

    app.cleanup_ctx.append(run_model_runs)


def _add_operations(app: web.Application, services: ApiServices) -> None:
    for kind, base_path in BASE_PATHS.items():
        for operation in operations():
            name = operation.name if kind == "openai" else f"{kind}.{operation.name}"
            handler = operation_handler(operation, kind, services)
            app.router.add_route(operation.method, base_path + operation.path, handler, name=name)
