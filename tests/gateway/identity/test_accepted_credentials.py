import pytest

from gateway.identity.accepted_credentials import AcceptedCredentials


def test_a_principal_is_accepted_from_a_success_until_the_upstream_refuses_it() -> None:
    accepted = AcceptedCredentials()
    assert "ann" not in accepted
    accepted.record_status("ann", 200)
    assert ("ann" in accepted, "bob" in accepted) == (True, False)
    accepted.record_status("ann", 401)
    assert "ann" not in accepted
    accepted.record_accepted("ann")
    assert "ann" in accepted


@pytest.mark.parametrize("status", [302, 400, 403, 404, 429, 500, 503])
def test_a_failure_says_nothing_about_the_credential(status: int) -> None:
    accepted = AcceptedCredentials()
    accepted.record_status("ann", status)
    assert "ann" not in accepted
    accepted.record_status("ann", 201)
    accepted.record_status("ann", status)
    assert "ann" in accepted


def test_only_the_latest_are_remembered() -> None:
    accepted = AcceptedCredentials(max_accepted=2)
    for digest in ("ann", "bob", "ann", "cid"):
        accepted.record_status(digest, 200)
    assert [digest in accepted for digest in ("ann", "bob", "cid")] == [True, False, True]
