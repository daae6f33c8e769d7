from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.principal import Owner, Principal, UpstreamIdentity, User

TEXTS = st.none() | st.text(max_size=5)
IDENTITIES = st.tuples(TEXTS, st.builds(UpstreamIdentity, st.text(max_size=5), TEXTS, TEXTS, TEXTS, TEXTS))


@given(IDENTITIES, IDENTITIES)
def test_two_digests_are_equal_only_for_one_credential_at_one_upstream(
    first: tuple[str | None, UpstreamIdentity], second: tuple[str | None, UpstreamIdentity]
) -> None:
    assert (Principal.from_credential(*first).digest == Principal.from_credential(*second).digest) is (first == second)


def test_a_digest_is_the_same_in_every_process() -> None:
    upstream = UpstreamIdentity("https://upstream.test/v1", "org", None)
    assert Principal.from_credential("Bearer a", upstream).digest == (
        "f5549c41f46156b75837b672e7bc28fa3b4a7af4bf30ac922aaee00696871f13"
    )


def test_the_credential_is_never_shown() -> None:
    principal = Principal.from_credential("Bearer sk-secret", UpstreamIdentity("https://upstream.test"))
    assert "secret" not in repr(principal)
    assert "secret" not in principal.digest


def test_a_principal_cannot_be_changed() -> None:
    principal = Principal.from_credential("Bearer a", UpstreamIdentity("https://upstream.test"))
    with pytest.raises(FrozenInstanceError):
        principal.credential = "Bearer b"  # type: ignore[misc]


def test_a_principal_knows_when_its_token_ends_and_whose_key_goes_upstream() -> None:
    upstream = UpstreamIdentity("https://upstream.test")
    user = Principal.from_user(User(Owner("https://login.test", "alice")), upstream, 900.0)
    token = Principal.from_credential("Bearer e30.eyJleHAiOiA5MDB9.c2ln", upstream)
    assert (user.expires_at, user.uses_own_key, user.credential) == (900.0, True, None)
    assert (token.expires_at, token.uses_own_key) == (900.0, False)


def test_who_brings_the_own_key_that_stays_the_same_is_the_principal_of_the_own_key() -> None:
    upstream = UpstreamIdentity("https://upstream.test")
    brought = Principal.from_credential("Bearer own", upstream)
    assert Principal.from_own_key("Bearer own", upstream).digest == brought.digest
    assert Principal.from_own_key(None, upstream).digest != Principal.from_credential(None, upstream).digest


def test_an_upstream_stays_the_same_by_another_version_or_dialect() -> None:
    first = UpstreamIdentity("https://upstream.test/v1?api-version=1", "org", "project", "openai-v1", "1")
    assert first.lasting == UpstreamIdentity("https://upstream.test/v1/", "org", "project", "openai-v2").lasting
    for other in ("https://other.test/v1", "https://upstream.test/v2"):
        assert UpstreamIdentity(other, "org", "project").lasting.digest != first.lasting.digest
    assert UpstreamIdentity(first.url, None, "project").lasting.digest != first.lasting.digest
    assert UpstreamIdentity(first.url, "org").lasting.digest != first.lasting.digest


def test_a_digest_takes_any_text() -> None:
    upstream = UpstreamIdentity("https://upstream.test")
    texts = ["\ud800", "\udcc3\udca9", "é", "\0"]
    assert len({Owner("i", text).digest(upstream) for text in texts}) == len(texts)


def test_the_later_end_of_two_tokens_of_a_user_changes_nothing_else() -> None:
    upstream = UpstreamIdentity("https://upstream.test")
    owner = Owner("https://issuer.test", "alice")
    first = Principal.from_user(User(owner), upstream, 100.0)
    endless = Principal.from_user(User(owner), upstream)
    later = Principal.from_user(User(owner, is_admin=True), upstream, 200.0)
    assert first.extended_by(later) == Principal.from_user(User(owner), upstream, 200.0)
    assert later.extended_by(first) is later
    assert first.extended_by(endless) == endless.extended_by(first) == endless
