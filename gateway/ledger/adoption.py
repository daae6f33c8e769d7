"""Adopts objects that exist already: the threads or files of a list, or all threads that the upstream lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice

from gateway.identity.principal import Owner
from gateway.ledger.ledger_store import Adoption, LedgerStore, ObjectKind
from gateway.upstream.upstream_port import UpstreamPort
from schema.contract.errors import GatewayError
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from schema.contract.wire import ThreadObject

BATCH_SIZE = 500
"""Objects of one transaction: short enough that those who create threads meanwhile hardly wait."""


IN_FLIGHT_SECONDS = 300.0
"""Age at which a thread that is listed is adopted. Of a younger one, the id may still be on the way to the ledger."""


class Adopter:
    """Adopts objects of one kind in batches.

    `outcome` is what has been stored, `too_new_count` the number of threads that were listed and left alone because
    somebody may be about to own them. `on_progress` gets the number of objects so far.
    """

    def __init__(
        self,
        store: LedgerStore,
        *,
        kind: ObjectKind = ObjectKind.THREAD,
        reassign: bool,
        unix_seconds: Callable[[], float],
        on_progress: Callable[[int], None],
    ) -> None:
        self._store = store
        self._kind = kind
        self._reassign = reassign
        self._unix_seconds = unix_seconds
        self._on_progress = on_progress
        self.outcome = Adoption()
        self.object_count = 0
        self.too_new_count = 0

    async def adopt_all(self, owned: Iterable[tuple[str, Owner]]) -> None:
        """Adopt objects with their owners. Of several owners of an object, the first one counts.

        Raises:
            LedgerUnavailableError: The ledger did not answer. What was adopted until then stays.
        """
        for batch in _to_batches(iter(owned)):
            await self._adopt_batch(batch)

    async def adopt_listed(self, port: UpstreamPort, owner: Owner) -> None:
        """Adopt all threads that the upstream lists, oldest first, but for those that are new.

        A gateway that runs meanwhile records the owner of a new thread a moment after the upstream shows it. So a
        thread is adopted only if it was there some time before this began, by the upstream's clock.

        Raises:
            GatewayError: The upstream did not list them.
            LedgerUnavailableError: The ledger did not answer.
        """
        newest = self._unix_seconds() - IN_FLIGHT_SECONDS
        async for threads in _list_threads(port):
            # A time of 0 is not known.
            old = [thread.id for thread in threads if 0 < thread.created_at <= newest]
            self.too_new_count += len(threads) - len(old)
            if old:
                await self._adopt_batch(dict.fromkeys(old, owner))

    async def _adopt_batch(self, owners: dict[str, Owner]) -> None:
        now = int(self._unix_seconds())
        self.outcome += await self._store.adopt_objects(self._kind, owners, now, reassign=self._reassign)
        self.object_count += len(owners)
        self._on_progress(self.object_count)


def _to_batches(owned: Iterator[tuple[str, Owner]]) -> Iterator[dict[str, Owner]]:
    while taken := list(islice(owned, BATCH_SIZE)):
        batch: dict[str, Owner] = {}
        for object_id, owner in taken:
            batch.setdefault(object_id, owner)
        yield batch


async def _list_threads(port: UpstreamPort) -> AsyncIterator[Sequence[ThreadObject]]:
    after: str | None = None
    while True:
        page = await port.list_threads(Window(UPSTREAM_PAGE_SIZE, "asc", after))
        if isinstance(page, GatewayError):
            raise page
        if page.data:
            yield page.data
        if not page.data or not page.has_more:
            return
        after = page.data[-1].id
