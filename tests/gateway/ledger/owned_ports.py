"""The port of a signed-in user over a fake upstream, for tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.cache.cached_threads_api import CachedThreadsApi
from gateway.cache.shared_cache import SharedCache
from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.owned_threads_api import OwnedThreadsApi, WatchStream
from gateway.ledger.thread_access import OwnerScopes
from gateway.ledger.user_ports import UserPorts
from schema.contract.cost import Cost
from schema.contract.ports import ThreadsApi
from tests.support.fake_ownership import FakeOwnership
from tests.support.signed_in import owner, principal

UPSTREAM = UpstreamIdentity("https://upstream.test/v1")
SCOPES = OwnerScopes(UPSTREAM)
GATEWAY = SCOPES.gateway_scope


def scope_of(name: str) -> str:
    """Return the scope of a user's threads."""
    return SCOPES.to_scope(owner(name))


class OneOperation:
    """An inner port as one operation sees it: with a cost of its own."""

    def __init__(self, inner: Any) -> None:
        self.cost = Cost()
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@dataclass
class Ports:
    """Makes the ports of users' operations. `opened` are the scopes of their ports."""

    inner: ThreadsApi
    ownership: FakeOwnership
    shared: SharedCache
    options: dict[str, bool] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.users = UserPorts(self.ownership, UPSTREAM, self.shared, **self.options)

    def bind(self, name: str) -> OwnedThreadsApi:
        operation: Any = OneOperation(self.inner)

        def open_port(scope: str, watch_stream: WatchStream | None = None) -> CachedThreadsApi:
            del watch_stream  # the fake upstream streams nothing
            self.opened.append(scope)
            return CachedThreadsApi(operation, self.shared, scope)

        return self.users.bind(principal(name, UPSTREAM), operation, open_port)


def look_ups_of(ownership: FakeOwnership) -> Sequence[str]:
    """Return all threads that were looked up, in order."""
    return [thread_id for look_up in ownership.look_ups for thread_id in look_up]
