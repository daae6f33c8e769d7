"""Tests that the writer of sightings waits where nothing is to be written, and leaves the event loop to others."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from itertools import count

from gateway.ledger.record_store import RecordChanges, WrittenRecord
from gateway.ledger.sightings import CredentialOwner, RecordKey, SeenThread, Sighting
from gateway.viewer.pending_sightings import SightingBatch
from gateway.viewer.seen_objects import SeenObject
from gateway.viewer.sighting_writer import SightingWriter

ANN = CredentialOwner("ann")
MOST_SLEEPS = 50


def seen(number: int) -> SeenObject:
    return SeenObject(SeenThread(RecordKey(ANN, f"thread_{number}"), seen_at_ms=1, created_at_ms=1))


async def test_what_arrives_while_a_batch_is_collected_is_written_with_it_and_then_the_writer_waits() -> None:
    written: list[Sequence[Sighting]] = []
    sleeps = count()
    writer: SightingWriter

    async def sleep(_: float) -> None:
        if next(sleeps) == 0:
            writer.submit(ANN, iter([seen(2)]))
        await asyncio.sleep(0)

    async def write_batch(sightings: Sequence[Sighting]) -> RecordChanges:
        written.append(sightings)
        return RecordChanges()

    async def on_written(_: RecordChanges, __: SightingBatch) -> None:
        pass

    async def find_written(_: Mapping[RecordKey, Collection[str]]) -> dict[RecordKey, WrittenRecord]:
        return {}

    writer = SightingWriter(write_batch, on_written, find_written=find_written, sleep=sleep)
    writer.start()
    writer.submit(ANN, iter([seen(1)]))
    await writer.wait_until_idle()
    for _ in range(MOST_SLEEPS):
        await asyncio.sleep(0)  # a writer that does not wait never lets this return
    assert [len(batch) for batch in written] == [2]
    assert next(sleeps) == 1
    await writer.aclose()
