"""The part of the composition that concerns the upstream: the client of its family, and the ports of each operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from gateway.config import Settings
from gateway.identity.principal import Principal
from gateway.ledger.chain_expiry import ChainExpiry
from gateway.port_binding import UpstreamPorts
from gateway.telemetry.call_trace import CallTrace
from gateway.upstream.responses.kept_records import KeptRecords
from gateway.upstream.responses.responses_client import ResponsesClient
from gateway.upstream.responses.streamed_responses import ResponseStreamOptions
from gateway.upstream.threads_api_client import UpstreamClient
from gateway.upstream.upstream_options import UpstreamOptions
from gateway.upstream.upstream_port import UpstreamPort
from gateway.viewer.viewer_services import ViewerServices
from schema.contract.errors import ErrorCode, GatewayError

GATEWAY_SHELF = "gateway"
"""The shelf of the assistants of all signed-in users."""

LEDGER_LOCK_SECONDS = 30.0
"""Shortest lease on a thread in the ledger. Each renewal is a transaction, and a file of SQLite has one at a time."""

AnyClient: TypeAlias = UpstreamClient | ResponsesClient


@dataclass(frozen=True, slots=True)
class AssistantOwners:
    """Whose the assistants are that the gateway keeps, and whom they are shown to.

    `find_shelf` returns the name of a principal's assistants. `accept` raises a `GatewayError` for a principal whom the
    upstream does not accept; the port is for the question.
    """

    find_shelf: Callable[[Principal], str]
    accept: Callable[[Principal, Callable[[], UpstreamPort]], Awaitable[None]]

    @classmethod
    def from_viewers(cls, viewers: ViewerServices) -> AssistantOwners:
        """Make them of those whose records are kept: one shelf for all signed-in users, and one for each credential."""

        def find_shelf(principal: Principal) -> str:
            owner = viewers.owners.from_principal(principal)
            return principal.digest if owner is None else viewers.owners.to_viewer_id(owner)

        return cls(
            lambda principal: GATEWAY_SHELF if principal.user is not None else find_shelf(principal),
            viewers.acceptance.check,
        )


def make_upstream_client(
    settings: Settings, options: UpstreamOptions, kept: KeptRecords | None, **pool_options: Any
) -> AnyClient:
    """Make the client of the upstream's family. `pool_options` are those of `UpstreamPool`.

    Raises:
        ValueError: The upstream needs records that the gateway keeps, and there are none.
    """
    if options.dialect.family == "assistants":
        return UpstreamClient(options, **pool_options)
    if kept is None:
        raise ValueError(f"expected a database for the dialect {options.dialect_name}, got none")
    lock_seconds = settings.gateway_run_lease_seconds
    if settings.redis_url is None:
        lock_seconds = max(lock_seconds, LEDGER_LOCK_SECONDS)
    stream_options = ResponseStreamOptions(lock_seconds, settings.gateway_run_expiry_seconds)
    return ResponsesClient(options, kept, stream_options, **pool_options)


def make_chain_expiry(
    settings: Settings, client: AnyClient, find_own_credential: Callable[[], str | None]
) -> ChainExpiry | None:
    """Make what ends runs that wait in vain, with the gateway's own key if it has one. None if the upstream does so."""
    if isinstance(client, UpstreamClient):
        return None

    async def close_chain(run_id: str, status: str) -> None:
        credential = find_own_credential()
        if credential is None:
            raise GatewayError(ErrorCode.UNAUTHENTICATED, "The gateway has no key of its own.")
        await client.bind(credential, is_own_key=True).close_chain(run_id, status)

    return ChainExpiry(client.kept, close_chain, expiry_seconds=settings.gateway_run_expiry_seconds)


def make_upstream_ports(client: AnyClient, owners: AssistantOwners) -> UpstreamPorts:
    """Make the ports of all operations over a client."""
    if isinstance(client, UpstreamClient):
        return UpstreamPorts(client, partial(_bind_threads, client))
    return UpstreamPorts(client, partial(_bind_responses, client, owners))


def _bind_threads(
    client: UpstreamClient,
    principal: Principal,
    credential: str | None,
    on_status: Callable[[int], None],
    trace: CallTrace,
) -> UpstreamPort:
    return client.bind(
        credential, on_status=on_status, caller=principal.digest, is_own_key=principal.uses_own_key, trace=trace
    )


def _bind_responses(
    client: ResponsesClient,
    owners: AssistantOwners,
    principal: Principal,
    credential: str | None,
    on_status: Callable[[int], None],
    trace: CallTrace,
) -> UpstreamPort:
    def bind(**more: Any) -> UpstreamPort:
        return client.bind(
            credential,
            on_status=on_status,
            caller=principal.digest,
            is_own_key=principal.uses_own_key,
            trace=trace,
            shelf=owners.find_shelf(principal),
            **more,
        )

    return bind(confirm_accepted=lambda: owners.accept(principal, bind))
