"""Files of signed-in users over HTTP: whose an upload is, and for whom an address goes on working."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.ledger_store import ObjectKind
from schema.contract.errors import ErrorCode, GatewayError
from tests.support.emulator import KEY, Emulator, running_emulator
from tests.support.fake_ownership import FakeOwnership
from tests.support.file_client import error_of, target, upload, uploaded
from tests.support.file_samples import CSV, PNG
from tests.support.file_upstream import FileUpstream, file_upstream
from tests.support.gateway import Gateway, running_gateway
from tests.support.log_lines import collected_lines
from tests.support.signed_in import NamedUsers, UserClient, owner, signed_in_gateway
from tests.support.subscription_gateway import until


@asynccontextmanager
async def over(upstream: FileUpstream, ownership: FakeOwnership) -> AsyncIterator[Gateway]:
    identity = UpstreamIdentity(upstream.url, dialect="openai-v2")
    options = {"upstream_api_key": KEY, "authenticator": NamedUsers(identity), "ownership": ownership}
    async with running_gateway(upstream.url, **options) as gateway:
        yield gateway


class Sending(UserClient):
    """A client of one user for uploads, whose credential is a name."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        super().__init__(gateway, name)
        self.credential = f"Bearer {name}"


async def test_an_upload_belongs_to_its_user_before_it_is_answered(emulator: Emulator) -> None:
    ownership = FakeOwnership()
    async with signed_in_gateway(emulator, ownership) as gateway:
        made = await uploaded(Sending(gateway, "ann"), CSV, "a.csv")
        assert ownership.owners == {made["upstreamId"]: owner("ann")}
        (intent,) = ownership.intents
        assert (intent.kind, intent.object_id) == (ObjectKind.FILE, made["upstreamId"])


async def test_an_address_works_without_a_credential_as_long_as_the_file_is_its_users(emulator: Emulator) -> None:
    ownership = FakeOwnership()
    async with signed_in_gateway(emulator, ownership) as gateway:
        made = await uploaded(Sending(gateway, "ann"), PNG, "a.png")
        address = target(made["contentUrl"])
        assert (await gateway.send("GET", address)).body == PNG
        ownership.owners[made["upstreamId"]] = owner("bob")
        emulator.counts.reset()
        with collected_lines() as lines:
            lost = error_of(await gateway.send("GET", address))
        assert lost == (404, "NOT_FOUND", f"No such File object: {made['upstreamId']}")
        (audit,) = lines.audit
        assert (audit["event"], audit["subject"], audit["ids"]) == ("access refused", "ann", [made["upstreamId"]])
        del ownership.owners[made["upstreamId"]]
        assert error_of(await gateway.send("GET", address)) == lost
        ownership.is_down = True
        assert error_of(await gateway.send("GET", address))[:2] == (503, "LEDGER_UNAVAILABLE")
        assert emulator.counts.total == 0


async def test_an_address_of_an_admin_opens_the_files_of_all(emulator: Emulator) -> None:
    ownership = FakeOwnership()
    async with signed_in_gateway(emulator, ownership) as gateway:
        made = await uploaded(Sending(gateway, "root"), PNG, "a.png")
        ownership.owners[made["upstreamId"]] = owner("bob")
        assert (await gateway.send("GET", target(made["contentUrl"]))).status == 200


async def test_a_file_whose_owner_cannot_be_recorded_is_not_sent(emulator: Emulator) -> None:
    async with signed_in_gateway(emulator, FakeOwnership(is_down=True)) as gateway:
        emulator.counts.reset()
        refused = await upload(Sending(gateway, "ann"), CSV)
        assert error_of(refused)[:2] == (503, "LEDGER_UNAVAILABLE")
        assert emulator.counts.total == 0


@pytest.mark.parametrize("status", [400, 500])
async def test_the_intent_of_a_file_that_was_surely_not_made_is_discarded(status: int) -> None:
    ownership = FakeOwnership()
    async with file_upstream() as upstream, over(upstream, ownership) as gateway:
        upstream.upload_status = status
        assert (await upload(Sending(gateway, "ann"), CSV)).status in {400, 502}
        (intent,) = ownership.intents
        assert (intent.object_id, intent.is_discarded) == (None, status == 400)


async def test_a_file_whose_client_left_too_late_is_recorded_and_then_removed() -> None:
    ownership = FakeOwnership()
    async with file_upstream() as upstream, over(upstream, ownership) as gateway:
        upstream.answers.clear()
        sending = asyncio.create_task(upload(Sending(gateway, "ann"), CSV))
        await upstream.arrived.wait()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        upstream.answers.set()
        await until(lambda: ownership.deleted == ["file-1"])
    assert (upstream.deleted, ownership.owners) == (["file-1"], {})


async def test_a_refusal_of_the_gateways_own_key_tells_nothing_of_it() -> None:
    async with (
        running_emulator(keys=("sk-only-this-one",)) as emulator,
        signed_in_gateway(emulator, FakeOwnership()) as gateway,
    ):
        refused = error_of(await upload(Sending(gateway, "ann"), CSV))
    error = GatewayError(ErrorCode.UPSTREAM_REFUSED, "The upstream refuses the gateway itself; its log says more.")
    assert refused == (502, error.code.value, error.message)


async def test_a_caller_who_is_nobody_sends_nothing(emulator: Emulator) -> None:
    async with signed_in_gateway(emulator, FakeOwnership()) as gateway:
        assert error_of(await upload(gateway, CSV, headers={"GraphQL-Require-Preflight": "1"}))[0] == 401
