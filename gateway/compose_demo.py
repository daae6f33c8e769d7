"""The ledger of the demo, with the demo's threads: in memory, or in the database of the settings."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from gateway.compose_options import own_credential, upstream_identity, upstream_options
from gateway.compose_upstream import GATEWAY_SHELF, make_upstream_client
from gateway.config import Settings
from gateway.emulator.demo.seed import DEMO_CONVERSATIONS, DEMO_THREADS, DEMO_UPLOADS
from gateway.emulator.demo.told_runs import ToldConversation, ToldDemo
from gateway.identity.principal import Owner, UpstreamIdentity, own_key_digest
from gateway.ledger.demo_ledger import (
    add_demo_aliases,
    add_demo_assistants,
    add_demo_objects,
    add_demo_records,
    add_demo_runs,
    running_memory_ledger,
)
from gateway.ledger.ledger_store import LedgerStore
from gateway.ledger.ownership import Ledger
from gateway.ledger.sightings import CredentialOwner, RecordOwner
from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord, KeptRecords
from gateway.viewer.seen_threads import read_threads
from schema.contract.wire import AssistantObject

WAITING_SECONDS = 10 * 365 * 86_400.0
"""How long the demo's run that waits is kept from expiring, for demos left open: ten years."""


def demo_upstream_url(emulator_url: str, dialect_name: str) -> str:
    """Return the base URL of the demo's data in the emulator, for a dialect."""
    return emulator_url + ("/openai/v1" if dialect_name == "foundry-responses" else "/v1")


@contextlib.asynccontextmanager
async def running_demo_ledger(settings: Settings, user: Owner | None, told: ToldDemo) -> AsyncIterator[Ledger | None]:
    """Run a ledger that has the demo's threads, with their titles, and files: as a user's, or as the own key's.

    Where threads are conversations, it has their runs and the assistants too. The emulator must run already. Yields
    None if the ledger is in the database of the settings, which the gateway opens itself.

    Raises:
        CannotOpenError: The database cannot be used.
    """
    upstream, find_own_credential = upstream_identity(upstream_options(settings)), own_credential(settings)
    owner: RecordOwner = user or CredentialOwner(own_key_digest(find_own_credential(), upstream.lasting))
    if settings.gateway_database_url is not None:
        store = await _open_store(settings.gateway_database_url.get_secret_value(), upstream)
        try:
            await _add_demo(settings, store, owner, told)
        finally:
            await store.aclose()
        yield None
        return
    deadline_seconds = settings.gateway_ledger_deadline_seconds
    async with running_memory_ledger(owner, deadline_seconds=deadline_seconds) as (memory_store, ledger):
        await _add_demo(settings, memory_store, owner, told)
        yield ledger


async def _add_demo(settings: Settings, store: LedgerStore, owner: RecordOwner, told: ToldDemo) -> None:
    options = upstream_options(settings)
    thread_ids: Sequence[str] = DEMO_THREADS
    if options.dialect.family == "responses":
        thread_ids = [conversation.conversation_id for conversation in told.conversations]
        await _add_runs(store.kept, told.conversations)
        # The example operations name the demo's threads.
        await add_demo_aliases(store, options.dialect.family, dict(zip(DEMO_THREADS, DEMO_CONVERSATIONS, strict=True)))
        assistants = msgspec.json.decode(msgspec.json.encode(told.assistants), type=list[AssistantObject])
        shelf = GATEWAY_SHELF if isinstance(owner, Owner) else owner.digest
        await add_demo_assistants(store.kept, shelf, assistants)
    await add_demo_objects(store, owner, thread_ids, DEMO_UPLOADS)
    async with make_upstream_client(settings, options, store.kept) as client:
        api = client.bind(own_credential(settings)(), is_own_key=True)
        sightings = await read_threads(api, owner, thread_ids, int(time.time() * 1000))
    await add_demo_records(store, sightings)


async def _add_runs(kept: KeptRecords, conversations: Sequence[ToldConversation]) -> None:
    waits_since = time.time() + WAITING_SECONDS
    chains = [
        ChainRecord(
            run.response_ids[0],
            run.conversation_id,
            run.created_at,
            run.assistant_id,
            run.response_ids,
            msgspec.json.encode(run.request),
            run.answers,
            status="requires_action" if run.is_waiting else "queued",
            waiting_since=waits_since if run.is_waiting else None,
        )
        for conversation in conversations
        for run in conversation.runs
    ]
    await add_demo_runs(kept, chains, {one.conversation_id: _to_items(one) for one in conversations})


def _to_items(conversation: ToldConversation) -> Mapping[str, ItemRecord]:
    runs = {message_id: run.response_ids[0] for run in conversation.runs for message_id in run.message_ids}
    return {
        item_id: ItemRecord(created_at, runs.get(item_id)) for item_id, created_at in conversation.message_times.items()
    }


async def _open_store(url: str, upstream: UpstreamIdentity) -> LedgerStore:
    from gateway.ledger.open_store import open_store  # noqa: PLC0415 - slow, and few demos have a database

    return await open_store(url, upstream)
