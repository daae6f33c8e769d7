"""The viewers of operations: who the principal is, and the records that belong to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from gateway.identity.principal import Principal
from gateway.ledger.sightings import CredentialOwner, RecordOwner
from gateway.ledger.user_ports import UserPorts
from gateway.run_log.viewer_hub import ViewerHub
from gateway.viewer.record_access import CredentialRecords, UserRecords
from gateway.viewer.record_keeper import RecordKeeper
from gateway.viewer.record_owners import RecordOwners
from gateway.viewer.recorded_viewer import RecordAccess, RecordedViewer
from gateway.viewer.recordless_viewer import RecordlessViewer
from gateway.viewer.upstream_acceptance import OpenUpstream, UpstreamAcceptance
from schema.contract.ports import EventFeed
from schema.contract.viewer import RateLimitState, ViewerApi, ViewerIdentity, ViewerRole


async def no_rate_limit(_: Principal) -> RateLimitState | None:
    """Return no limit."""
    return None


class ViewerPorts:
    """Makes the viewer of each operation. Without a `keeper`, the gateway keeps no records."""

    def __init__(
        self,
        owners: RecordOwners,
        keeper: RecordKeeper | None,
        hub: ViewerHub,
        *,
        acceptance: UpstreamAcceptance,
        user_ports: UserPorts | None = None,
        get_rate_limit: Callable[[Principal], Awaitable[RateLimitState | None]] = no_rate_limit,
    ) -> None:
        self._owners = owners
        self._keeper = keeper
        self._hub = hub
        self._acceptance = acceptance
        self._user_ports = user_ports
        self._get_rate_limit = get_rate_limit

    def bind(self, principal: Principal, open_upstream: OpenUpstream) -> ViewerApi | None:
        """Make the viewer of one operation. `open_upstream` opens its port without a cache. None if nobody is known."""
        owner = self._owners.from_principal(principal)
        if owner is None:
            return None
        get_identity = partial(self._identify, principal, owner)
        get_rate_limit = partial(self._get_rate_limit, principal)
        keeper = self._keeper
        if keeper is None:
            return RecordlessViewer(get_identity, get_rate_limit=get_rate_limit)
        if isinstance(owner, CredentialOwner):
            check_accepted = partial(self._acceptance.check, principal, open_upstream)
            access: RecordAccess = CredentialRecords(owner, open_upstream, check_accepted, keeper.now_ms)
        else:
            user_ports = self._expect_user_ports()
            access = UserRecords(user_ports.open_access(principal), user_ports.owner_scopes, keeper.now_ms)
        return RecordedViewer(
            get_identity,
            owner,
            keeper,
            access,
            get_rate_limit=get_rate_limit,
            follow=partial(self._follow, principal, owner),
        )

    def _identify(self, principal: Principal, owner: RecordOwner) -> ViewerIdentity:
        user = principal.user
        return ViewerIdentity(
            self._owners.to_viewer_id(owner),
            None if user is None else user.owner.subject,
            frozenset({ViewerRole.ADMIN} if user is not None and user.is_admin else ()),
        )

    async def _follow(self, principal: Principal, owner: RecordOwner, after: str | None) -> EventFeed:
        feed = await self._hub.follow(self._owners.to_log_name(owner), after)
        return feed if principal.user is None else self._expect_user_ports().redact_feed(principal, feed)

    def _expect_user_ports(self) -> UserPorts:
        if self._user_ports is None:
            raise RuntimeError("expected the owners of threads for a signed-in user, got none")
        return self._user_ports
