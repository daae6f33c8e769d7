"""Verifies JSON Web Tokens, by PyJWT. Pure: the caller finds the key.

Nothing in a token leads anywhere: of its header, only `alg` and `kid` are read, and `kid` only chooses among keys that
are known by other ways. The reason of a refusal is for the log. It holds no part of a token whose signature is wrong
but the beginning of its `kid`.

Source: RFC 7519 (JSON Web Token), RFC 7515, section 4.1 (the header), and RFC 8725 (best current practices).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt
from jwt import exceptions

from gateway.identity.credentials import MAX_AUTHORIZATION_LENGTH
from gateway.identity.principal import User
from gateway.identity.token_claims import BadClaimError, ClaimNames, expiry_from_claims, user_from_claims
from gateway.identity.token_expiry import TOKEN_GRACE_SECONDS
from gateway.identity.verification_keys import MAX_KEY_ID_LENGTH, VerificationKey

REQUIRED_CLAIMS = ("iss", "aud", "exp", "sub")

_BEARER = re.compile(r"bearer +([A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]*) *\Z", re.IGNORECASE)

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.ExpiredSignatureError, "it has expired"),
    (exceptions.ImmatureSignatureError, "it is not valid yet (nbf or iat)"),
    (exceptions.InvalidSignatureError, "its signature is wrong"),
    (exceptions.InvalidIssuerError, "it is of another issuer"),
    (exceptions.InvalidAudienceError, "it is for another audience"),
    (exceptions.InvalidKeyError, "its key is too short, or does not fit its algorithm"),
    (exceptions.InvalidAlgorithmError, "its algorithm does not fit its key"),
)

_REPLACEABLE = (exceptions.ExpiredSignatureError, exceptions.ImmatureSignatureError, exceptions.InvalidSignatureError)
"""Refusals after which the same client may come again with a token that is accepted."""


class TokenRefusedError(Exception):
    """A token is refused. The message is the reason, for the log alone.

    `is_replaceable` says that a fresh token of the same client may be accepted. `is_missing` says that none came.
    """

    def __init__(self, reason: str, *, is_replaceable: bool = False, is_missing: bool = False) -> None:
        super().__init__(reason)
        self.is_replaceable = is_replaceable
        self.is_missing = is_missing


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The rules for tokens: issuer, audience, algorithms, and the claims that describe a user."""

    issuer: str
    audience: str
    algorithms: frozenset[str]
    claim_names: ClaimNames = field(default_factory=ClaimNames)


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """The parts of a token's header that count."""

    algorithm: str
    key_id: str | None


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The facts of a verified token: its user, and its expiry as Unix time in seconds."""

    user: User
    expires_at: float


def token_from_authorization(values: Sequence[str]) -> str:
    """Take the token from the values of `Authorization`.

    Raises:
        TokenRefusedError: There is not exactly one value, of a bearer's JSON Web Token.
    """
    if not values:
        raise TokenRefusedError("there is none", is_missing=True)
    if len(values) > 1:
        raise TokenRefusedError(f"expected one Authorization, got {len(values)}")
    (value,) = values
    if len(value) > MAX_AUTHORIZATION_LENGTH:
        raise TokenRefusedError(f"expected at most {MAX_AUTHORIZATION_LENGTH} characters, got {len(value)}")
    match = _BEARER.match(value)
    if match is None:
        raise TokenRefusedError("expected 'Bearer' and a JSON Web Token of three parts")
    return match[1]


def read_header(token: str, algorithms: frozenset[str]) -> TokenHeader:
    """Read the header, so that the key can be found.

    Raises:
        TokenRefusedError: It is malformed, has an algorithm that is not among these, or has critical extensions.
    """
    try:
        header = jwt.get_unverified_header(token)
    except exceptions.PyJWTError:
        raise TokenRefusedError("its header is malformed, or has extensions that are not known (crit)") from None
    if "crit" in header:
        raise TokenRefusedError("its header has extensions that are not known (crit)")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise TokenRefusedError("its algorithm is not among GATEWAY_JWT_ALGORITHMS")
    if key_id is not None and (not isinstance(key_id, str) or len(key_id) > MAX_KEY_ID_LENGTH):
        raise TokenRefusedError(f"expected a kid that is a text of at most {MAX_KEY_ID_LENGTH} characters")
    return TokenHeader(algorithm, key_id)


def verify_token(token: str, header: TokenHeader, key: VerificationKey, rules: TokenRules) -> VerifiedToken:
    """Verify the signature and the claims of a token.

    Raises:
        TokenRefusedError: The token is not valid.
    """
    if header.algorithm not in key.algorithms & rules.algorithms:
        raise TokenRefusedError("its algorithm does not fit its key")
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public_key,
            algorithms=[header.algorithm],
            audience=rules.audience,
            issuer=rules.issuer,
            leeway=TOKEN_GRACE_SECONDS,
            options={"require": list(REQUIRED_CLAIMS), "enforce_minimum_key_length": True},
        )
        return VerifiedToken(user_from_claims(claims, rules.claim_names), expiry_from_claims(claims))
    except exceptions.PyJWTError as error:
        raise TokenRefusedError(_reason(error), is_replaceable=isinstance(error, _REPLACEABLE)) from None
    except BadClaimError as error:
        raise TokenRefusedError(str(error)) from None


def _reason(error: exceptions.PyJWTError) -> str:
    if isinstance(error, exceptions.MissingRequiredClaimError):
        return f"expected a claim {error.claim}, got none"
    found = next((reason for kind, reason in _REASONS if isinstance(error, kind)), None)
    return found or f"it is malformed ({type(error).__name__})"
