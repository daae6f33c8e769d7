"""Single tokens. `tests/journeys/test_bad_tokens.py` sends a corpus of them to a gateway."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.principal import Owner
from gateway.identity.token_verification import (
    TokenRefusedError,
    read_header,
    token_from_authorization,
    verify_token,
)
from gateway.identity.verification_keys import VerificationKey, fitting_algorithms, keys_from_jwks
from tests.gateway.identity.tokens import ISSUER, RULES, claims, signing_key


def key_of(algorithm: str = "ES256") -> VerificationKey:
    (key,) = keys_from_jwks({"keys": [signing_key(algorithm=algorithm).public_jwk()]})
    return key


def verify(token: str, algorithm: str = "ES256") -> Any:
    return verify_token(token, read_header(token, RULES.algorithms), key_of(algorithm), RULES)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
def test_a_token_tells_its_user_and_its_end(algorithm: str) -> None:
    expiry = int(time.time()) + 60
    verified = verify(signing_key(algorithm=algorithm).sign(claims(exp=expiry)), algorithm)
    assert (verified.user.owner, verified.expires_at) == (Owner(ISSUER, "alice"), expiry)


@pytest.mark.parametrize("change", [{"exp": -29}, {"nbf": 29}, {"iat": 29}])
def test_clocks_may_differ_by_half_a_minute(change: dict[str, int]) -> None:
    ((name, seconds),) = change.items()
    assert verify(signing_key().sign(claims(**{name: int(time.time()) + seconds})))


@pytest.mark.parametrize(
    ("changes", "reason", "is_replaceable"),
    [
        ({"exp": 1}, "it has expired", True),
        ({"nbf": 32_000_000_000}, "it is not valid yet", True),
        ({"iat": 32_000_000_000}, "it is not valid yet", True),
        ({"iss": "https://other.test"}, "it is of another issuer", False),
        ({"iss": ["https://login.test"]}, "it is of another issuer", False),
        ({"aud": "other"}, "it is for another audience", False),
        ({"aud": ["other", 5]}, "it is for another audience", False),
        ({"aud": None}, "expected a claim aud, got none", False),
        ({"iss": None}, "expected a claim iss, got none", False),
        ({"exp": None}, "expected a claim exp, got none", False),
        ({"exp": "32000000000"}, "expected a claim exp that is a number", False),
        ({"sub": None}, "expected a claim sub, got none", False),
        ({"sub": ""}, "expected a claim sub of 1 to 255", False),
        ({"sub": 5}, "it is malformed", False),
        ({"sub": "x" * 256}, "expected a claim sub of at most 255", False),
        ({"exp": [1]}, "it is malformed", False),
    ],
)
def test_the_reason_of_a_refusal_is_told(changes: dict[str, Any], reason: str, is_replaceable: bool) -> None:
    merged = {**claims(), **changes}
    # PyJWT refuses to sign an issuer that is no text.
    body = {name: value for name, value in merged.items() if value is not None}
    token = (
        signing_key().sign(body)
        if isinstance(body.get("iss", ""), str)
        else jwt.api_jws.encode(
            b'{"iss": ["x"], "aud": "threads-gateway", "sub": "a", "exp": 32000000000}',
            signing_key().private_key,
            "ES256",
        )
    )
    with pytest.raises(TokenRefusedError, match=reason) as refused:
        verify(token)
    assert refused.value.is_replaceable is is_replaceable


def test_an_audience_among_several_is_enough() -> None:
    assert verify(signing_key().sign(claims(aud=["other", "threads-gateway"])))


def test_a_wrong_signature_is_refused_before_any_claim() -> None:
    head, body, _ = signing_key().sign(claims(exp=1)).split(".")
    other = signing_key("other").sign(claims()).split(".")[2]
    with pytest.raises(TokenRefusedError, match="its signature is wrong"):
        verify(f"{head}.{body}.{other}")


def test_an_algorithm_of_the_same_family_that_the_key_does_not_name_is_refused() -> None:
    token = jwt.encode(claims(), signing_key(algorithm="RS256").private_key, "PS256", headers={"kid": "one"})
    with pytest.raises(TokenRefusedError, match="its algorithm does not fit its key"):
        verify(token, "RS256")


def test_a_short_key_is_refused() -> None:
    private = rsa.generate_private_key(public_exponent=65_537, key_size=1024)  # noqa: S505 - the key to be refused
    public = private.public_key()
    key = VerificationKey(public, fitting_algorithms(public))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = jwt.encode(claims(), private, "RS256")
    with pytest.raises(TokenRefusedError, match="its key is too short"):
        verify_token(token, read_header(token, RULES.algorithms), key, RULES)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"crit": ["exp"], "exp": 1}, "extensions that are not known"),
        ({"crit": ["b64"], "b64": True}, "extensions that are not known"),
        ({"crit": []}, "extensions that are not known"),
        ({"kid": "x" * 256}, "expected a kid"),
        ({"kid": 5}, "."),
    ],
)
def test_a_header_that_is_not_understood_is_refused(header: dict[str, Any], reason: str) -> None:
    token = bare_token({"alg": "ES256", **header})
    with pytest.raises(TokenRefusedError, match=reason):
        read_header(token, RULES.algorithms)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "ES512", "", 5, None, ["ES256"]])
def test_only_the_algorithms_of_the_settings_are_taken(algorithm: object) -> None:
    with pytest.raises(TokenRefusedError):
        read_header(bare_token({"alg": algorithm}), RULES.algorithms)


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("Bearer",),
        ("Bearer a.b",),
        ("Bearer a.b.c.d",),
        ("Bearer a.b.c d",),
        ("Basic YTpi",),
        ("a.b.c",),
        ("Bearer a.b.ä",),
        ("Bearer " + "a" * 9000 + ".b.c",),
        ("Bearer a.b.c", "Bearer a.b.c"),
    ],
)
def test_authorization_holds_one_bearer_token(values: tuple[str, ...]) -> None:
    with pytest.raises(TokenRefusedError) as refused:
        token_from_authorization(values)
    assert refused.value.is_missing is (not values)
    assert token_from_authorization(("bearer  a.b.c ",)) == "a.b.c"


@given(st.text(max_size=60) | st.from_regex(r"[\w=-]{0,9}(\.[\w=-]{0,9}){0,4}", fullmatch=True))
def test_any_text_is_refused_and_never_raises_anything_else(text: str) -> None:
    with pytest.raises(TokenRefusedError):
        verify(token_from_authorization((f"Bearer {text}",)))


def bare_token(header: dict[str, Any]) -> str:
    """Return a token with exactly this header, and no signature."""
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims()))
    return ".".join([*parts, ""])
