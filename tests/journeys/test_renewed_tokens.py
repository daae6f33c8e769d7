"""Tests what becomes of WebSockets and event streams when their token ends, and when it is renewed before."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.server.live.graphql_transport_ws import CloseCode
from schema.contract.keys import RunKey
from tests.support.emulator import KEY, Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    PIECE_SECONDS,
    QUEUED_SECONDS,
    RUN_EVENTS,
    STEP_SECONDS,
    StartedRun,
    check_events_match_messages,
    messages_of_run,
    statuses,
)
from tests.support.file_client import target
from tests.support.gateway import Gateway, running_gateway
from tests.support.made_files import MADE_FILES, shown_files, start_drawing
from tests.support.mutations import assistant, succeed
from tests.support.node import npm_install, run_node
from tests.support.npm_clients import PACKAGES, SUPPORT
from tests.support.oidc_server import AUDIENCE, OidcServer, running_oidc_server
from tests.support.signed_in import UserClient, running_ownership
from tests.support.signing_keys import read_claims
from tests.support.subscription_clients import SubscriptionReader, open_socket, open_stream

ADMIN: dict[str, Any] = {"realm_access": {"roles": ["admin"]}}
SHORT_SECONDS = 3
NODE_SECONDS = 6
"""Long enough for Node to start and to connect before the token ends."""


@pytest.fixture
async def issuer() -> AsyncIterator[OidcServer]:
    async with running_oidc_server() as server:
        yield server


@pytest.fixture
async def gateway(emulator: Emulator, issuer: OidcServer) -> AsyncIterator[Gateway]:
    settings = {
        "upstream_api_key": KEY,
        "gateway_jwt_issuer": issuer.issuer,
        "gateway_jwt_audience": AUDIENCE,
        "gateway_jwt_roles_claim": "realm_access.roles",
        "gateway_jwt_tenant_claim": "tenant",
    }
    async with (
        running_ownership() as ownership,
        running_gateway(emulator.url, ownership=ownership, **settings) as gateway,
    ):
        yield gateway


def token_of(issuer: OidcServer, subject: str = "alice", seconds: int = 300, **claims: Any) -> str:
    return issuer.issue_token(subject, exp=int(issuer.now()) + seconds, **{"tenant": "acme", **claims})


async def start_run(emulator: Emulator, gateway: Gateway, token: str, **of_assistant: Any) -> StartedRun:
    made = await succeed(
        UserClient(gateway, token),
        "createThreadAndRun",
        "run { upstreamId } thread { upstreamId }",
        assistantId=await assistant(emulator, **of_assistant),
        thread={"messages": [{"content": [{"text": "Hello"}]}]},
    )
    return StartedRun(RunKey(made["thread"]["upstreamId"], made["run"]["upstreamId"]))


async def in_the_middle(emulator: Emulator, reader: SubscriptionReader) -> None:
    """Let a queued run write some of its message."""
    emulator.clock.advance(QUEUED_SECONDS + STEP_SECONDS + 5 * PIECE_SECONDS)
    await reader.wait_for_event("TextDelta", 5)


@asynccontextmanager
async def token_that_ends(
    gateway: Gateway, issuer: OidcServer
) -> AsyncIterator[tuple[str, "asyncio.Task[int | None]"]]:
    """Make a token that ends soon. The task is done when another WebSocket has been closed for its end."""
    token = token_of(issuer, seconds=SHORT_SECONDS)
    async with open_socket(gateway, key=token) as witness:
        end = asyncio.create_task(witness.wait_for_close())
        yield token, end
        assert await end == CloseCode.FORBIDDEN


async def test_a_token_renewed_in_the_middle_of_a_run_loses_no_event(
    emulator: Emulator, gateway: Gateway, issuer: OidcServer
) -> None:
    async with token_that_ends(gateway, issuer) as (token, end), open_socket(gateway, key=token) as socket:
        run = await start_run(emulator, gateway, token)
        reader = await socket.subscribe(RUN_EVENTS, run=run.id)
        await in_the_middle(emulator, reader)
        await socket.send_ping({"Authorization": f"Bearer {token_of(issuer)}", "number": 1})
        assert await socket.wait_for_pong() == {"type": "pong", "payload": {"number": 1}}
        await end
        emulator.clock.advance(LONG_SECONDS)
        events = await reader.wait_for_completion()
    assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    check_events_match_messages(events, await messages_of_run(emulator, run))
    assert {event["provenance"] for event in events if "provenance" in event} == {"STREAMED"}


async def test_an_event_after_a_renewal_has_addresses_that_last_as_the_new_token_does(
    emulator: Emulator, gateway: Gateway, issuer: OidcServer
) -> None:
    """Another socket of the user, with an older token, shares the renderings."""
    old, older = token_of(issuer, seconds=30), token_of(issuer, seconds=20)
    user = UserClient(gateway, older)
    user.credential = f"Bearer {older}"
    run_id = await start_drawing(emulator, user)
    async with open_socket(gateway, key=older) as other, open_socket(gateway, key=old) as socket:
        for each in (other, socket):
            reader = await each.subscribe(MADE_FILES, run=run_id)
            await reader.wait_for_event("RunSnapshot")
        await socket.send_ping({"Authorization": f"Bearer {token_of(issuer)}"})
        await socket.wait_for_pong()
        emulator.clock.advance(LONG_SECONDS)
        files = shown_files(await reader.wait_for_completion())
    assert files
    for file in files:
        reply = await gateway.send("GET", target(file["contentUrl"]))
        assert reply.status == 200
        seconds = int(reply.headers["Cache-Control"].removeprefix("private, max-age="))
        assert seconds > 100  # one of the old token ends 30 s after it


@pytest.mark.parametrize(
    "renewal",
    [
        {"subject": "bob"},
        {"tenant": "other"},
        {"iss": "https://elsewhere.test"},
        {"aud": "another"},
        {"seconds": -60},
        {"sub": None},
    ],
)
async def test_a_renewal_by_another_or_bad_token_closes_the_socket(
    emulator: Emulator, gateway: Gateway, issuer: OidcServer, renewal: dict[str, Any]
) -> None:
    token = token_of(issuer)
    async with open_socket(gateway, key=token) as socket:
        run = await start_run(emulator, gateway, token)
        reader = await socket.subscribe(RUN_EVENTS, run=run.id)
        await in_the_middle(emulator, reader)
        await socket.send_ping({"Authorization": f"Bearer {token_of(issuer, **renewal)}"})
        assert await socket.wait_for_close() == CloseCode.FORBIDDEN
        assert (reader.has_completed, reader.errors) == (False, None)


async def test_a_ping_without_a_token_renews_nothing(gateway: Gateway, issuer: OidcServer) -> None:
    async with token_that_ends(gateway, issuer) as (token, _), open_socket(gateway, key=token) as socket:
        await socket.send_ping({"number": 1})
        assert await socket.wait_for_pong() == {"type": "pong", "payload": {"number": 1}}
        assert await socket.wait_for_close() == CloseCode.FORBIDDEN


async def test_later_operations_have_the_roles_of_the_renewed_token(
    emulator: Emulator, gateway: Gateway, issuer: OidcServer
) -> None:
    run = await start_run(emulator, gateway, token_of(issuer, "bob"))
    async with open_socket(gateway, key=token_of(issuer)) as socket:
        refused = await socket.subscribe(RUN_EVENTS, run=run.id)
        await refused.wait_for_end()
        assert refused.error_codes == ["NOT_FOUND"]
        await socket.send_ping({"Authorization": f"Bearer {token_of(issuer, **ADMIN)}"})
        allowed = await socket.subscribe(RUN_EVENTS, run=run.id)
        await allowed.wait_for_event("RunSnapshot")
        await socket.unsubscribe(allowed)
        await socket.send_ping({"Authorization": f"Bearer {token_of(issuer)}"})
        refused = await socket.subscribe(RUN_EVENTS, run=run.id)
        await refused.wait_for_end()
        assert refused.error_codes == ["NOT_FOUND"]


async def test_the_subscriptions_of_an_admin_end_with_the_role_and_those_of_a_new_admin_go_on(
    emulator: Emulator, gateway: Gateway, issuer: OidcServer
) -> None:
    bobs = await start_run(emulator, gateway, token_of(issuer, "bob"))
    own = await start_run(emulator, gateway, token_of(issuer))
    async with open_socket(gateway, key=token_of(issuer)) as socket:
        reader = await socket.subscribe(RUN_EVENTS, run=own.id)
        await reader.wait_for_event("RunSnapshot")
        await socket.send_ping({"Authorization": f"Bearer {token_of(issuer, **ADMIN)}"})
        await socket.wait_for_pong()
        of_bob = await socket.subscribe(RUN_EVENTS, run=bobs.id)
        await of_bob.wait_for_event("RunSnapshot")
        await socket.send_ping({"Authorization": f"Bearer {token_of(issuer)}"})
        assert await socket.wait_for_close() == CloseCode.FORBIDDEN
        emulator.clock.advance(LONG_SECONDS)
    assert (len(of_bob.events), of_bob.has_completed) == (1, False)
    # graphql-ws comes again, and goes on with what the user may see.
    async with open_socket(gateway, key=token_of(issuer)) as socket:
        again = await socket.subscribe(RUN_EVENTS, run=own.id, after=reader.cursor)
        events = reader.events + await again.wait_for_completion()
        refused = await socket.subscribe(RUN_EVENTS, run=bobs.id, after=of_bob.cursor)
        await refused.wait_for_end()
    assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    check_events_match_messages(events, await messages_of_run(emulator, own))
    assert refused.error_codes == ["NOT_FOUND"]


async def test_who_is_no_admin_any_more_shares_no_answer_and_no_rendering_with_who_was(
    emulator: Emulator, issuer: OidcServer
) -> None:
    settings = {
        "upstream_api_key": KEY,
        "gateway_cache": True,
        "gateway_jwt_issuer": issuer.issuer,
        "gateway_jwt_audience": AUDIENCE,
        "gateway_jwt_roles_claim": "realm_access.roles",
    }
    query = "query ($run: ID!) { run(id: $run) { status instructions assistant { instructions metadata } } }"
    events = "subscription ($run: ID!) { runEvents(runId: $run) { ... on RunSnapshot { run { instructions } } } }"
    async with (
        running_ownership() as ownership,
        running_gateway(emulator.url, ownership=ownership, **settings) as gateway,
    ):
        secrets = {"instructions": "Be brief.", "metadata": {"secret": "x"}}
        own = await start_run(emulator, gateway, issuer.issue_token("alice"), **secrets)
        bobs = await start_run(emulator, gateway, issuer.issue_token("bob"), **secrets)
        emulator.clock.advance(86_400)
        admin, user = issuer.issue_token("alice", **ADMIN), issuer.issue_token("alice")
        for run in (own, bobs, own, bobs):
            seen = (await UserClient(gateway, admin).data(query, {"run": run.id}))["run"]
            assert seen["instructions"] == seen["assistant"]["instructions"] == "Be brief."
        assert (await UserClient(gateway, user).data(query, {"run": bobs.id})) == {"run": None}
        seen = (await UserClient(gateway, user).data(query, {"run": own.id}))["run"]
        assert seen == {
            "status": "COMPLETED",
            "instructions": None,
            "assistant": {"instructions": None, "metadata": {}},
        }
        async with open_socket(gateway, key=admin) as admins, open_socket(gateway, key=user) as users:
            readers = [await socket.subscribe(events, run=own.id) for socket in (admins, users, admins, users)]
            seen = [(await reader.wait_for_completion())[0]["run"]["instructions"] for reader in readers]
        assert seen == ["Be brief.", None, "Be brief.", None]


async def test_an_event_stream_ends_with_its_token_and_goes_on_under_a_new_one(
    emulator: Emulator, gateway: Gateway, issuer: OidcServer
) -> None:
    async with token_that_ends(gateway, issuer) as (token, _):
        run = await start_run(emulator, gateway, token)
        async with open_stream(gateway, RUN_EVENTS, run=run.id, key=token) as first:
            await in_the_middle(emulator, first)
            await first.wait_for_end()
    assert first.error_codes == ["UNAUTHENTICATED"]
    fresh = token_of(issuer)
    async with open_stream(gateway, RUN_EVENTS, run=run.id, key=fresh, last_event_id=first.last_event_id) as second:
        emulator.clock.advance(LONG_SECONDS)
        events = first.events + await second.wait_for_completion()
    assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    check_events_match_messages(events, await messages_of_run(emulator, run))


@pytest.mark.parametrize("renews", [True, False])
async def test_npms_client_follows_a_run_beyond_the_end_of_its_token(
    emulator: Emulator, gateway: Gateway, issuer: OidcServer, renews: bool
) -> None:
    """By a ping on the same connection, or by coming again after 4403 with fresh `connectionParams`."""
    script = SUPPORT / "graphql_ws_renewing_client.mjs"
    directory = await asyncio.to_thread(npm_install, PACKAGES)
    run = await start_run(emulator, gateway, token_of(issuer))
    async with open_socket(gateway, key=token_of(issuer)) as witness:
        reader = await witness.subscribe(RUN_EVENTS, run=run.id)
        await in_the_middle(emulator, reader)
        tokens = [token_of(issuer, seconds=NODE_SECONDS), token_of(issuer)]
        arguments = (
            gateway.url.replace("http", "ws", 1) + "/graphql",
            json.dumps({"query": RUN_EVENTS, "variables": {"run": run.id}}),
            json.dumps(tokens),
            "1" if renews else "0",
        )
        following = asyncio.create_task(asyncio.to_thread(run_node, script, *arguments, directory=directory))
        async with open_socket(gateway, key=tokens[0]) as other:
            assert await other.wait_for_close() == CloseCode.FORBIDDEN
        assert int(issuer.now()) >= read_claims(tokens[0])["exp"]
        emulator.clock.advance(LONG_SECONDS)
        await reader.wait_for_completion()
        done = await following
    assert done.returncode == 0, done.stderr
    received = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [kind for message in received for kind in message if kind != "next"]
    if renews:
        assert kinds == ["connected", "pong", "complete", "closed"]
    else:
        assert kinds == ["connected", "closed", "connected", "complete", "closed"]
        assert {"closed": CloseCode.FORBIDDEN} in received
    events = [message["next"]["data"]["runEvents"] for message in received if "next" in message]
    assert events == reader.events
