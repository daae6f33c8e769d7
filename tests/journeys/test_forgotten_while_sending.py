"""Tests that nothing stays of a person who was forgotten while something of theirs was created or made."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.emulator.http.partitions import partition_from_key
from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.ledger_store import LedgerStore, ObjectKind
from gateway.ledger.open_store import open_store
from tests.support.emulator import KEY, Emulator
from tests.support.file_client import upload
from tests.support.file_samples import CSV
from tests.support.gateway import Gateway, running_gateway
from tests.support.signed_in import NamedUsers, UserClient, owner
from tests.support.subscription_gateway import until


def upstream_files(emulator: Emulator) -> set[str]:
    return {file.id for file in emulator.store.files.list_all(partition_from_key(KEY), None)}


@asynccontextmanager
async def gateway_and_store(emulator: Emulator, directory: Path) -> AsyncIterator[tuple[Gateway, LedgerStore]]:
    url, upstream = f"sqlite:///{directory}/ledger.db", UpstreamIdentity(emulator.url, dialect="openai-v2")
    options = {
        "upstream_api_key": KEY,
        "upstream_dialect": "openai-v2",
        "gateway_database_url": url,
        "gateway_ledger_deadline_seconds": 20.0,
    }
    async with running_gateway(emulator.url, authenticator=NamedUsers(upstream), **options) as gateway:
        store = await open_store(url, upstream)
        try:
            yield gateway, store
        finally:
            await store.aclose()


async def test_a_file_that_is_sent_by_a_person_who_is_forgotten_meanwhile_is_deleted(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with gateway_and_store(emulator, tmp_path) as (gateway, store):
        before = upstream_files(emulator)
        ann = UserClient(gateway, "ann")
        ann.credential = "Bearer ann"
        emulator.misbehave("createFile:latency=300ms:when=after")
        sending = asyncio.create_task(upload(ann, CSV, "a.csv"))
        await until(lambda: upstream_files(emulator) != before)
        (file_id,) = upstream_files(emulator) - before
        await store.add_tombstone(owner("ann"), 1000)
        emulator.clock.advance(1)
        await sending
        await until(lambda: upstream_files(emulator) == before)
        assert await store.find_owners(ObjectKind.FILE, [file_id]) == {}
        assert await store.count_objects(owner("ann")) == 0
