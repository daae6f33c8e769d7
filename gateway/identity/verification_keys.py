"""The public keys that verify tokens, from a JSON Web Key Set or a PEM file, with the algorithms that fit them.

Source: RFC 7517 (JSON Web Key), RFC 7518, sections 3.3 to 3.5, and RFC 8037, section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK
from jwt.exceptions import PyJWTError

MAX_KEYS = 100
"""Most keys of a set. Large providers have a dozen."""

MAX_KEY_ID_LENGTH = 255
"""Longest `kid`, in characters. The specification has no limit."""

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

_RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_EDWARDS_ALGORITHMS = frozenset({"EdDSA"})
_CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "secp256k1": "ES256K"}


class BadKeysError(Exception):
    """The keys cannot be used. The message names the reason."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, the algorithms that it may verify, and its id. Without an id, it verifies tokens of any `kid`."""

    public_key: PublicKey = field(repr=False)
    algorithms: frozenset[str]
    id: str | None = None


KeySet: TypeAlias = Sequence[VerificationKey]


def find_key(keys: KeySet, key_id: str | None, algorithm: str) -> VerificationKey | None:
    """Find the key of a token by its `kid` and `alg`. Without a `kid`, the only key that fits the algorithm."""
    fitting = [key for key in keys if algorithm in key.algorithms]
    if key_id is None:
        return fitting[0] if len(fitting) == 1 else None
    return next((key for key in fitting if key.id in {key_id, None}), None)


def keys_from_jwks(document: object) -> KeySet:
    """Read a JSON Web Key Set. Keys that are not public, for encryption, or of an unknown kind are left out.

    A key that is the only one of its set needs no `kid`, as OpenID Connect Core 1.0 says in section 10.1.

    Raises:
        BadKeysError: The document is no such set, or no key of it can be used.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise BadKeysError("expected a JSON object with a list 'keys', got something else")
    if len(entries) > MAX_KEYS:
        raise BadKeysError(f"expected at most {MAX_KEYS} keys, got {len(entries)}")
    needs_id = len(entries) > 1
    keys = [key for entry in entries if (key := _key_from_jwk(entry, needs_id=needs_id)) is not None]
    if not keys:
        raise BadKeysError(f"expected a public key for signatures with a kid, got {len(entries)} others")
    return keys


def key_from_pem(pem: bytes) -> VerificationKey:
    """Read a public key in PEM.

    Raises:
        BadKeysError: It is no public key, or of a kind that signs no tokens.
    """
    if b"PRIVATE KEY" in pem:
        raise BadKeysError("expected a public key, got a private one, which belongs to the issuer alone")
    try:
        key = load_pem_public_key(pem)
    except ValueError:
        raise BadKeysError("expected a public key in PEM (-----BEGIN PUBLIC KEY-----), got something else") from None
    algorithms = fitting_algorithms(key)
    if not algorithms or not isinstance(key, PublicKey):
        raise BadKeysError(f"expected an RSA, EC or Ed25519 key, got {type(key).__name__}")
    return VerificationKey(key, algorithms)


def read_public_key_file(path: Path, algorithms: frozenset[str]) -> VerificationKey:
    """Read the public key of a PEM file, which has to fit one of these algorithms.

    Raises:
        BadKeysError: The file cannot be read or used.
    """
    try:
        key = key_from_pem(path.read_bytes())
    except OSError as error:
        raise BadKeysError(f"expected a file that can be read, got {str(path)!r}, {error.strerror}") from None
    if not key.algorithms & algorithms:
        fitting, allowed = ", ".join(sorted(key.algorithms)), ", ".join(sorted(algorithms))
        raise BadKeysError(f"expected a key for one of {allowed} (GATEWAY_JWT_ALGORITHMS), got one for {fitting}")
    return key


def fitting_algorithms(key: object) -> frozenset[str]:
    """Return the algorithms that fit the type of a public key, and the curve of an elliptic one."""
    if isinstance(key, RSAPublicKey):
        return _RSA_ALGORITHMS
    if isinstance(key, EllipticCurvePublicKey):
        algorithm = _CURVE_ALGORITHMS.get(key.curve.name)
        return frozenset({algorithm}) if algorithm is not None else frozenset()
    return _EDWARDS_ALGORITHMS if isinstance(key, Ed25519PublicKey | Ed448PublicKey) else frozenset()


def _key_from_jwk(entry: object, *, needs_id: bool) -> VerificationKey | None:
    if not isinstance(entry, dict) or not _may_verify(entry):
        return None
    key_id, algorithm = entry.get("kid"), entry.get("alg")
    if (key_id is None and needs_id) or not _is_key_id(key_id):
        return None
    try:
        # The key's own `alg` is left out: PyJWT refuses one that it does not know, and it is compared below.
        key = PyJWK({name: value for name, value in entry.items() if name != "alg"}).key
    except (PyJWTError, ValueError, TypeError):
        return None
    algorithms = fitting_algorithms(key)
    if algorithm is not None:
        algorithms &= {algorithm} if isinstance(algorithm, str) else set()
    return VerificationKey(key, algorithms, key_id) if algorithms else None


def _is_key_id(value: object) -> bool:
    return value is None or (isinstance(value, str) and 0 < len(value) <= MAX_KEY_ID_LENGTH)


def _may_verify(entry: Mapping[str, Any]) -> bool:
    """Tell whether a key is public and, as far as it says, for signatures."""
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("kty") in ("RSA", "EC", "OKP")
        and "d" not in entry
        and entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )
