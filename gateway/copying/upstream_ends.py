"""Opens both ends of a copy: the clients of the upstreams with their own keys, and their ledgers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.copying.copy_ends import CopySource, CopyTarget, CreateMessages, OneByOne, Patience
from gateway.copying.copy_ledger import LedgerEnd
from gateway.copying.message_plan import MessageRules
from gateway.identity.principal import UpstreamIdentity, own_key_digest
from gateway.ledger.sightings import CredentialOwner
from gateway.ledger.sql_store import SqlStore
from gateway.upstream.dialects import Family
from gateway.upstream.file_transfers import BoundFileTransfers
from gateway.upstream.responses.message_import import MessageImport
from gateway.upstream.responses.responses_client import ResponsesClient
from gateway.upstream.threads_api_client import UpstreamClient
from gateway.upstream.upstream_options import UpstreamOptions

COMMAND = "copy"
"""The caller of all calls."""


RULES: Mapping[Family, MessageRules] = {
    "assistants": MessageRules(),
    "responses": MessageRules(
        takes_metadata=False, takes_searched_files=False, takes_answered_files=False, keeps_times=True
    ),
}
"""The limits of the servers of each family. Source: what `item_from_message` refuses; an assistant's items are text."""


@dataclass(frozen=True, slots=True)
class UpstreamEnd:
    """One end of a copy: the upstream with the key that reads or creates threads there, and its ledger."""

    options: UpstreamOptions
    identity: UpstreamIdentity
    credential: str
    store: SqlStore

    @property
    def ledger(self) -> LedgerEnd:
        """The ledger, with the owner of the records of those who call with this key."""
        return LedgerEnd(self.store, CredentialOwner(own_key_digest(self.credential, self.identity.lasting)))


@asynccontextmanager
async def open_source(end: UpstreamEnd) -> AsyncIterator[CopySource]:
    """Open the upstream that threads are read from."""
    async with _make_client(end) as client:
        yield CopySource(client.bind(end.credential, is_own_key=True), _transfers(client, end), Patience())


@asynccontextmanager
async def open_target(end: UpstreamEnd) -> AsyncIterator[CopyTarget]:
    """Open the upstream where threads are created again."""
    async with _make_client(end) as client:
        port = client.bind(end.credential, is_own_key=True)
        create: CreateMessages = OneByOne(port)
        if isinstance(client, ResponsesClient):
            create = MessageImport(client, end.credential, COMMAND)
        yield CopyTarget(port, _transfers(client, end), create, RULES[end.options.dialect.family], Patience())


def _make_client(end: UpstreamEnd) -> UpstreamClient | ResponsesClient:
    if end.options.dialect.family == "responses":
        return ResponsesClient(end.options, end.store.kept)
    return UpstreamClient(end.options)


def _transfers(client: UpstreamClient | ResponsesClient, end: UpstreamEnd) -> BoundFileTransfers:
    return client.bind_transfers(end.credential, caller=COMMAND, is_own_key=True)
