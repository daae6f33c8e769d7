"""Tests of the OpenID Connect provider that other tests sign in at."""

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import jwt
import pytest

from tests.support.oidc_server import AUDIENCE, CLIENT_ID, OidcServer, running_oidc_server
from tests.support.signing_keys import make_signing_key, read_claims

CALLBACK = "http://127.0.0.1:1/page.html"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
AUTHORIZATION = {
    "client_id": CLIENT_ID,
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid offline_access",
    "state": "s1",
    "nonce": "n1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


class SigningIn:
    """A browser at the provider: it keeps the cookie and follows no redirect."""

    def __init__(self, server: OidcServer, session: aiohttp.ClientSession) -> None:
        self.server, self.session = server, session

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        """Return the status, and the query of the page that it leads to or the JSON of the answer."""
        async with self.session.get(f"{self.server.issuer}{path}", params=query, allow_redirects=False) as response:
            return await self._read(response)

    async def post(self, path: str, **form: str) -> tuple[int, Any]:
        async with self.session.post(f"{self.server.issuer}{path}", data=form, allow_redirects=False) as response:
            return await self._read(response)

    async def exchange(self, code: str, **changes: str) -> tuple[int, Any]:
        form = {"client_id": CLIENT_ID, "redirect_uri": CALLBACK, "code_verifier": VERIFIER, "code": code, **changes}
        return await self.post("/token", grant_type="authorization_code", **form)

    async def refresh(self, token: str) -> tuple[int, Any]:
        return await self.post("/token", grant_type="refresh_token", client_id=CLIENT_ID, refresh_token=token)

    @staticmethod
    async def _read(response: aiohttp.ClientResponse) -> tuple[int, Any]:
        if "Location" in response.headers:
            return response.status, dict(parse_qsl(urlsplit(response.headers["Location"]).query))
        return response.status, await response.json() if response.content_type == "application/json" else {}


@pytest.fixture
async def server() -> AsyncIterator[OidcServer]:
    async with running_oidc_server() as server:
        server.redirect_uris.add(CALLBACK)
        yield server


@pytest.fixture
async def user(server: OidcServer) -> AsyncIterator[SigningIn]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield SigningIn(server, session)


async def test_a_code_becomes_tokens_that_the_published_keys_verify(server: OidcServer, user: SigningIn) -> None:
    server.users["carol"] = {"org": {"id": "acme"}}
    assert await user.get("/authorize", **AUTHORIZATION) == (200, {})  # the login page
    status, answer = await user.post("/login", user="carol", **AUTHORIZATION)
    assert (status, answer.pop("state"), list(answer)) == (303, "s1", ["code"])
    status, tokens = await user.exchange(answer["code"])
    assert status == 200
    _, found = await user.get("/.well-known/openid-configuration")
    assert found["issuer"] == server.issuer
    _, jwks = await user.get(urlsplit(found["jwks_uri"]).path)
    keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(jwks).keys}
    for token, audience in ((tokens["access_token"], AUDIENCE), (tokens["id_token"], CLIENT_ID)):
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=server.issuer)
        assert claims["sub"] == "carol"
    assert read_claims(tokens["access_token"])["org"] == {"id": "acme"}
    assert read_claims(tokens["id_token"])["nonce"] == "n1"
    assert server.count(server.jwks_url) == 1


async def test_a_code_counts_once_and_only_for_the_page_that_asked(user: SigningIn) -> None:
    async def refusal(**changes: str) -> Any:
        _, answer = await user.post("/login", user="alice", **AUTHORIZATION)
        return await user.exchange(answer["code"], **changes)

    refused = (400, {"error": "invalid_grant"})
    assert await refusal(code_verifier="w" * 43) == refused
    assert await refusal(redirect_uri="http://127.0.0.1:2/") == refused
    assert await refusal(client_id="another") == (400, {"error": "invalid_client"})
    _, answer = await user.post("/login", user="alice", **AUTHORIZATION)
    assert (await user.exchange(answer["code"]))[0] == 200
    assert await user.exchange(answer["code"]) == refused


@pytest.mark.parametrize("changes", [{"client_id": "another"}, {"redirect_uri": "https://elsewhere.example/"}])
async def test_a_page_that_is_not_registered_gets_no_code(user: SigningIn, changes: dict[str, str]) -> None:
    for status, answer in (
        await user.get("/authorize", **{**AUTHORIZATION, **changes}),
        await user.post("/login", user="alice", **{**AUTHORIZATION, **changes}),
    ):
        assert (status, answer) == (400, {"error": "invalid_client"})


async def test_an_authorization_without_a_challenge_is_refused(user: SigningIn) -> None:
    plain = {**AUTHORIZATION, "code_challenge_method": "plain"}
    assert await user.get("/authorize", **plain) == (303, {"error": "invalid_request", "state": "s1"})


async def test_a_user_stays_signed_in_until_the_logout(user: SigningIn) -> None:
    silent = {**AUTHORIZATION, "prompt": "none"}
    signed_out = (303, {"error": "login_required", "state": "s1"})
    assert await user.get("/authorize", **silent) == signed_out
    _, answer = await user.post("/login", user="alice", **AUTHORIZATION)
    _, tokens = await user.exchange(answer["code"])
    assert "code" in (await user.get("/authorize", **silent))[1]
    assert (await user.get("/authorize", **AUTHORIZATION, prompt="login")) == (200, {})
    status, answer = await user.get(
        "/logout", id_token_hint=tokens["id_token"], post_logout_redirect_uri=CALLBACK, state="s2"
    )
    assert (status, answer) == (303, {"state": "s2"})
    assert await user.get("/authorize", **silent) == signed_out
    assert await user.refresh(tokens["refresh_token"]) == (400, {"error": "invalid_grant"})
    elsewhere = await user.get("/logout", post_logout_redirect_uri="https://elsewhere.example/")
    assert elsewhere == (400, {"error": "invalid_request"})


async def test_a_refresh_token_gives_new_tokens_once(server: OidcServer, user: SigningIn) -> None:
    _, answer = await user.post("/login", user="bob", **AUTHORIZATION)
    _, first = await user.exchange(answer["code"])
    server.token_seconds = 5
    status, second = await user.refresh(first["refresh_token"])
    assert (status, second["expires_in"]) == (200, 5)
    claims = read_claims(second["access_token"])
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("bob", 5)
    assert (await user.refresh(first["refresh_token"]))[0] == 400
    assert (await user.refresh(second["refresh_token"]))[0] == 200


async def test_a_service_signs_in_as_itself_by_its_secret(server: OidcServer, user: SigningIn) -> None:
    async def fetch(**form: str) -> tuple[int, Any]:
        return await user.post("/token", grant_type="client_credentials", **form)

    server.services["reporter"] = "s3cret"
    status, answer = await fetch(client_id="reporter", client_secret="s3cret")
    assert (status, sorted(answer)) == (200, ["access_token", "expires_in", "token_type"])
    assert read_claims(answer["access_token"])["sub"] == "reporter"
    for form in ({"client_id": "reporter", "client_secret": "wrong"}, {"client_id": "alice", "client_secret": ""}):
        assert await fetch(**form) == (400, {"error": "invalid_client"})


async def test_a_user_who_is_forgotten_signs_in_again(server: OidcServer, user: SigningIn) -> None:
    _, answer = await user.post("/login", user="alice", **AUTHORIZATION)
    _, tokens = await user.exchange(answer["code"])
    server.forget("alice")
    assert (await user.refresh(tokens["refresh_token"]))[0] == 400
    assert await user.get("/authorize", **AUTHORIZATION) == (200, {})


async def test_keys_rotate_and_an_unavailable_path_fails(server: OidcServer, user: SigningIn) -> None:
    async def kids() -> list[str]:
        _, jwks = await user.get("/jwks")
        return [key["kid"] for key in jwks["keys"]]

    old = server.keys[0]
    new = server.rotate_key()
    assert await kids() == [new.kid, old.kid]
    assert jwt.get_unverified_header(server.issue_token("alice"))["kid"] == new.kid
    last = server.rotate_key(keep_old=False)
    assert await kids() == [last.kid]
    server.unavailable.add("/jwks")
    assert await user.get("/jwks") == (503, {})
    assert server.count(server.jwks_url) == 3


async def test_a_token_has_the_claims_that_a_test_wants() -> None:
    server = OidcServer(now=lambda: 1_000.5, issuer="https://login.example")
    claims = read_claims(server.issue_token("root", aud=["x", "y"], iat=None))
    assert claims == {
        "iss": "https://login.example",
        "sub": "root",
        "aud": ["x", "y"],
        "exp": 1_300,
        "realm_access": {"roles": ["admin"]},
    }


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
def test_a_key_signs_what_its_public_forms_verify(algorithm: str) -> None:
    key = make_signing_key("k1", algorithm)
    token = key.sign({"sub": "alice"}, jku="https://elsewhere.example")
    for public in (jwt.PyJWK(key.public_jwk()), key.public_pem()):
        assert jwt.decode(token, public, algorithms=[algorithm]) == {"sub": "alice"}
    assert jwt.get_unverified_header(token) == {
        "alg": algorithm,
        "kid": "k1",
        "typ": "JWT",
        "jku": "https://elsewhere.example",
    }
    assert jwt.get_unverified_header(key.sign({}, kid=None, typ=None)) == {"alg": algorithm}
    assert "d" not in key.public_jwk()
