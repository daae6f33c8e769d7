"""The viewers of operations: who the principal is, and the records that belong to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from gateway.identity.principal import Principal
from gateway.ledger.sightings import CredentialOwner, RecordOwner
from gateway.ledger.user_ports import UserPorts
from gateway.run_log.viewer_hub import ViewerHub
from gateway.telemetry.call_trace import CallTrace
from gateway.upstream.upstream_port import UpstreamPort
from gateway.viewer.list_watch import ListWatch
from gateway.viewer.observing_threads_api import ObservingThreadsApi
from gateway.viewer.record_access import CredentialRecords, UserRecords
from gateway.viewer.record_keeper import RecordKeeper
from gateway.viewer.record_owners import RecordOwners
from gateway.viewer.recorded_viewer import ListAccess, ListFilling, RecordAccess, RecordedViewer
from gateway.viewer.recordless_viewer import RecordlessViewer
from gateway.viewer.upstream_acceptance import OpenUpstream, UpstreamAcceptance
from gateway.viewer.upstream_list import FillingOfOwner, UpstreamList
from schema.contract.ports import EventFeed, ThreadsApi
from schema.contract.viewer import RateLimitState, ViewerApi, ViewerIdentity, ViewerRole


async def no_rate_limit(_: Principal) -> RateLimitState | None:
    """Return no limit."""
    return None


class ViewerPorts:
    """Makes the viewer of each operation. Without a `keeper` and its `watch`, the gateway keeps no records."""

    def __init__(
        self,
        owners: RecordOwners,
        keeper: RecordKeeper | None,
        watch: ListWatch | None,
        upstream_list: UpstreamList | None,
        hub: ViewerHub,
        *,
        acceptance: UpstreamAcceptance,
        user_ports: UserPorts | None = None,
        get_rate_limit: Callable[[Principal], Awaitable[RateLimitState | None]] = no_rate_limit,
    ) -> None:
        self._owners = owners
        self._keeper = keeper
        self._watch = watch
        self._upstream_list = upstream_list
        self._hub = hub
        self._acceptance = acceptance
        self._user_ports = user_ports
        self._get_rate_limit = get_rate_limit

    def bind(
        self, principal: Principal, open_upstream: Callable[[], UpstreamPort], open_poller: OpenUpstream
    ) -> ViewerApi | None:
        """Make the viewer of one operation. None if nobody is known.

        `open_upstream` opens the operation's port without a cache, `open_poller` one for what is read besides.
        """
        owner = self._owners.from_principal(principal)
        if owner is None:
            return None
        get_identity = partial(self._identify, principal, owner)
        get_rate_limit = partial(self._get_rate_limit, principal)
        keeper, watch = self._keeper, self._watch
        if keeper is None or watch is None:
            return RecordlessViewer(get_identity, get_rate_limit=get_rate_limit)

        def open_observed_poller() -> ThreadsApi:
            return ObservingThreadsApi(open_poller(), keeper, owner)

        filling: ListFilling | None = None
        if isinstance(owner, CredentialOwner):
            check_accepted = partial(self._acceptance.check, principal, open_upstream)
            if self._upstream_list is not None:
                filling = FillingOfOwner(self._upstream_list, owner, open_upstream)
            needs_question = partial(self._acceptance.needs_question, principal)
            access: RecordAccess = CredentialRecords(
                owner, open_upstream, check_accepted, keeper.now_ms, needs_question=needs_question
            )
        else:
            user_ports = self._expect_user_ports()
            access = UserRecords(user_ports.open_access(principal), user_ports.owner_scopes, keeper.now_ms)
        return RecordedViewer(
            get_identity,
            owner,
            keeper,
            access,
            get_rate_limit=get_rate_limit,
            lists=ListAccess(
                partial(self._follow, principal, owner, access, open_observed_poller),
                lambda runs: watch.check_soon(owner, runs, open_observed_poller),
                filling,
            ),
            audit_update=CallTrace.from_current(principal).audit_update,
        )

    def _identify(self, principal: Principal, owner: RecordOwner) -> ViewerIdentity:
        user = principal.user
        return ViewerIdentity(
            self._owners.to_viewer_id(owner),
            None if user is None else user.owner.subject,
            frozenset({ViewerRole.ADMIN} if user is not None and user.is_admin else ()),
        )

    async def _follow(
        self,
        principal: Principal,
        owner: RecordOwner,
        access: RecordAccess,
        open_poller: OpenUpstream,
        after: str | None,
    ) -> EventFeed:
        name = self._owners.to_log_name(owner)
        feed = await self._hub.follow(name, after)
        if self._watch is not None:
            self._watch.follow(owner, name, open_poller, access.check)
        return feed if principal.user is None else self._expect_user_ports().redact_feed(principal, feed)

    def _expect_user_ports(self) -> UserPorts:
        if self._user_ports is None:
            raise RuntimeError("expected the owners of threads for a signed-in user, got none")
        return self._user_ports
