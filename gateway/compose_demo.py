"""The ledger of the demo, with the demo's threads: in memory, or in the database of the settings."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from gateway.compose_options import own_credential, upstream_identity, upstream_options
from gateway.config import Settings
from gateway.identity.principal import Owner, UpstreamIdentity, own_key_digest
from gateway.ledger.demo_ledger import add_demo_objects, add_demo_records, running_memory_ledger
from gateway.ledger.ledger_store import LedgerStore
from gateway.ledger.ownership import Ledger
from gateway.ledger.sightings import CredentialOwner, RecordOwner
from gateway.upstream.threads_api_client import UpstreamClient
from gateway.viewer.seen_threads import read_threads


@contextlib.asynccontextmanager
async def running_demo_ledger(
    settings: Settings, user: Owner | None, thread_ids: Sequence[str], file_ids: Sequence[str]
) -> AsyncIterator[Ledger | None]:
    """Run a ledger that has these threads, with their titles, and files: as a user's, or as the gateway's own key's.

    The emulator must run already. Yields None if the ledger is in the database of the settings, which the gateway opens
    itself.

    Raises:
        CannotOpenError: The database cannot be used.
    """
    options = upstream_options(settings)
    upstream, find_own_credential = upstream_identity(options), own_credential(settings)
    owner: RecordOwner = user or CredentialOwner(own_key_digest(find_own_credential(), upstream.lasting))
    async with UpstreamClient(options) as client:
        api = client.bind(find_own_credential(), is_own_key=True)
        sightings = await read_threads(api, owner, thread_ids, int(time.time() * 1000))
    if settings.gateway_database_url is not None:
        store = await _open_store(settings.gateway_database_url.get_secret_value(), upstream)
        try:
            await add_demo_objects(store, owner, thread_ids, file_ids)
            await add_demo_records(store, sightings)
        finally:
            await store.aclose()
        yield None
        return
    deadline_seconds = settings.gateway_ledger_deadline_seconds
    async with running_memory_ledger(owner, deadline_seconds=deadline_seconds) as (store, ledger):
        await add_demo_objects(store, owner, thread_ids, file_ids)
        await add_demo_records(store, sightings)
        yield ledger


async def _open_store(url: str, upstream: UpstreamIdentity) -> LedgerStore:
    from gateway.ledger.open_store import open_store  # noqa: PLC0415 - slow, and few demos have a database

    return await open_store(url, upstream)
