"""Tests that no bad token gets in, over any transport, and that only the log says why."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from gateway.identity.key_cache import RETRY_SECONDS
from gateway.server.live.graphql_transport_ws import CloseCode
from gateway.telemetry.audit import AUDIT_LOGGER
from tests.support.emulator import KEY, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.oidc_server import AUDIENCE, OidcServer, running_oidc_server
from tests.support.signed_in import running_ownership
from tests.support.signing_keys import make_signing_key

QUERY = {"query": "{ assistants { nodes { name } } }"}
SUBSCRIPTION = {"query": 'subscription { runStatus(runId: "x") { status } }'}
CHALLENGE = 'Bearer error="invalid_token"'
REFUSAL = "Expected an Authorization header with a valid token, as 'Authorization: Bearer <token>'."


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
    }
    async with (
        running_ownership() as ownership,
        running_gateway(emulator.url, ownership=ownership, **settings) as gateway,
    ):
        yield gateway


def resigned(issuer: OidcServer, algorithm: str = "RS256", **header: Any) -> str:
    """Sign a good token with a key of an attacker, who names it as the header says."""
    key = make_signing_key(issuer.keys[0].kid, algorithm)
    return key.sign(claims(issuer), **header)


def claims(issuer: OidcServer) -> dict[str, Any]:
    return {"iss": issuer.issuer, "aud": AUDIENCE, "sub": "alice", "exp": int(time.time()) + 300}


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def unsigned(issuer: OidcServer, algorithm: str) -> str:
    header = {"alg": algorithm, "kid": issuer.keys[0].kid}
    parts = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims(issuer))
    )
    return ".".join([*parts, ""])


def signed_with_public_key(issuer: OidcServer) -> str:
    """Sign with HS256, and the issuer's public key as the secret, which everybody knows."""
    secret = issuer.keys[0].public_pem()
    parts = unsigned(issuer, "HS256").rpartition(".")[0]
    signature = jwt.get_algorithm_by_name("HS256").sign(parts.encode(), secret)
    return f"{parts}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def changed(token: str) -> str:
    head, _, signature = token.split(".")
    return f"{head}.{encoded({'sub': 'root'})}.{signature}"


def without_signature(issuer: OidcServer) -> str:
    return issuer.issue_token("alice").rpartition(".")[0]


@dataclass
class BadToken:
    """A way to make a bad token, the reason in the log, and whether a fresh token may help the same client."""

    make: Callable[[OidcServer], str]
    reason: str
    is_replaceable: bool = False


def with_claims(reason: str, *, is_replaceable: bool = False, **changes: Any) -> BadToken:
    return BadToken(lambda issuer: issuer.issue_token("alice", **changes), reason, is_replaceable)


def with_header(reason: str, **header: Any) -> BadToken:
    """Sign a good token with the issuer's own key, and a header that is not as it should be."""
    return BadToken(lambda issuer: issuer.keys[0].sign(claims(issuer), **header), reason)


def stolen_header(**header: Any) -> BadToken:
    """Sign with an attacker's key, to which the header leads."""
    return BadToken(lambda issuer: resigned(issuer, **header), "its signature is wrong", is_replaceable=True)


def with_unknown_kid(kid: str) -> BadToken:
    return BadToken(lambda issuer: resigned(issuer, kid=kid), "no key of the issuer has its kid", is_replaceable=True)


ATTACKER_JWK = make_signing_key("theirs").public_jwk()

BAD_TOKENS = {
    "wrong key": BadToken(resigned, "its signature is wrong", is_replaceable=True),
    "changed claims": BadToken(
        lambda issuer: changed(issuer.issue_token("alice")), "its signature is wrong", is_replaceable=True
    ),
    "no signature": BadToken(
        lambda issuer: issuer.issue_token("alice").rpartition(".")[0] + ".",
        "its signature is wrong",
        is_replaceable=True,
    ),
    "wrong issuer": with_claims("it is of another issuer", iss="https://elsewhere.test"),
    "wrong audience": with_claims("it is for another audience", aud="another"),
    "no audience": with_claims("expected a claim aud, got none", aud=None),
    "expired": with_claims("it has expired", exp=int(time.time()) - 60, is_replaceable=True),
    "no expiry": with_claims("expected a claim exp, got none", exp=None),
    "not yet valid": with_claims("it is not valid yet", nbf=int(time.time()) + 3600, is_replaceable=True),
    "no subject": with_claims("expected a claim sub, got none", sub=None),
    "empty subject": with_claims("expected a claim sub of 1 to 255 characters", sub=""),
    "long subject": with_claims("expected a claim sub of at most 255 characters, got 256", sub="x" * 256),
    "subject that is no text": with_claims("it is malformed", sub=5),
    "alg none": BadToken(lambda issuer: unsigned(issuer, "none"), "its algorithm is not among GATEWAY_JWT_ALGORITHMS"),
    "alg None": BadToken(lambda issuer: unsigned(issuer, "None"), "its algorithm is not among GATEWAY_JWT_ALGORITHMS"),
    "HS256 signed with the public key": BadToken(signed_with_public_key, "its algorithm is not among GATEWAY_JWT_ALG"),
    "another type of key": BadToken(lambda issuer: resigned(issuer, "ES256"), "no key of the issuer has its kid"),
    "another algorithm of the key": with_header("no key of the issuer has its kid", alg="PS256"),
    "unknown kid": with_unknown_kid("unknown"),
    "kid that is a path": with_unknown_kid("../../../dev/null"),
    "kid that is SQL": with_unknown_kid("' OR 1=1 --"),
    "kid over two lines": with_unknown_kid("a\nRefused nothing"),
    "long kid": with_header("expected a kid that is a text of at most 255 characters", kid="x" * 256),
    "jku": stolen_header(jku="http://127.0.0.1:1/jwks"),
    "x5u": stolen_header(x5u="http://127.0.0.1:1/certificate"),
    "jwk": stolen_header(jwk=ATTACKER_JWK),
    "unknown crit": with_header("extensions that are not known (crit)", crit=["exp"]),
    "known crit": with_header("extensions that are not known (crit)", crit=["b64"]),
    "no JSON Web Token": BadToken(lambda _: "sk-a-key-of-the-upstream", "expected 'Bearer' and a JSON Web Token"),
    "the key of the upstream": BadToken(lambda _: KEY, "expected 'Bearer' and a JSON Web Token"),
    "two parts": BadToken(without_signature, "expected 'Bearer' and a JSON Web Token"),
    "huge": with_claims("expected at most 8192 characters", padding="x" * 8_000),
}
for name in ("another type of key", "another algorithm of the key"):
    BAD_TOKENS[name].is_replaceable = True


async def close_code(gateway: Gateway, payload: dict[str, Any], **headers: str) -> tuple[int | None, str]:
    """Send `connection_init` and return the close's code and reason."""
    async with gateway.session.ws_connect(
        f"{gateway.url}/graphql", protocols=("graphql-transport-ws",), headers=headers
    ) as socket:
        await socket.send_json({"type": "connection_init", "payload": payload})
        # What comes behind is not read any more.
        await socket.send_json({"type": "subscribe", "id": "1", "payload": QUERY})
        message = await socket.receive(timeout=20)
        return socket.close_code, str(message.extra)


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_a_bad_token_is_refused_and_only_the_log_says_why(
    gateway: Gateway, issuer: OidcServer, emulator: Emulator, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    bad = BAD_TOKENS[name]
    token = bad.make(issuer)
    authorization = {"Authorization": f"Bearer {token}"}
    caplog.set_level("INFO")
    for reply in (
        await gateway.post(QUERY, headers=authorization),
        await gateway.get(params=QUERY, headers=authorization),
        await gateway.post(SUBSCRIPTION, headers={**authorization, "Accept": "text/event-stream"}),
    ):
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, CHALLENGE)
        assert reply.json["errors"][0]["extensions"].pop("requestId") == reply.headers["X-Request-ID"]
        assert reply.json == {
            "errors": [{"message": REFUSAL, "extensions": {"code": "UNAUTHENTICATED", "retryable": False}}]
        }
    code, reason = await close_code(gateway, authorization)
    assert code == (CloseCode.FORBIDDEN if bad.is_replaceable else CloseCode.UNAUTHORIZED)
    assert reason.endswith(": expected a valid token")
    reasons = [vars(one)["fields"]["reason"] for one in caplog.records if one.name == AUDIT_LOGGER]
    assert len(reasons) == 4
    assert all(bad.reason in text for text in reasons), reasons
    assert token not in str([vars(record) for record in caplog.records])
    assert emulator.counts.total == 0


async def test_a_good_token_gets_in_over_every_transport(gateway: Gateway, issuer: OidcServer) -> None:
    authorization = {"Authorization": f"Bearer {issuer.issue_token('alice')}"}
    assert "errors" not in await gateway.execute(QUERY["query"], headers=authorization)
    lower = {"authorization": authorization["Authorization"].replace("Bearer", "bearer")}
    assert "errors" not in await gateway.execute(QUERY["query"], headers=lower)
    events = {**authorization, "Accept": "text/event-stream"}
    async with gateway.session.post(f"{gateway.url}/graphql", json=QUERY, headers=events) as stream:
        assert (await stream.text()).startswith("event: next")
    async with gateway.session.ws_connect(f"{gateway.url}/graphql", protocols=("graphql-transport-ws",)) as socket:
        await socket.send_json({"type": "connection_init", "payload": authorization})
        await socket.send_json({"type": "subscribe", "id": "1", "payload": QUERY})
        assert [(await socket.receive_json(timeout=20))["type"] for _ in range(2)] == ["connection_ack", "next"]


async def test_nobody_gets_in_without_a_token(gateway: Gateway, issuer: OidcServer, emulator: Emulator) -> None:
    """Neither from this machine, nor by a token at another place."""
    token = issuer.issue_token("alice")
    for headers, challenge in (
        ({}, "Bearer"),
        ({"Cookie": f"Authorization=Bearer {token}; access_token={token}"}, "Bearer"),
        ({"Authorization": ""}, CHALLENGE),
        ({"Authorization": "Basic YWxpY2U6c2VjcmV0"}, CHALLENGE),
        ({"Authorization": token}, CHALLENGE),
        ({"Authorization": f"Bearer {token} {token}"}, CHALLENGE),
        ({"X-Authorization": f"Bearer {token}"}, "Bearer"),
    ):
        reply = await gateway.post(QUERY, headers=headers)
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, challenge)
        assert (await close_code(gateway, {}, **headers))[0] == CloseCode.UNAUTHORIZED
    in_url = {**QUERY, "access_token": token, "Authorization": f"Bearer {token}"}
    assert (await gateway.get(params=in_url)).status == 401
    async with gateway.session.post(
        f"{gateway.url}/graphql", json=QUERY, headers=[("Authorization", f"Bearer {token}")] * 2
    ) as twice:
        assert (twice.status, twice.headers["WWW-Authenticate"]) == (401, CHALLENGE)
    two = {"Authorization": f"Bearer {token}", "headers": {"authorization": f"Bearer {token}"}}
    assert (await close_code(gateway, two))[0] == CloseCode.UNAUTHORIZED
    assert emulator.counts.total == 0


async def test_the_schema_needs_no_token(gateway: Gateway) -> None:
    assert (await gateway.execute("{ __schema { queryType { name } } }"))["data"]["__schema"]


async def test_a_foreign_page_signs_in_only_with_a_token_of_its_own(gateway: Gateway, issuer: OidcServer) -> None:
    authorization = {"Authorization": f"Bearer {issuer.issue_token('alice')}"}
    foreign = {"Origin": "https://elsewhere.test"}
    assert (await close_code(gateway, {}, **foreign, **authorization))[0] == CloseCode.UNAUTHORIZED


async def test_thousands_of_unknown_keys_cost_one_fetch_in_half_a_minute_and_keep_nobody_out(
    gateway: Gateway, issuer: OidcServer, emulator: Emulator
) -> None:
    key, body = make_signing_key("theirs", "EdDSA"), claims(issuer)
    good = {"Authorization": f"Bearer {issuer.issue_token('alice')}"}
    started = time.monotonic()

    async def send(number: int) -> int:
        token = key.sign(body, kid=f"unknown-{number}")
        return (await gateway.post(QUERY, headers={"Authorization": f"Bearer {token}"})).status

    for number in range(0, 2_000, 250):
        statuses = await asyncio.gather(*map(send, range(number, number + 250)))
        assert set(statuses) == {401}
        assert (await gateway.post({"query": "{ __typename }"}, headers=good)).status == 200
    assert issuer.count(issuer.jwks_url) <= 2 + (time.monotonic() - started) // RETRY_SECONDS
    assert emulator.counts.total == 0


async def test_a_new_key_of_the_issuer_is_fetched_with_the_first_token_that_names_it(
    gateway: Gateway, issuer: OidcServer
) -> None:
    before = issuer.issue_token("alice")
    await gateway.execute(QUERY["query"], headers={"Authorization": f"Bearer {before}"})
    issuer.rotate_key()
    after = issuer.issue_token("alice")
    for token in (before, after):
        assert "errors" not in await gateway.execute(QUERY["query"], headers={"Authorization": f"Bearer {token}"})
    assert issuer.count(issuer.jwks_url) == 2


async def test_while_no_key_is_known_a_token_is_neither_accepted_nor_refused(
    emulator: Emulator, issuer: OidcServer
) -> None:
    issuer.unavailable = {"/jwks"}
    settings = {"gateway_jwt_issuer": issuer.issuer, "gateway_jwt_audience": AUDIENCE, "upstream_api_key": KEY}
    authorization = {"Authorization": f"Bearer {issuer.issue_token('alice')}"}
    async with running_gateway(emulator.url, **settings) as gateway:
        reply = await gateway.post(QUERY, headers=authorization)
        assert (reply.status, reply.json["errors"][0]["extensions"]["code"]) == (503, "SIGN_IN_UNAVAILABLE")
        assert "WWW-Authenticate" not in reply.headers
        assert (await close_code(gateway, authorization))[0] == CloseCode.FORBIDDEN
