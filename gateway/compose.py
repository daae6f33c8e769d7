"""The composition root: the only file that chooses implementations."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterable

from aiohttp import web

from gateway.app import create_app
from gateway.auth.credentials import Keys
from gateway.auth.principal import Principal, Upstream
from gateway.cache.api import CachedThreadsApi
from gateway.cache.shared import CacheOptions, SharedCache
from gateway.config import Settings
from gateway.emulator.app import create_app as create_emulator_app
from gateway.emulator.fault_text import parse_fault_rules
from gateway.emulator.model.options import ModelOptions
from gateway.graphiql.routes import graphiql_response, graphiql_routes, load_site, locate_queries
from gateway.health import ReadinessProbe
from gateway.upstream.client import UpstreamClient
from gateway.upstream.options import UpstreamOptions
from gateway.view.endpoint import GraphQLEndpoint, ViewLimits
from schema.paging import PagingLimits
from schema.ports import ThreadsApi
from schema.root import build_schema

DEMO_KEY = "demo-key"
"""Under which the demo's data lies in the emulator. It opens nothing else, so it may stand here."""


def build_gateway_app(settings: Settings) -> web.Application:
    """The gateway over the upstream that the settings name; called in the running loop, closes its connections.

    Raises ValueError where the settings name no upstream.
    """
    if settings.upstream_url is None:
        raise ValueError("expected settings with an upstream_url, got None")
    # What fails for want of a file fails before connections are made.
    page, routes = _graphiql() if settings.gateway_graphiql else (None, ())
    client = UpstreamClient(
        UpstreamOptions(
            base_url=settings.upstream_url,
            dialect_name=settings.upstream_dialect,
            api_version=settings.upstream_api_version,
            organization=settings.upstream_organization,
            project=settings.upstream_project,
            pool_size=settings.upstream_pool_size,
            connect_timeout_seconds=settings.upstream_connect_timeout_seconds,
            timeout_seconds=settings.upstream_timeout_seconds,
            max_concurrency_per_operation=settings.upstream_concurrency,
            max_concurrency_per_principal=settings.upstream_concurrency_per_principal,
            max_response_bytes=settings.upstream_max_response_bytes,
        )
    )

    shared = SharedCache(
        CacheOptions(
            enabled=settings.gateway_cache,
            memory_bytes=settings.gateway_cache_bytes,
            memory_entries=settings.gateway_cache_entries,
            redis_url=settings.redis_url.get_secret_value() if settings.redis_url else None,
            redis_cluster=settings.redis_cluster,
            redis_deadline_seconds=settings.redis_deadline_seconds,
        )
    )

    def bind(principal: Principal) -> ThreadsApi:
        return CachedThreadsApi(client.bind(principal.credential), shared, principal.digest)

    own = settings.upstream_api_key
    endpoint = GraphQLEndpoint(
        build_schema(
            max_depth=settings.gateway_max_query_depth,
            max_tokens=settings.gateway_max_query_tokens,
            max_upstream_calls=settings.gateway_max_upstream_calls,
        ),
        bind,
        keys=Keys(f"Bearer {own.get_secret_value()}" if own else None, settings.upstream_anonymous),
        upstream=Upstream(
            settings.upstream_url,
            settings.upstream_organization,
            settings.upstream_project,
            settings.upstream_dialect,
            settings.upstream_api_version,
        ),
        limits=ViewLimits(
            max_body_bytes=settings.gateway_max_body_bytes,
            body_timeout_seconds=settings.gateway_body_timeout_seconds,
            max_query_tokens=settings.gateway_max_query_tokens,
            # A load may take several calls one after the other, each with its own deadline.
            load_deadline_seconds=2 * settings.upstream_timeout_seconds,
            paging=PagingLimits(settings.gateway_max_page_size),
        ),
        page=page,
        always_report_cost=settings.gateway_cost,
    )
    probe = ReadinessProbe(client.ping, is_stopping=lambda: endpoint.operations.stopping)
    app = create_app(endpoint, probe, routes)

    async def own_connections(_: web.Application) -> AsyncIterator[None]:
        async with client, shared:
            yield

    app.cleanup_ctx.append(own_connections)
    return app


def build_emulator_app(settings: Settings) -> web.Application:
    """The bundled emulator with the demo's data under `DEMO_KEY`.

    Raises FaultRuleError where the settings name faults that cannot be meant.
    """
    model = None
    if settings.emulator_model_url is not None:
        key = settings.emulator_model_key
        model = ModelOptions(
            settings.emulator_model_url,
            key=key.get_secret_value() if key else None,
            name=settings.emulator_model,
            timeout_seconds=settings.emulator_model_timeout_seconds,
        )
    return create_emulator_app(
        database=settings.emulator_database,
        seed_keys=(DEMO_KEY,),
        faults=parse_fault_rules(settings.emulator_faults or ""),
        fault_control=settings.emulator_fault_control,
        model=model,
    )


def _graphiql() -> tuple[Callable[[web.Request], web.Response], Iterable[web.AbstractRouteDef]]:
    site = load_site(queries=locate_queries())
    return functools.partial(graphiql_response, site=site), graphiql_routes(site)
