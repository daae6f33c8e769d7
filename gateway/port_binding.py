"""Binds the ports of each operation to its principal: the cache over the upstream, behind the owners of threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from gateway.cache.cached_threads_api import CachedThreadsApi
from gateway.cache.shared_cache import SharedCache
from gateway.identity.accepted_credentials import AcceptedCredentials
from gateway.identity.principal import Principal
from gateway.ledger.aliased_ports import AliasedRunEvents, AliasedThreadsApi, AliasedViewer
from gateway.ledger.owned_threads_api import WatchStream
from gateway.ledger.thread_aliases import ThreadAliases
from gateway.ledger.user_ports import UserPorts
from gateway.rate_limits.caller_limits import CallerLimits
from gateway.run_log.hub import RunLogHub
from gateway.telemetry.call_trace import CallTrace
from gateway.upstream.bound_calls import BindablePool
from gateway.upstream.file_transfers import BoundFileTransfers
from gateway.upstream.upstream_port import UpstreamPort
from gateway.viewer.viewer_services import ViewerServices
from schema.contract.cost import Cost
from schema.contract.ports import RunEvents, ThreadsApi
from schema.contract.run_streams import RunStream
from schema.contract.viewer import ViewerApi
from schema.contract.wire import RunObject


@dataclass(frozen=True, slots=True)
class CallerCredentials:
    """The credentials of callers: which goes upstream, what becomes of a response's status, which are accepted."""

    find_credential: Callable[[Principal], str | None]
    on_status: Callable[[Principal, int], None]
    accepted: AcceptedCredentials


BindPort: TypeAlias = Callable[[Principal, str | None, Callable[[int], None], CallTrace], UpstreamPort]


@dataclass(frozen=True, slots=True)
class UpstreamPorts:
    """The upstream of all operations.

    `bind_port` makes the port of a principal's calls for one operation: with a credential, and with what learns of the
    statuses of responses.
    """

    client: BindablePool
    bind_port: BindPort


class PortBinding:
    """Makes the ports of operations.

    All that is kept for the holder of an upstream's credential lies in one scope, their own. What a signed-in user
    reads lies in the scopes of the threads' owners, as `user_ports` decide. Whoever calls, calls are counted by caller.

    The calls of polls count among the `caller_limits` of the caller who follows. `aliases` are the ids of threads that
    were copied from another upstream.
    """

    def __init__(
        self,
        upstream: UpstreamPorts,
        shared_cache: SharedCache,
        hub: RunLogHub,
        *,
        credentials: CallerCredentials,
        user_ports: UserPorts | None = None,
        caller_limits: CallerLimits | None = None,
        viewers: ViewerServices,
        aliases: ThreadAliases | None = None,
    ) -> None:
        self._upstream = upstream
        self._shared_cache = shared_cache
        self._hub = hub
        self._credentials = credentials
        self._user_ports = user_ports
        self._caller_limits = caller_limits
        self._viewers = viewers
        self._aliases = aliases

    def bind(self, principal: Principal) -> ThreadsApi:
        """Make the port of one operation."""
        port, aliases = self._bind_port(principal), self._aliases
        return port if aliases is None or aliases.has_none else AliasedThreadsApi(port, aliases)

    def _bind_port(self, principal: Principal) -> ThreadsApi:
        upstream = self._bind_upstream(principal, CallTrace.from_current(principal))
        open_port = partial(self._open_port, upstream)
        if principal.user is None:
            self._viewers.owners.from_principal(principal)  # whose the objects of this scope are
            return open_port(principal.digest)
        return self._expect_user_ports().bind(principal, upstream, open_port)

    def bind_events(self, principal: Principal) -> RunEvents:
        """Make the port of the run events of one operation.

        What follows a run for many subscriptions carries the request id of one that began to follow.
        """
        events, aliases = self._bind_events(principal), self._aliases
        return events if aliases is None or aliases.has_none else AliasedRunEvents(events, aliases)

    def _bind_events(self, principal: Principal) -> RunEvents:
        trace = CallTrace.from_current(principal)

        def open_events(scope: str) -> RunEvents:
            return self._hub.bind(scope, lambda: self._bind_poller(principal, trace))

        if principal.user is None:
            return open_events(principal.digest)
        return self._expect_user_ports().bind_events(principal, open_events)

    def _bind_poller(self, principal: Principal, trace: CallTrace) -> ThreadsApi:
        upstream, limits = self._bind_upstream(principal, trace), self._caller_limits
        return upstream if limits is None else limits.meter(principal, upstream)

    def bind_viewer(self, principal: Principal, cost: Cost) -> ViewerApi | None:
        """Make the viewer of one operation, whose upstream calls count in `cost`. None if nobody is known."""

        def open_upstream() -> UpstreamPort:
            upstream = self._bind_upstream(principal, CallTrace.from_current(principal))
            upstream.cost = cost
            return upstream

        def open_poller() -> ThreadsApi:
            return self._bind_poller(principal, CallTrace.from_current(principal))

        viewer, aliases = self._viewers.ports.bind(principal, open_upstream, open_poller), self._aliases
        return viewer if viewer is None or aliases is None or aliases.has_none else AliasedViewer(viewer, aliases)

    def bind_transfers(self, principal: Principal) -> BoundFileTransfers:
        """Make the port of the contents of files, for one transfer. Whose they are is checked before."""
        return self._upstream.client.bind_transfers(
            self._credentials.find_credential(principal),
            on_status=partial(self._credentials.on_status, principal),
            caller=principal.digest,
            is_own_key=principal.uses_own_key,
            is_accepted=principal.credential is None or principal.digest in self._credentials.accepted,
            request_id=CallTrace.from_current(principal).request_id,
        )

    def _bind_upstream(self, principal: Principal, trace: CallTrace) -> UpstreamPort:
        on_status = partial(self._credentials.on_status, principal)
        return self._upstream.bind_port(principal, self._credentials.find_credential(principal), on_status, trace)

    def _open_port(
        self, upstream: UpstreamPort, scope: str, watch_stream: WatchStream | None = None
    ) -> CachedThreadsApi:
        hub = self._hub

        async def record_stream(stream: RunStream) -> RunObject:
            return await hub.record_stream(scope, stream if watch_stream is None else watch_stream(stream))

        recording = self._viewers.observe(scope, upstream.with_recorder(record_stream))
        return CachedThreadsApi(recording, self._shared_cache, scope, partial(hub.poll_soon, scope))

    def _expect_user_ports(self) -> UserPorts:
        if self._user_ports is None:
            raise RuntimeError("expected the owners of threads for a signed-in user, got none")
        return self._user_ports
