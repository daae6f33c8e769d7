import threading
import time
from pathlib import Path

import pytest

from gateway.identity.principal import Owner
from gateway.identity.token_claims import BadClaimError, ClaimNames
from gateway.identity.token_verification import TokenRules, read_header, verify_token
from gateway.identity.trial_tokens import (
    TRIAL_AUDIENCE,
    TRIAL_ISSUER,
    TrialClaims,
    TrialKeyError,
    default_key_path,
    make_token,
    write_public_key,
)
from gateway.identity.verification_keys import read_public_key_file
from tests.gateway.identity.tokens import signing_key

ALGORITHMS = frozenset({"EdDSA"})
NAMES = ClaimNames(tenant="org.id", roles="realm.roles")


def test_a_token_is_accepted_with_the_public_key(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key.pem"
    claims = TrialClaims("alice", roles=["admin"], tenant="acme", claim_names=NAMES)
    token = make_token(path, claims, int(time.time()))
    key = read_public_key_file(write_public_key(path), ALGORITHMS)
    rules = TokenRules(TRIAL_ISSUER, TRIAL_AUDIENCE, ALGORITHMS, NAMES)
    user = verify_token(token, read_header(token, ALGORITHMS), key, rules).user
    assert (user.owner, user.is_admin) == (Owner(TRIAL_ISSUER, "alice", "acme"), True)


def test_a_token_that_a_gateway_would_refuse_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(BadClaimError, match="expected a claim sub"):
        make_token(tmp_path / "key.pem", TrialClaims(""), 0)
    with pytest.raises(BadClaimError, match="expected a claim tenant"):
        make_token(tmp_path / "key.pem", TrialClaims("alice", tenant="x" * 256), 0)


def test_only_the_owner_may_read_the_private_key(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key.pem"
    public_path = write_public_key(path)
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    assert sorted(path.parent.iterdir()) == sorted([path, public_path])
    path.chmod(0o640)
    with pytest.raises(TrialKeyError, match="expected a key that only you can read"):
        write_public_key(path)


def test_two_that_make_the_key_at_once_get_the_same(tmp_path: Path) -> None:
    path, tokens = tmp_path / "key.pem", []
    together = threading.Barrier(4)

    def make() -> None:
        together.wait()
        tokens.append(make_token(path, TrialClaims("alice"), 0))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 4
    assert len(set(tokens)) == 1


def test_a_file_that_holds_no_such_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"text")
    path.chmod(0o600)
    with pytest.raises(TrialKeyError, match="expected a private key in PEM"):
        make_token(path, TrialClaims("alice"), 0)
    path.write_bytes(signing_key(algorithm="ES256").private_pem())
    with pytest.raises(TrialKeyError, match="expected an Ed25519 key"):
        make_token(path, TrialClaims("alice"), 0)
    (tmp_path / "file").touch()
    with pytest.raises(TrialKeyError, match="expected a file that can be read and written"):
        make_token(tmp_path / "file" / "key.pem", TrialClaims("alice"), 0)
    (tmp_path / "other.pem").mkdir()
    with pytest.raises(TrialKeyError, match="expected a file that can be read and written"):
        make_token(tmp_path / "other.pem", TrialClaims("alice"), 0)
    (tmp_path / "blocked.public.pem").mkdir()
    with pytest.raises(TrialKeyError, match="expected a file that can be read and written"):
        write_public_key(tmp_path / "blocked.pem")


def test_the_key_stands_in_the_folder_for_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_key_path({}) == tmp_path / ".local/state/threads-gateway/trial-key.pem"
    assert default_key_path({"XDG_STATE_HOME": "not/absolute"}) == default_key_path({})
    assert default_key_path({"XDG_STATE_HOME": "/state"}) == Path("/state/threads-gateway/trial-key.pem")
