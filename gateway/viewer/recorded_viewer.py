"""The viewer of one operation over the ledger."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from gateway.ledger.sightings import RecordKey, RecordOwner, SeenThread
from gateway.viewer.record_keeper import RecordKeeper, records_unavailable_error
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.ports import EventFeed, Results
from schema.contract.thread_records import (
    KeysetPage,
    RecordFilter,
    RecordOrder,
    RecordUpdate,
    RecordWindow,
    ThreadRecord,
    TokenUsage,
    WaitingRun,
    WaitingRunWindow,
)
from schema.contract.viewer import RateLimitState, ViewerIdentity


class AuditUpdate(Protocol):
    """Awaits the update of a record that is a write of its own, and logs it whatever comes of it."""

    def __call__(self, key: ThreadKey, updating: Awaitable[ThreadRecord], /) -> Awaitable[ThreadRecord]:
        """Return the result of `updating`."""


class ListFilling(Protocol):
    """The filling in of one principal's list from elsewhere."""

    def predict_calls(self) -> int:
        """Predict the most upstream calls that filling in takes now."""

    async def fill(self) -> None:
        """Fill in the list."""


class ListAccess(NamedTuple):
    """The principal's list: it is followed by `follow`, behind a cursor or from now on.

    `on_waiting` is called with runs that wait. `filling` fills in what the list lacks, before it is read.
    """

    follow: Callable[[str | None], Awaitable[EventFeed]]
    on_waiting: Callable[[Sequence[WaitingRun]], None]
    filling: ListFilling | None = None


class RecordAccess(Protocol):
    """The records that one principal may read and write by the thread's id."""

    async def find_keys(self, keys: Sequence[ThreadKey]) -> Sequence[RecordKey | GatewayError | None]:
        """Find the record of each thread, for reading. None if nothing can be kept of it for the principal."""

    async def find_key_to_update(self, key: ThreadKey) -> RecordKey:
        """Find the record of a thread, to change it.

        Raises:
            GatewayError: The thread is not the principal's, or that cannot be found out.
        """

    async def see_thread(self, key: RecordKey) -> SeenThread:
        """Find a thread that has no record yet.

        Raises:
            GatewayError: There is no such thread, or that cannot be found out.
        """

    @property
    def needs_question(self) -> bool:
        """Whether `check` may have to ask the upstream."""

    async def check(self) -> None:
        """Check that anything may be read and stored for the principal.

        Raises:
            GatewayError: It may not.
        """


class RecordedViewer:
    """The `ViewerApi` of one operation. `owner` is the principal as the owner of records."""

    keeps_records = True

    def __init__(
        self,
        get_identity: Callable[[], ViewerIdentity],
        owner: RecordOwner,
        keeper: RecordKeeper,
        access: RecordAccess,
        *,
        get_rate_limit: Callable[[], Awaitable[RateLimitState | None]],
        lists: ListAccess,
        audit_update: AuditUpdate,
    ) -> None:
        self._get_identity = get_identity
        self._owner = owner
        self._keeper = keeper
        self._access = access
        self._get_rate_limit = get_rate_limit
        self._lists = lists
        self._audit_update = audit_update
        self._refusal: GatewayError | None = None

    @property
    def identity(self) -> ViewerIdentity:
        return self._get_identity()

    def predict_calls(self, *, lists_threads: bool) -> int:
        filling = self._lists.filling if lists_threads else None
        return self._access.needs_question + (0 if filling is None else filling.predict_calls())

    async def get_records(self, keys: Sequence[ThreadKey]) -> Results[ThreadRecord | None]:
        await self._check()
        found = await self._access.find_keys(keys)
        wanted = {key for key in found if isinstance(key, RecordKey)}
        records: dict[RecordKey, ThreadRecord] = {}
        if wanted:
            records = await self._keeper.read(self._owner, lambda store: store.get_records(wanted))
        return [records.get(key) if isinstance(key, RecordKey) else key for key in found]

    async def list_records(
        self, conditions: RecordFilter, order: RecordOrder, window: RecordWindow
    ) -> KeysetPage[ThreadRecord]:
        await self._check()
        if self._lists.filling is not None:
            await self._lists.filling.fill()
        owner = self._owner
        return await self._keeper.read(owner, lambda store: store.list_records(owner, conditions, order, window))

    async def list_waiting_runs(self, window: WaitingRunWindow) -> KeysetPage[WaitingRun]:
        await self._check()
        owner, now_ms = self._owner, self._keeper.now_ms()
        page = await self._keeper.read(owner, lambda store: store.list_waiting_runs(owner, window, now_ms))
        self._lists.on_waiting(page.items)
        return page

    async def get_usage(self, since_ms: int | None, until_ms: int | None) -> TokenUsage:
        await self._check()
        owner = self._owner
        return await self._keeper.read(owner, lambda store: store.get_usage(owner, since_ms, until_ms))

    async def get_rate_limit(self) -> RateLimitState | None:
        return await self._get_rate_limit()

    async def update_record(self, key: ThreadKey, update: RecordUpdate, *, is_part: bool = False) -> ThreadRecord:
        updating = self._update_record(key, update)
        return await (updating if is_part else self._audit_update(key, updating))

    async def _update_record(self, key: ThreadKey, update: RecordUpdate) -> ThreadRecord:
        await self._check()
        record_key = await self._access.find_key_to_update(key)
        record = await self._keeper.update_record(record_key, update)
        if record is not None:
            return record
        if not await self._keeper.record_thread(await self._access.see_thread(record_key)):
            raise records_unavailable_error()  # its id is on the way to the ledger
        record = await self._keeper.update_record(record_key, update)
        if record is None:
            raise thread_is_gone(key)
        return record

    async def follow(self, *, after: str | None = None) -> EventFeed:
        await self._check()
        return await self._lists.follow(after)

    async def _check(self) -> None:
        """Check the access. A refusal holds for the whole operation, so that the upstream is asked once."""
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)
        try:
            await self._access.check()
        except GatewayError as error:
            self._refusal = error
            raise


def thread_is_gone(key: ThreadKey) -> GatewayError:
    """Make the error of a thread that was deleted while its record was to be changed."""
    return GatewayError(ErrorCode.NOT_FOUND, f"No thread found with id '{key.thread_id}'.")
