"""The composition root: the only module that chooses implementations."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.background_tasks import end_tasks
from gateway.cache import tags
from gateway.cache.shared_cache import SharedCache
from gateway.compose_files import file_parts
from gateway.compose_ledger import make_kept_records, make_ledger, make_user_ports
from gateway.compose_options import (
    cache_options,
    fit_connections,
    own_credential,
    rate_limit_options,
    redis_options,
    request_limits,
    run_log_options,
    upstream_identity,
    upstream_options,
)
from gateway.compose_run_log import make_event_log, make_redis_connection
from gateway.compose_telemetry import attach_observer, list_state_gauges, make_observer
from gateway.compose_upstream import (
    AnyClient,
    AssistantOwners,
    make_chain_expiry,
    make_upstream_client,
    make_upstream_ports,
)
from gateway.config import Settings, check_url_secret_shared
from gateway.emulator.app import create_app as create_emulator_app
from gateway.emulator.demo.told_runs import ToldDemo, read_told_demo
from gateway.emulator.faults.fault_text import parse_fault_rules
from gateway.emulator.http.api_endpoint import SERVICES
from gateway.emulator.http.partitions import partition_from_key
from gateway.emulator.model.model_client import ModelOptions
from gateway.identity.accepted_credentials import AcceptedCredentials
from gateway.identity.allowed_origins import AllowedOrigins
from gateway.identity.authenticator import Authenticator, CredentialAuthenticator
from gateway.identity.credentials import CredentialPolicy
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.identity.refused_credentials import RefusedCredentials
from gateway.identity.sign_in import token_authenticator
from gateway.ledger.chain_expiry import ChainExpiry
from gateway.ledger.forgetting import delete_owned
from gateway.ledger.ledger_store import OwnedObject
from gateway.ledger.ownership import Ledger
from gateway.ledger.thread_aliases import ThreadAliases
from gateway.ledger.user_ports import UserPorts
from gateway.port_binding import CallerCredentials, PortBinding
from gateway.rate_limits.caller_limits import CallerLimits
from gateway.rate_limits.shared_counters import SharedCounters
from gateway.run_log.hub import ChangeListeners, RunLogHub
from gateway.run_log.store.event_log import EventLog
from gateway.run_log.store.redis_log import RedisLog
from gateway.server.app import create_app
from gateway.server.documents.document_files import DocumentFiles
from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.documents.trusted_documents import DocumentsOnly
from gateway.server.endpoint import GraphQLEndpoint
from gateway.server.graphiql.routes import graphiql_response, graphiql_routes, load_site, locate_queries
from gateway.server.health import ReadinessProbe
from gateway.server.http.operation_contexts import OperationContexts
from gateway.server.http.operation_runner import OperationRunner
from gateway.telemetry.audit import audit_refused_access
from gateway.telemetry.operation_observer import OperationObserver
from gateway.viewer.viewer_ports import no_rate_limit
from gateway.viewer.viewer_services import ViewerServices
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.operations.gateway_schema import GatewaySchema
from schema.root import build_schema

_logger = logging.getLogger(__name__)

DEMO_KEY = "demo-key"
"""Key of the demo's data in the emulator by default. It gives access to nothing else, so it is no secret."""

DOCUMENT_FILES = web.AppKey("document_files", DocumentFiles)
"""The files of trusted documents, if the gateway has any. SIGHUP reads them again."""

MAX_SELECTIONS = 100
"""The most selections in one object in the production profile. The largest type has some thirty fields."""


def build_gateway_app(
    settings: Settings,
    *,
    authenticator: Authenticator | None = None,
    ledger: Ledger | None = None,
    observer: OperationObserver | None = None,
) -> web.Application:
    """Build the gateway over the upstream that the settings name.

    Call it in a running event loop. The application opens and closes its own connections. Callers may bring their own
    `authenticator` and `observer`, and their own `ledger` in place of the one in the database of the settings.

    Raises:
        ValueError: The settings name no upstream.
        ManifestError: The trusted documents cannot be read.
        KeyFileError: The file with the gateway's own key cannot be used.
        BadSettingsError: The settings of sign-in are incomplete, or their key cannot be used; or gateways share a
            Redis and no secret of addresses.
        CannotOpenError: The URL of the database cannot be used. The start of the application raises it too.
        TracingSettingsError: The variables of OpenTelemetry ask for what this program cannot do.
    """
    check_url_secret_shared(settings)
    options = upstream_options(settings)
    observer = observer or make_observer(settings)
    metrics = observer.metrics
    # Files are read before connections are made, so that a missing file fails first.
    page, routes = _load_graphiql() if settings.is_on("gateway_graphiql") else (None, ())
    schema = _build_schema(settings)
    documents = DocumentPolicy(
        mode=DocumentsOnly(settings.gateway_documents_only),
        allows_text_by_get=settings.is_on("gateway_get_queries"),
    )
    files = _document_files(settings, documents, schema)
    find_own_credential = own_credential(settings)
    upstream = upstream_identity(options)
    authenticator = authenticator or _authenticator(settings, upstream, find_own_credential)

    def delete_refused(refused: OwnedObject) -> Coroutine[Any, Any, None]:
        return delete_owned(client.bind(find_own_credential(), is_own_key=True), refused)

    ledger = ledger or make_ledger(settings, upstream, delete_refused, metrics)
    redis = make_redis_connection(settings, metrics)
    kept = make_kept_records(ledger.kept, redis, upstream)
    client = make_upstream_client(settings, options, kept, metrics=metrics, tracing=observer.tracing)
    refused, accepted = RefusedCredentials(), AcceptedCredentials()
    limits = _caller_limits(settings, accepted)
    shared_cache = SharedCache(cache_options(settings), is_refused=refused.__contains__, metrics=metrics)
    event_log = make_event_log(settings, redis)
    counts = fit_connections(settings)

    async def invalidate_moved(scope: str, key: RunKey | ThreadKey) -> None:
        await shared_cache.store.end_write(scope, tags.change_observed(key))

    user_ports = make_user_ports(settings, ledger.ownership, upstream, shared_cache)
    contents = file_parts(settings, upstream, authenticator, find_own_credential, user_ports)
    viewers = ViewerServices(
        upstream,
        ledger.records,
        event_log,
        user_ports=user_ports,
        find_own_credential=find_own_credential,
        accepted=accepted,
        lists_threads=client.capabilities.lists_threads,
        get_rate_limit=no_rate_limit if limits is None else limits.state,
    )
    hub = RunLogHub(
        event_log,
        run_log_options(settings),
        listeners=ChangeListeners(
            invalidate_moved,
            viewers.observe_changes,
            None if user_ports is None else user_ports.record_made_files,
        ),
        is_refused=refused.__contains__,
    )

    def drop_refused(principal: Principal) -> None:
        audit_refused_access(principal, "the upstream refused the credential")
        hub.drop_logs(principal.digest, _refused_error())
        shared_cache.remove_caller(principal.digest)
        viewers.end_caller(principal, _refused_error())

    ports = PortBinding(
        make_upstream_ports(client, AssistantOwners.from_viewers(viewers)),
        shared_cache,
        hub,
        credentials=CallerCredentials(
            lambda principal: find_own_credential() if principal.uses_own_key else principal.credential,
            _status_recorder(find_own_credential, accepted, refused, drop_refused),
            accepted,
        ),
        user_ports=user_ports,
        caller_limits=limits,
        viewers=viewers,
        aliases=None if ledger.records is None else ThreadAliases(ledger.records, options.dialect.family),
    )
    endpoint = GraphQLEndpoint(
        OperationRunner(
            schema,
            OperationContexts(
                ports.bind,
                ports.bind_events,
                ports.bind_viewer,
                contents.bind_content_urls,
                limits=request_limits(settings, counts.max_sockets),
            ),
            caller_limits=limits,
            always_report_cost=settings.gateway_cost,
            observer=observer,
        ),
        authenticator=authenticator,
        documents=documents,
        page=page,
    )
    probe = ReadinessProbe(
        lambda: client.ping(find_own_credential()),
        check_ledger=ledger.check,
        # Without it, nobody's threads are known, or no run of an upstream with responses.
        needs_ledger=settings.gateway_jwt_issuer is not None or options.dialect.family == "responses",
        is_stopping=lambda: endpoint.operation_tasks.is_draining,
    )
    app = create_app(
        endpoint,
        probe,
        routes,
        serves_schema=settings.is_on("gateway_introspection"),
        max_connections=counts.max_connections,
    )

    expiry = make_chain_expiry(settings, client, find_own_credential)
    parts = _Parts(client, shared_cache, ledger, event_log, viewers, hub, user_ports, authenticator, files, expiry)
    app.cleanup_ctx.extend([parts.run] if limits is None else [limits.manage, parts.run])
    contents.add_routes(app, settings, endpoint, ports, limits, observer)
    if files is not None:
        app[DOCUMENT_FILES] = files
    attach_observer(app, observer, list_state_gauges(endpoint, hub, client))
    return app


def _caller_limits(settings: Settings, accepted: AcceptedCredentials) -> CallerLimits | None:
    options = rate_limit_options(settings)
    if not options:
        return None
    counters = SharedCounters(options, redis_options(settings))
    return CallerLimits(options, counters, accepted, counts_anonymous=settings.upstream_anonymous)


def _status_recorder(
    find_own_credential: Callable[[], str | None],
    accepted: AcceptedCredentials,
    refused: RefusedCredentials,
    on_refused: Callable[[Principal], None],
) -> Callable[[Principal, int], None]:
    def record_status(principal: Principal, status: int) -> None:
        if principal.credential is None:
            return
        accepted.record_status(principal.digest, status)
        if principal.credential != find_own_credential() and refused.record_status(principal.digest, status):
            on_refused(principal)

    return record_status


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a gateway that are opened before it serves, and closed after its last operation."""

    client: AnyClient
    shared_cache: SharedCache
    ledger: Ledger
    event_log: EventLog
    viewers: ViewerServices
    hub: RunLogHub
    user_ports: UserPorts | None
    authenticator: Authenticator
    files: DocumentFiles | None
    expiry: ChainExpiry | None

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """Open all parts, and close them in the opposite order."""
        async with self.client, self.shared_cache, contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.ledger.aclose)
            await self.ledger.open()
            stack.push_async_callback(self.event_log.close)
            if isinstance(self.event_log, RedisLog):
                await self.event_log.connect()
            stack.push_async_callback(self.viewers.aclose)
            self.viewers.start()
            stack.push_async_callback(self.hub.close)
            if self.user_ports is not None:
                watching = asyncio.create_task(self.user_ports.watch_owners(self.hub))
                stack.push_async_callback(end_tasks, watching)
            if self.expiry is not None:
                stack.push_async_callback(end_tasks, asyncio.create_task(self.expiry.run()))
            stack.push_async_callback(self.authenticator.aclose)
            await self.authenticator.start()
            if self.files is not None:
                stack.push_async_callback(self.files.aclose)
                await self.files.start()
            yield


def _build_schema(settings: Settings) -> GatewaySchema:
    return build_schema(
        max_depth=settings.gateway_max_query_depth,
        max_tokens=settings.gateway_max_query_tokens,
        max_selections=MAX_SELECTIONS if settings.gateway_profile == "production" else None,
        max_upstream_calls=settings.gateway_max_upstream_calls,
        max_objects=settings.gateway_max_objects,
        allows_introspection=settings.is_on("gateway_introspection"),
        hide_suggestions=not settings.is_on("gateway_suggestions"),
        engine=settings.gateway_engine,
    )


def _document_files(settings: Settings, policy: DocumentPolicy, schema: GatewaySchema) -> DocumentFiles | None:
    path = settings.gateway_documents
    return DocumentFiles(Path(path), policy, schema.pin_documents) if path is not None else None


def _refused_error() -> GatewayError:
    return GatewayError(ErrorCode.UNAUTHENTICATED, "The upstream refuses the credential: come again with a new one.")


def _allowed_origins(settings: Settings) -> AllowedOrigins:
    listed = settings.gateway_allowed_origins
    return AllowedOrigins.from_names(listed.split(",") if listed else ())


def _authenticator(
    settings: Settings, upstream: UpstreamIdentity, own_credential: Callable[[], str | None]
) -> Authenticator:
    origins = _allowed_origins(settings)
    if (by_tokens := token_authenticator(settings, origins, upstream)) is not None:
        return by_tokens
    policy = CredentialPolicy(own_credential() is not None, settings.upstream_anonymous, origins)
    return CredentialAuthenticator(policy, upstream, own_credential)


def emulator_keys(settings: Settings) -> tuple[str, ...]:
    """Return the only keys that the emulator takes. Empty if it takes any."""
    return tuple(settings.emulator_keys.get_secret_value().split(",")) if settings.emulator_keys else ()


def demo_key(settings: Settings) -> str:
    """Return the key of the demo's data in the emulator."""
    return next(iter(emulator_keys(settings)), DEMO_KEY)


def build_emulator_app(settings: Settings) -> web.Application:
    """Build the bundled emulator with the demo's data under `demo_key`.

    Raises:
        FaultRuleError: The settings have invalid fault rules.
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
        seed_keys=(demo_key(settings),),
        keys=emulator_keys(settings),
        faults=parse_fault_rules(settings.emulator_faults or ""),
        fault_control=settings.emulator_fault_control,
        model=model,
    )


def read_demo(settings: Settings, emulator: web.Application) -> ToldDemo:
    """Read from the emulator's application what no reply of it tells of the demo."""
    return read_told_demo(emulator[SERVICES].store, partition_from_key(demo_key(settings)))


def _load_graphiql() -> tuple[Callable[[web.Request], web.Response], Iterable[web.AbstractRouteDef]]:
    site = load_site(queries=locate_queries())
    return functools.partial(graphiql_response, site=site), graphiql_routes(site)
