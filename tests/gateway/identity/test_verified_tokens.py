"""Tests that a token is verified once, and again whenever the outcome could differ."""

import time
from typing import Any

import pytest

from gateway.identity.allowed_origins import AllowedOrigins
from gateway.identity.credentials import Caller, CredentialRefusedError
from gateway.identity.key_cache import FixedKey
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.identity.token_authenticator import TokenAuthenticator
from gateway.identity.token_expiry import TOKEN_GRACE_SECONDS
from gateway.identity.verification_keys import VerificationKey
from gateway.identity.verified_tokens import VerifiedTokens
from tests.gateway.identity.tokens import RULES, claims, signing_key

UPSTREAM = UpstreamIdentity("https://upstream.test/v1")


class Keys(FixedKey):
    """The key of an issuer, which a test replaces."""

    def __init__(self, kid: str = "one") -> None:
        self.replace(kid)

    def replace(self, kid: str) -> None:
        public_key: Any = signing_key(kid).private_key.public_key()
        super().__init__(VerificationKey(public_key, frozenset({"ES256"})))


class Clock:
    """The time of day, as far as remembered tokens know it."""

    def __init__(self) -> None:
        self.seconds = time.time()

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def verified(clock: Clock) -> VerifiedTokens:
    return VerifiedTokens(clock.now, max_tokens=2)


@pytest.fixture
def authenticator(keys: Keys, verified: VerifiedTokens) -> TokenAuthenticator:
    return TokenAuthenticator(RULES, keys, AllowedOrigins(), UPSTREAM, verified=verified)


async def sign_in(authenticator: TokenAuthenticator, token: str) -> Principal:
    return await authenticator.authenticate(Caller("127.0.0.1", "http", "localhost", (f"Bearer {token}",)))


async def test_a_token_is_verified_once(authenticator: TokenAuthenticator) -> None:
    token, other = (signing_key().sign(claims(jti=str(number))) for number in (1, 2))
    first = await sign_in(authenticator, token)
    assert await sign_in(authenticator, token) is first
    assert await sign_in(authenticator, other) is not first
    assert await sign_in(authenticator, other) == first


async def test_a_token_is_verified_anew_by_keys_that_were_fetched_anew(
    authenticator: TokenAuthenticator, keys: Keys
) -> None:
    token = signing_key().sign(claims())
    first = await sign_in(authenticator, token)
    keys.replace("one")
    again = await sign_in(authenticator, token)
    assert again is not first
    assert await sign_in(authenticator, token) is again
    keys.replace("two")
    with pytest.raises(CredentialRefusedError):
        await sign_in(authenticator, token)


async def test_a_token_that_has_ended_is_not_found(
    authenticator: TokenAuthenticator, verified: VerifiedTokens, clock: Clock
) -> None:
    body = claims()
    token = signing_key().sign(body)
    await sign_in(authenticator, token)
    clock.seconds = body["exp"] + TOKEN_GRACE_SECONDS - 1
    assert verified.find_token(token) is not None
    clock.seconds += 1
    assert verified.find_token(token) is None
    assert len(verified) == 0


async def test_a_copy_with_another_signature_or_body_is_verified_by_itself(
    authenticator: TokenAuthenticator, verified: VerifiedTokens
) -> None:
    token = signing_key().sign(claims())
    await sign_in(authenticator, token)
    header, body, signature = token.split(".")
    other = signing_key().sign(claims(sub="root")).split(".")[1]
    for copy in (f"{header}.{body}.{signature[::-1]}", f"{header}.{other}.{signature}", f"{header}.{body}."):
        with pytest.raises(CredentialRefusedError):
            await sign_in(authenticator, copy)
    assert len(verified) == 1


async def test_the_tokens_used_last_are_remembered(authenticator: TokenAuthenticator, verified: VerifiedTokens) -> None:
    tokens = [signing_key().sign(claims(jti=str(number))) for number in range(3)]
    for token in tokens:
        await sign_in(authenticator, token)
    assert [verified.find_token(token) is not None for token in tokens] == [False, True, True]
