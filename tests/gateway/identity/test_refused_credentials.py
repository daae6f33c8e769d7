import pytest

from gateway.identity.refused_credentials import RefusedCredentials


def test_a_principal_is_refused_from_a_401_until_the_upstream_accepts_it() -> None:
    refused = RefusedCredentials()
    assert refused.record_status("ann", 401)
    assert not refused.record_status("ann", 401)
    assert ("ann" in refused, "bob" in refused) == (True, False)
    assert not refused.record_status("ann", 200)
    assert "ann" not in refused


@pytest.mark.parametrize("status", [302, 400, 403, 404, 429, 500, 503])
def test_another_failure_says_nothing_about_the_credential(status: int) -> None:
    refused = RefusedCredentials()
    assert not refused.record_status("ann", status)
    assert "ann" not in refused
    refused.record_status("ann", 401)
    refused.record_status("ann", status)
    assert "ann" in refused


def test_only_the_latest_refusals_are_remembered() -> None:
    refused = RefusedCredentials(max_refused=2)
    for digest in ("ann", "bob", "ann", "cid"):
        refused.record_status(digest, 401)
    assert [digest in refused for digest in ("ann", "bob", "cid")] == [True, False, True]
