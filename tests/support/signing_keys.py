"""Keys that sign tokens, and the key set (JWKS) by which others verify them."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
RSA_BITS = 2048


@dataclass(frozen=True)
class SigningKey:
    """A private key with its id (`kid`) and the algorithm that it signs with."""

    kid: str
    algorithm: str
    private_key: PrivateKey = field(repr=False)

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """Make a token of these claims. Members of `header` replace the usual ones; None leaves one out."""
        merged = {"kid": self.kid, **header}
        # PyJWT writes `typ` unless it is None.
        headers = {name: value for name, value in merged.items() if value is not None or name == "typ"}
        return jwt.encode(claims, self.private_key, self.algorithm, headers=headers)

    def public_jwk(self) -> dict[str, Any]:
        """Return the public key as a member of a JWKS."""
        text = get_default_algorithms()[self.algorithm].to_jwk(self.private_key.public_key())
        return {**json.loads(text), "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def private_pem(self) -> bytes:
        """Return the private key as the text of a PEM file."""
        return self.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def public_pem(self) -> bytes:
        """Return the public key as the text of a PEM file."""
        return self.private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def make_signing_key(kid: str, algorithm: str = "RS256") -> SigningKey:
    """Make a new key for one of PyJWT's asymmetric algorithms."""
    if algorithm == "EdDSA":
        return SigningKey(kid, algorithm, ed25519.Ed25519PrivateKey.generate())
    if algorithm in _CURVES:
        return SigningKey(kid, algorithm, ec.generate_private_key(_CURVES[algorithm]))
    return SigningKey(kid, algorithm, rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS))


def read_claims(token: str) -> dict[str, Any]:
    """Read the claims of a token without a look at its signature."""
    claims: dict[str, Any] = json.loads(_decode_part(token.split(".")[1]))
    return claims


def _decode_part(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
