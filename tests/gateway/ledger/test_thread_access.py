"""Tests of the threads that one operation of a user may reach."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from gateway.identity.principal import Principal
from gateway.ledger.ledger_store import ObjectKind, OwnedObject
from gateway.ledger.thread_access import ThreadAccess
from gateway.telemetry.audit import AUDIT_LOGGER
from schema.contract.errors import ErrorCode, GatewayError
from tests.gateway.ledger.owned_ports import GATEWAY, SCOPES, UPSTREAM, scope_of
from tests.support.fake_ownership import UNAVAILABLE, FakeOwnership
from tests.support.signed_in import owner, principal

ANNS, BOBS, NOBODYS = "thread_ann", "thread_bob", "thread_nobody"

Access = Callable[[str], ThreadAccess]


@pytest.fixture
def ownership() -> FakeOwnership:
    return FakeOwnership({ANNS: owner("ann"), BOBS: owner("bob")})


@pytest.fixture
def access(ownership: FakeOwnership) -> Access:
    return lambda name: ThreadAccess(principal(name, UPSTREAM), ownership, SCOPES)


def messages(scopes: Any) -> dict[str, str]:
    """Return each scope, or the message of the error in its place."""
    return {name: scope.message if isinstance(scope, GatewayError) else scope for name, scope in scopes.items()}


async def test_a_user_finds_their_own_threads_and_all_others_are_unknown(access: Access) -> None:
    found = await access("ann").find_scopes([ANNS, BOBS, NOBODYS])
    assert messages(found) == {
        ANNS: scope_of("ann"),
        BOBS: f"No thread found with id '{BOBS}'.",
        NOBODYS: f"No thread found with id '{NOBODYS}'.",
    }
    errors = [found[name] for name in (BOBS, NOBODYS)]
    for error in errors:
        assert isinstance(error, GatewayError)
        assert error.extensions == {"code": "NOT_FOUND", "retryable": False}


async def test_an_admin_finds_every_thread_in_the_scope_of_its_owner_or_of_the_gateway(access: Access) -> None:
    found = await access("root").find_scopes([ANNS, BOBS, NOBODYS])
    assert messages(found) == {ANNS: scope_of("ann"), BOBS: scope_of("bob"), NOBODYS: GATEWAY}
    assert len({scope_of("ann"), scope_of("bob"), scope_of("root"), GATEWAY}) == 4


async def test_a_principal_without_a_user_is_no_caller_of_it(ownership: FakeOwnership) -> None:
    with pytest.raises(ValueError, match="signed-in user"):
        ThreadAccess(Principal.from_credential("Bearer x", UPSTREAM), ownership, SCOPES)


async def test_each_thread_is_looked_up_once_in_an_operation(access: Access, ownership: FakeOwnership) -> None:
    ann = access("ann")
    for thread_ids in ([ANNS, ANNS], [ANNS, BOBS], [BOBS], []):
        await ann.find_scopes(thread_ids)
    assert ownership.look_ups == [[ANNS], [BOBS]]
    await access("ann").find_scopes([ANNS])
    assert ownership.look_ups == [[ANNS], [BOBS], [ANNS]]


async def test_batches_at_the_same_time_share_a_look_up(access: Access, ownership: FakeOwnership) -> None:
    ann = access("ann")
    ownership.gate.clear()
    batches = [asyncio.create_task(ann.find_scopes(each)) for each in ([ANNS], [ANNS, BOBS], [BOBS])]
    await asyncio.sleep(0)
    ownership.gate.set()
    for batch in batches:
        assert (await batch).keys() == {ANNS, BOBS}
    assert ownership.look_ups == [[ANNS], [BOBS]]


async def test_a_batch_goes_on_alone_if_the_one_that_looked_up_is_cancelled(
    access: Access, ownership: FakeOwnership
) -> None:
    ann = access("ann")
    ownership.gate.clear()
    first, second = (asyncio.create_task(ann.find_scopes([ANNS])) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    ownership.gate.set()
    assert (await second)[ANNS] == scope_of("ann")
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_thread_whose_owner_is_unknown_fails_alone_and_once(access: Access, ownership: FakeOwnership) -> None:
    ann = access("ann")
    ownership.unknown = {"thread_x"}
    found = await ann.find_scopes([ANNS, "thread_x"])
    assert found == {ANNS: scope_of("ann"), "thread_x": UNAVAILABLE}
    asked = len(ownership.look_ups)
    await ann.find_scopes(["thread_x", ANNS])
    assert len(ownership.look_ups) == asked
    with pytest.raises(GatewayError) as refused:
        await ann.find_scope("thread_x")
    assert (refused.value.code, refused.value.retryable) == (ErrorCode.LEDGER_UNAVAILABLE, True)


async def test_an_admin_too_waits_for_the_ledger(access: Access, ownership: FakeOwnership) -> None:
    ownership.is_down = True
    assert await access("root").find_scopes([ANNS]) == {ANNS: UNAVAILABLE}


async def test_what_the_operation_creates_and_deletes_is_known_without_a_look_up(
    access: Access, ownership: FakeOwnership
) -> None:
    for name, after_deletion in (("ann", "No thread found with id 'thread_new'."), ("root", GATEWAY)):
        own = access(name)
        own.record_created("thread_new")
        assert await own.find_scope("thread_new") == scope_of(name)
        own.record_deleted("thread_new")
        assert messages(await own.find_scopes(["thread_new"])) == {"thread_new": after_deletion}
    assert ownership.look_ups == []


async def test_the_scopes_of_a_response_hold_until_an_owner_changes(access: Access, ownership: FakeOwnership) -> None:
    ann = access("ann")
    await ann.find_scopes([ANNS, BOBS, NOBODYS])
    scopes = ann.to_object_scopes()
    by_id = {ANNS: scope_of("ann"), BOBS: None, NOBODYS: None}
    assert scopes == {OwnedObject(ObjectKind.THREAD, thread_id): scope for thread_id, scope in by_id.items()}
    assert await access("ann").are_unchanged(scopes)
    for thread_id, changed in ((ANNS, owner("bob")), (NOBODYS, owner("ann")), (BOBS, owner("ann"))):
        before = ownership.owners.copy()
        ownership.owners[thread_id] = changed
        assert not await access("ann").are_unchanged(scopes)
        ownership.owners = before
    ownership.owners[BOBS] = owner("root")  # still another's
    assert await access("ann").are_unchanged(scopes)
    ownership.unknown = {BOBS}
    assert not await access("ann").are_unchanged(scopes)


async def test_an_operation_that_could_not_find_an_owner_has_no_scopes_for_a_response(
    access: Access, ownership: FakeOwnership
) -> None:
    ann = access("ann")
    ownership.unknown = {BOBS}
    await ann.find_scopes([ANNS, BOBS])
    assert ann.to_object_scopes() is None


async def test_each_refusal_is_audited_once_with_its_reason(access: Access, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, AUDIT_LOGGER)
    ann = access("ann")
    for _ in range(2):
        await ann.find_scopes([ANNS, BOBS, NOBODYS])
    await access("root").find_scopes([ANNS, BOBS, NOBODYS])
    lines = [vars(record)["fields"] for record in caplog.records if record.name == AUDIT_LOGGER]
    assert [(line["reason"], line["subject"], line["object"], line["ids"]) for line in lines] == [
        ("another's thread", "ann", "Thread", [BOBS]),
        ("nobody's thread", "ann", "Thread", [NOBODYS]),
    ]
