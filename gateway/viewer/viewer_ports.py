"""The viewers of operations: who the principal is, and the records that belong to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from gateway.identity.principal import Principal
from gateway.ledger.sightings import CredentialOwner
from gateway.ledger.user_ports import UserPorts
from gateway.run_log.viewer_hub import ViewerHub
from gateway.viewer.record_access import CredentialRecords, UserRecords
from gateway.viewer.record_keeper import RecordKeeper
from gateway.viewer.record_owners import RecordOwners
from gateway.viewer.recorded_viewer import RecordAccess, RecordedViewer
from gateway.viewer.recordless_viewer import RecordlessViewer
from schema.contract.ports import EventFeed, ThreadsApi
from schema.contract.viewer import RateLimitState, ViewerApi, ViewerIdentity, ViewerRole


async def _no_limit(_: Principal) -> RateLimitState | None:
    return None


class ViewerPorts:
    """Makes the viewer of each operation. Without a `keeper` and its `hub`, the gateway keeps no records.

    `check_accepted` raises a `GatewayError` unless the upstream has accepted a principal's own credential lately.
    """

    def __init__(
        self,
        owners: RecordOwners,
        keeper: RecordKeeper | None,
        hub: ViewerHub,
        *,
        check_accepted: Callable[[Principal, ThreadsApi], Awaitable[None]],
        user_ports: UserPorts | None = None,
        get_rate_limit: Callable[[Principal], Awaitable[RateLimitState | None]] = _no_limit,
    ) -> None:
        self._owners = owners
        self._keeper = keeper
        self._hub = hub
        self._check_accepted = check_accepted
        self._user_ports = user_ports
        self._get_rate_limit = get_rate_limit

    def bind(self, principal: Principal, upstream: ThreadsApi) -> ViewerApi | None:
        """Make the viewer of one operation. `upstream` is its port without a cache. None if nobody is known."""
        owner = self._owners.from_principal(principal)
        if owner is None:
            return None
        user, get_rate_limit = principal.user, partial(self._get_rate_limit, principal)
        identity = ViewerIdentity(
            self._owners.to_viewer_id(owner),
            None if user is None else user.owner.subject,
            frozenset({ViewerRole.ADMIN} if user is not None and user.is_admin else ()),
        )
        keeper = self._keeper
        if keeper is None:
            return RecordlessViewer(identity, get_rate_limit=get_rate_limit)
        return RecordedViewer(
            identity,
            owner,
            keeper,
            self._open_access(principal, keeper, upstream),
            get_rate_limit=get_rate_limit,
            follow=partial(self._follow, principal),
        )

    def _open_access(self, principal: Principal, keeper: RecordKeeper, upstream: ThreadsApi) -> RecordAccess:
        owner = self._owners.from_principal(principal)
        if isinstance(owner, CredentialOwner):
            check_accepted = partial(self._check_accepted, principal, upstream)
            return CredentialRecords(owner, upstream, check_accepted, keeper.now_ms)
        user_ports = self._expect_user_ports()
        return UserRecords(user_ports.open_access(principal), user_ports.owner_scopes, keeper.now_ms)

    async def _follow(self, principal: Principal, after: str | None) -> EventFeed:
        owner = self._owners.from_principal(principal)
        if owner is None:
            raise RuntimeError("expected the list of a known principal to be followed")
        feed = await self._hub.follow(self._owners.to_log_name(owner), after)
        return feed if principal.user is None else self._expect_user_ports().redact_feed(principal, feed)

    def _expect_user_ports(self) -> UserPorts:
        if self._user_ports is None:
            raise RuntimeError("expected the owners of threads for a signed-in user, got none")
        return self._user_ports
