"""Tests of the files that a user reaches: their own, of cited ones the object alone, of an admin all."""

import logging
from collections.abc import Callable
from typing import TypeAlias

import pytest

from gateway.identity.permissions import NamedObject
from gateway.ledger.file_access import FileAccess
from gateway.ledger.ledger_store import ObjectKind, OwnedObject
from gateway.telemetry.audit import AUDIT_LOGGER
from schema.contract.errors import ErrorCode, GatewayError
from tests.gateway.ledger.owned_ports import GATEWAY, SCOPES, UPSTREAM, scope_of
from tests.support.fake_ownership import UNAVAILABLE, FakeOwnership
from tests.support.signed_in import owner, principal

ANNS, BOBS, NOBODYS = "file-ann", "file-bob", "file-nobody"
ALL = (ANNS, BOBS, NOBODYS)
Access: TypeAlias = Callable[[str], FileAccess]


@pytest.fixture
def ownership() -> FakeOwnership:
    return FakeOwnership({ANNS: owner("ann"), BOBS: owner("bob")})


@pytest.fixture
def access(ownership: FakeOwnership) -> Access:
    return lambda name: FileAccess(principal(name, UPSTREAM), ownership, SCOPES)


def named(*file_ids: str) -> list[NamedObject]:
    return [NamedObject("file_ids", file_id, f"file_ids.{index}") for index, file_id in enumerate(file_ids)]


async def scopes_of(files: FileAccess) -> dict[str, str]:
    found = await files.find_scopes(ALL)
    return {each: scope.message if isinstance(scope := found[each], GatewayError) else scope for each in ALL}


async def test_anothers_file_is_missing_in_the_words_of_the_upstream(access: Access) -> None:
    assert await scopes_of(access("ann")) == {
        ANNS: scope_of("ann"),
        BOBS: "No such File object: file-bob",
        NOBODYS: "No such File object: file-nobody",
    }
    assert await access("ann").find_readable(ALL) == {ANNS}


async def test_an_admin_reaches_all_files_in_the_scopes_of_their_owners(access: Access) -> None:
    assert await scopes_of(access("root")) == {ANNS: scope_of("ann"), BOBS: scope_of("bob"), NOBODYS: GATEWAY}
    assert await access("root").find_readable(ALL) == set(ALL)


async def test_a_cited_file_is_reached_in_its_owners_scope_without_its_content(access: Access) -> None:
    ann = access("ann")
    ann.record_cited([BOBS, NOBODYS])
    assert await scopes_of(ann) == {ANNS: scope_of("ann"), BOBS: scope_of("bob"), NOBODYS: GATEWAY}
    assert await ann.find_readable(ALL) == {ANNS}
    assert (await scopes_of(access("ann")))[BOBS] == "No such File object: file-bob", "in another operation"


async def test_a_file_that_is_cited_after_it_was_refused_is_reached_without_another_look_up(
    access: Access, ownership: FakeOwnership
) -> None:
    ann = access("ann")
    await ann.find_scopes(ALL)
    ann.record_cited([BOBS])
    assert (await scopes_of(ann))[BOBS] == scope_of("bob")
    assert len(ownership.look_ups) == 1


async def test_a_file_that_a_body_names_must_be_the_users(access: Access) -> None:
    ann = access("ann")
    await ann.check_named(named(ANNS, ANNS))
    ann.record_cited([BOBS])  # which makes it nobody's to name
    for file_id in (BOBS, NOBODYS):
        with pytest.raises(GatewayError) as refused:
            await ann.check_named(named(ANNS, file_id))
        error = refused.value
        assert (error.code, error.message) == (ErrorCode.NOT_FOUND, f"No file found with id '{file_id}'.")
        assert error.argument == "file_ids.1"


async def test_what_cannot_be_looked_up_fails_closed(access: Access, ownership: FakeOwnership) -> None:
    ownership.unknown = {BOBS}
    for name in ("ann", "root"):
        files = access(name)
        files.record_cited([BOBS])
        found = await files.find_scopes(ALL)
        assert (found[ANNS], found[BOBS]) == (scope_of("ann"), UNAVAILABLE)
        with pytest.raises(GatewayError, match="The ledger does not answer"):
            await files.find_readable(ALL)
        with pytest.raises(GatewayError, match="The ledger does not answer"):
            await files.check_named(named(BOBS))
        assert await files.find_readable([ANNS]) == {ANNS}
        assert files.to_object_scopes() is None


async def test_the_scopes_of_a_response_leave_out_what_is_merely_cited(
    access: Access, ownership: FakeOwnership
) -> None:
    ann = access("ann")
    ann.record_cited([BOBS, ANNS])
    await ann.find_scopes(ALL)
    scopes = ann.to_object_scopes()
    by_id = {ANNS: scope_of("ann"), NOBODYS: None}
    assert scopes == {OwnedObject(ObjectKind.FILE, file_id): scope for file_id, scope in by_id.items()}
    of_thread = {OwnedObject(ObjectKind.THREAD, BOBS): scope_of("bob")}
    assert await access("ann").are_unchanged(scopes | of_thread), "threads are not its matter"
    ownership.owners[ANNS] = owner("bob")
    assert not await access("ann").are_unchanged(scopes)


async def test_each_refusal_is_audited(access: Access, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, AUDIT_LOGGER)
    ann = access("ann")
    ann.record_cited([NOBODYS])
    await ann.find_scopes(ALL)
    await access("root").find_scopes(ALL)
    lines = [vars(record)["fields"] for record in caplog.records if record.name == AUDIT_LOGGER]
    assert [(line["reason"], line["object"], line["ids"]) for line in lines] == [("another's file", "File", [BOBS])]
