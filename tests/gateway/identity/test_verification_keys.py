from pathlib import Path
from typing import Any

import pytest

from gateway.identity.verification_keys import MAX_KEYS, BadKeysError, find_key, keys_from_jwks, read_public_key_file
from tests.gateway.identity.tokens import signing_key

FITTING = {
    "RS256": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
    "ES256": {"ES256"},
    "ES384": {"ES384"},
    "ES512": {"ES512"},
    "EdDSA": {"EdDSA"},
}


def jwk(algorithm: str = "ES256", **changes: Any) -> dict[str, Any]:
    entry = {**signing_key(algorithm=algorithm).public_jwk(), **changes}
    return {name: value for name, value in entry.items() if value is not None}


@pytest.mark.parametrize("algorithm", FITTING)
def test_a_key_has_the_algorithms_that_fit_its_type_and_curve(algorithm: str) -> None:
    (key,) = keys_from_jwks({"keys": [jwk(algorithm, alg=None)]})
    assert key.id == "one"
    assert key.algorithms == FITTING[algorithm]
    (bound,) = keys_from_jwks({"keys": [jwk(algorithm)]})
    assert bound.algorithms == {algorithm}


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "one", "alg": "HS256"},
        jwk(use="enc"),
        jwk(key_ops=["sign"]),
        jwk(key_ops="verify"),
        jwk(alg="HS256"),
        jwk("RS256", alg="RSA-OAEP"),
        jwk(alg=5),
        jwk(kid=""),
        jwk(kid=5),
        jwk(kid="x" * 256),
        jwk(d="c2VjcmV0"),
        jwk(crv="P-999"),
        jwk(x="!"),
        jwk(kty="new"),
        "no object",
        None,
    ],
)
def test_a_key_that_cannot_verify_is_left_out(entry: object) -> None:
    kept = keys_from_jwks({"keys": [entry, jwk(kid="other")]})
    assert [key.id for key in kept] == ["other"]
    with pytest.raises(BadKeysError, match="expected a public key for signatures"):
        keys_from_jwks({"keys": [entry]})


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": []}, {"keys": [jwk()] * (MAX_KEYS + 1)}])
def test_a_document_that_is_no_set_of_keys_is_refused(document: object) -> None:
    with pytest.raises(BadKeysError, match="expected"):
        keys_from_jwks(document)


def test_only_a_key_that_is_alone_needs_no_id() -> None:
    (alone,) = keys_from_jwks({"keys": [jwk(kid=None)]})
    assert find_key([alone], "any", "ES256") is alone
    assert [key.id for key in keys_from_jwks({"keys": [jwk(kid=None), jwk()]})] == ["one"]


def test_a_key_is_found_by_its_id_and_the_algorithm() -> None:
    keys = keys_from_jwks({"keys": [jwk(), jwk("RS256", alg=None), jwk("EdDSA", kid="two"), jwk(kid="three")]})
    ec, rsa, edwards, _ = keys
    assert find_key(keys, "one", "ES256") is ec
    assert find_key(keys, "one", "PS256") is rsa
    assert find_key(keys, "two", "ES256") is None
    assert find_key(keys, None, "EdDSA") is edwards
    assert find_key(keys, None, "ES256") is None  # two keys fit


def test_a_file_holds_one_public_key(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(signing_key(algorithm="ES256").public_pem())
    key = read_public_key_file(path, frozenset({"ES256", "RS256"}))
    assert key.id is None
    assert key.algorithms == {"ES256"}
    with pytest.raises(BadKeysError, match=r"expected a key for one of RS256 \(GATEWAY_JWT_ALGORITHMS\), got one for"):
        read_public_key_file(path, frozenset({"RS256"}))
    for content, expected in (
        (signing_key().private_pem(), "got a private one"),
        (b"text", "a public key in PEM"),
        (b"", "in PEM"),
    ):
        path.write_bytes(content)
        with pytest.raises(BadKeysError, match=expected):
            read_public_key_file(path, frozenset({"ES256"}))
    with pytest.raises(BadKeysError, match="expected a file that can be read"):
        read_public_key_file(tmp_path / "none.pem", frozenset({"ES256"}))
