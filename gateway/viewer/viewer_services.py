"""All that a process has for viewers, put together: owners, accepted credentials, records, the logs of lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from gateway.identity.accepted_credentials import AcceptedCredentials
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.sightings import CredentialOwner
from gateway.ledger.thread_access import OwnerScopes
from gateway.ledger.user_ports import UserPorts
from gateway.run_log.store.event_log import EventLog
from gateway.run_log.viewer_hub import ViewerHub
from gateway.viewer.list_watch import ListWatch
from gateway.viewer.observing_threads_api import ObservingThreadsApi
from gateway.viewer.record_keeper import RecordKeeper
from gateway.viewer.record_owners import RecordOwners
from gateway.viewer.upstream_acceptance import UpstreamAcceptance
from gateway.viewer.upstream_list import UpstreamList
from gateway.viewer.viewer_ports import ViewerPorts, no_rate_limit
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.ports import ThreadsApi
from schema.contract.run_events import Change
from schema.contract.viewer import RateLimitState


class ViewerServices:
    """The one set of a process. Made inside the running loop, begun by `start`, ended by `aclose` before the log.

    Without `records`, the gateway keeps no records. `lists_threads` says whether the upstream can list threads.
    """

    def __init__(
        self,
        upstream: UpstreamIdentity,
        records: LedgerLink | None,
        event_log: EventLog,
        *,
        user_ports: UserPorts | None = None,
        find_own_credential: Callable[[], str | None] = lambda: None,
        accepted: AcceptedCredentials,
        lists_threads: bool = False,
        get_rate_limit: Callable[[Principal], Awaitable[RateLimitState | None]] = no_rate_limit,
    ) -> None:
        owner_scopes = OwnerScopes(upstream) if user_ports is None else user_ports.owner_scopes
        self.owners = RecordOwners(upstream, owner_scopes, find_own_credential)
        self.acceptance = UpstreamAcceptance(accepted)
        self._hub = ViewerHub(event_log)
        self.keeper = None if records is None else RecordKeeper(records, self._hub, self.owners)
        self._watch = None if self.keeper is None else ListWatch(self.keeper, self._hub)
        self._upstream_list = UpstreamList(self.keeper) if self.keeper is not None and lists_threads else None
        self.ports = ViewerPorts(
            self.owners,
            self.keeper,
            self._watch,
            self._upstream_list,
            self._hub,
            acceptance=self.acceptance,
            user_ports=user_ports,
            get_rate_limit=get_rate_limit,
        )

    def start(self) -> None:
        """Begin to keep records."""
        if self.keeper is not None:
            self.keeper.start()

    async def aclose(self) -> None:
        """Write what waits, end all readers, and end every task."""
        if self._watch is not None:
            await self._watch.aclose()
        if self._upstream_list is not None:
            await self._upstream_list.aclose()
        if self.keeper is not None:
            await self.keeper.aclose()
        await self._hub.close()
        await self.acceptance.aclose()

    def observe(self, scope: str, port: ThreadsApi) -> ThreadsApi:
        """Return the port of a scope, which observes what passes if it belongs to anybody of whom records are kept."""
        owner = None if self.keeper is None else self.owners.find_owner(scope)
        return port if self.keeper is None or owner is None else ObservingThreadsApi(port, self.keeper, owner)

    def observe_changes(self, scope: str, key: RunKey | ThreadKey, changes: Sequence[Change]) -> None:
        """Take what changed in a run or a thread that this process records. Never raises."""
        if self.keeper is not None:
            self.keeper.observe_changes(scope, key, changes)

    def end_caller(self, principal: Principal, error: GatewayError) -> None:
        """End the readers of a caller whose credential the upstream refuses, and store nothing more for them."""
        owner = self.owners.from_principal(principal)
        if isinstance(owner, CredentialOwner):
            self._hub.end_readers(self.owners.to_log_name(owner), error)
            if self.keeper is not None:
                self.keeper.writer.drop_owner(owner)
