"""Random sightings, late and repeated, with changes, removals and moves: a store shows what the model does."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.ledger_store import LedgerStore
from gateway.ledger.record_store import RecordStore
from gateway.ledger.sightings import CredentialOwner, RecordKey, Sighting
from schema.contract.keys import MessageKey
from schema.contract.thread_records import RecordFilter, RecordOrder, RecordUpdate
from tests.contracts.ledger_stores import OpenLedger, open_ledger, records, store
from tests.contracts.record_helpers import list_ids, list_waiting, record_position, search, walk_records
from tests.contracts.record_model import (
    ASSISTANTS,
    WORDS,
    RecordModel,
    see_message,
    see_run,
    see_thread,
)
from tests.support.full_runs import examples

__all__ = ["open_ledger", "records", "store"]  # fixtures

OWNERS = (0, 1)
THREADS = ["thread_a", "thread_B"]
REMOVABLE = "thread_B"
"""Of a thread that is removed, nothing more is learned."""

_TIME = st.integers(0, 24)
_KEY = st.tuples(st.sampled_from(OWNERS), st.sampled_from(THREADS))
_OBJECT = st.integers(0, 2)
_SEEN = st.one_of(
    st.tuples(st.just("thread"), _TIME, st.booleans()),
    st.tuples(st.just("run"), _TIME, _OBJECT),
    st.tuples(st.just("message"), _TIME, _OBJECT),
)
_SEE = st.tuples(st.just("see"), _KEY, st.lists(_SEEN, min_size=4, max_size=12))
_TITLE = st.sampled_from(["title", "ALPHA title", None])
_STEP = st.one_of(
    *[_SEE] * 6,
    st.tuples(st.just("see again"), st.integers(0, 10)),
    st.tuples(st.just("title"), _KEY, _TITLE),
    st.tuples(st.just("archive"), _KEY, st.booleans()),
    st.tuples(st.just("remove thread"), st.just(REMOVABLE)),
    st.tuples(st.just("remove message"), st.sampled_from(THREADS), _OBJECT),
    st.tuples(st.just("move"), _KEY),
)


@given(steps=st.lists(_STEP, min_size=3, max_size=12))
@examples(150, shared_fixtures=True)
@pytest.mark.parametrize(
    "open_ledger", ["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.full)], indirect=True
)
async def test_a_store_shows_what_the_model_does(open_ledger: OpenLedger, steps: list[tuple[Any, ...]]) -> None:
    # Each example has an upstream of its own, and owners, whose digests are of one upstream.
    ledger = await open_ledger(UpstreamIdentity(f"https://{uuid4().hex}.test"))
    owners = [CredentialOwner(uuid4().hex * 2) for _ in OWNERS]
    model = RecordModel()
    batches: list[list[Sighting]] = []
    for step in steps:
        await take_step(model, ledger.records, step, owners, batches)
    for owner in owners:
        await compare(model, ledger.records, owner)
    await close(ledger)


async def take_step(
    model: RecordModel,
    records: RecordStore,
    step: tuple[Any, ...],
    owners: list[CredentialOwner],
    batches: list[list[Sighting]],
) -> None:
    def key_of(chosen: tuple[int, str]) -> RecordKey:
        return RecordKey(owners[chosen[0]], chosen[1])

    match step:
        case ("see", chosen, sightings):
            batches.append([to_sighting(key_of(chosen), seen) for seen in sightings])
            await see(model, records, batches[-1])
        case ("see again", back) if batches:
            await see(model, records, batches[-1 - back % len(batches)][::-1])
        case ("title", chosen, title):
            model.update(key_of(chosen), RecordUpdate(title=title))
            await records.update_record(key_of(chosen), RecordUpdate(title=title), 1)
        case ("archive", chosen, is_archived):
            model.update(key_of(chosen), RecordUpdate(is_archived=is_archived))
            await records.update_record(key_of(chosen), RecordUpdate(is_archived=is_archived), 1)
        case ("remove thread", thread_id):
            model.remove_thread(thread_id)
            await records.remove_threads([thread_id], 1)
        case ("remove message", thread_id, number):
            model.remove_message(MessageKey(thread_id, f"msg_{number}"))
            await records.remove_messages([MessageKey(thread_id, f"msg_{number}")], 1)
        case ("move", chosen):
            model.move(chosen[1], owners[chosen[0]])
            await records.move_records({chosen[1]: owners[chosen[0]]})


def to_sighting(key: RecordKey, seen: tuple[Any, ...]) -> Sighting:
    match seen:
        case ("thread", at_ms, opened):
            return see_thread(key, at_ms, opened=opened)
        case ("run", at_ms, number):
            return see_run(key, f"run_{number}", at_ms)
        case _:
            return see_message(key, f"msg_{seen[2]}", seen[1])


async def see(model: RecordModel, records: RecordStore, batch: list[Sighting]) -> None:
    """Record a batch, and compare the keys of the records that look different with the model's."""
    keys = {seen.key for seen in batch}
    before = {key: record for owner in {key.owner for key in keys} for key, record in shown(model, owner).items()}
    for seen in batch:
        model.see(seen)
    changes = await records.record_sightings(batch)
    after = {key: record for owner in {key.owner for key in keys} for key, record in shown(model, owner).items()}
    assert changes.new_records == after.keys() - before.keys()
    changed = {key for key, record in after.items() if before.get(key) != record}
    # A title may have become another's and then be the same.
    assert changes.records >= changed
    assert (await records.record_sightings(batch)).records == frozenset()


def shown(model: RecordModel, owner: Any) -> dict[RecordKey, Any]:
    return {RecordKey(owner, record.thread_id): record for record in model.list_records(owner)}


async def compare(model: RecordModel, records: RecordStore, owner: CredentialOwner) -> None:
    expected = model.list_records(owner)
    for limit in (1, 2, 5):
        for order in RecordOrder:
            ordered = sorted(expected, key=lambda record, order=order: record_position(record, order), reverse=True)  # type: ignore[misc]
            for backwards in (False, True):
                assert await walk_records(records, order, limit, backwards=backwards, owner=owner) == ordered
    for is_archived in (False, True):
        conditions = RecordFilter(is_archived=is_archived)
        walked = await walk_records(records, RecordOrder.LAST_ACTIVITY, 1, owner=owner, conditions=conditions)
        assert walked == [record for record in expected if record.is_archived is is_archived]
    for words in WORDS:
        assert await search(records, words, owner) == model.search(owner, words), words
    for assistant_id in ASSISTANTS:
        found = await list_ids(records, owner, assistant_id=assistant_id)
        assert set(found) == model.list_of_assistant(owner, assistant_id)
    assert {(thread, run) for thread, run, _ in await list_waiting(records, owner)} == model.list_waiting(owner)
    for since_ms, until_ms in ((0, 100), (16, 19), (18, 21)):
        assert await records.get_usage(owner, since_ms, until_ms) == model.get_usage(owner, since_ms, until_ms)


async def close(ledger: LedgerStore) -> None:
    await ledger.aclose()
