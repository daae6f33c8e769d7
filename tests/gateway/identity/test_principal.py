from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.principal import Principal, UpstreamIdentity

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
