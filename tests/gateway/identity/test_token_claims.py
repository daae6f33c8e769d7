import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.principal import Owner
from gateway.identity.token_claims import (
    BadClaimError,
    ClaimNames,
    expiry_from_claims,
    find_claim,
    roles_from_claim,
    user_from_claims,
)
from tests.gateway.identity.tokens import ISSUER, NAMES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("sub", "alice"),
        ("realm_access.roles", ["admin"]),
        ("https://example.com/roles", ["whole"]),
        ("a.b", "whole"),
        ("a.c", "path"),
        ("a.c.d", None),
        ("nothing.there", None),
    ],
)
def test_a_claim_of_the_whole_name_wins_over_a_path(path: str, found: object) -> None:
    claims = {
        "sub": "alice",
        "realm_access": {"roles": ["admin"]},
        "https://example.com/roles": ["whole"],
        "a.b": "whole",
        "a": {"b": "path", "c": "path"},
    }
    assert find_claim(claims, path) == found


@pytest.mark.parametrize(
    ("value", "roles"),
    [
        (["admin", "staff"], {"admin", "staff"}),
        (["admin", 1, None], {"admin"}),
        ("admin staff", {"admin", "staff"}),
        ("administrator", {"administrator"}),
        ({"admin": True}, set()),
        (None, set()),
        (True, set()),
    ],
)
def test_roles_come_as_a_list_or_as_a_text(value: object, roles: set[str]) -> None:
    assert roles_from_claim(value) == roles


def test_a_user_is_the_subject_of_an_issuer_in_a_tenant() -> None:
    claims = {"iss": ISSUER, "sub": "alice", "org": {"id": "acme"}, "realm_access": {"roles": ["admin"]}}
    user = user_from_claims(claims, NAMES)
    assert (user.owner, user.is_admin) == (Owner(ISSUER, "alice", "acme"), True)
    plain = user_from_claims(claims, ClaimNames())
    assert (plain.owner, plain.is_admin) == (Owner(ISSUER, "alice", ""), False)
    assert not user_from_claims(claims, ClaimNames(roles="realm_access.roles", admin_role="boss")).is_admin


@pytest.mark.parametrize("subject", [None, "", 5, ["alice"], "x" * 256, "a\0b", "\ud800"])
def test_a_subject_is_a_text_of_1_to_255_characters(subject: object) -> None:
    with pytest.raises(BadClaimError, match="expected a claim sub"):
        user_from_claims({"iss": ISSUER, "sub": subject}, ClaimNames())
    user_from_claims({"iss": ISSUER, "sub": "ä" * 255}, ClaimNames())


@pytest.mark.parametrize("tenant", [None, 5, {"id": {}}, "x" * 256])
def test_a_token_without_a_usable_tenant_is_refused_where_tokens_must_have_one(tenant: object) -> None:
    with pytest.raises(BadClaimError, match=r"expected a claim org\.id"):
        user_from_claims({"iss": ISSUER, "sub": "alice", "org": {"id": tenant}}, NAMES)


@pytest.mark.parametrize("expiry", [None, "1700000000", True, 10**400, [1]])
def test_an_expiry_is_a_number(expiry: object) -> None:
    with pytest.raises(BadClaimError, match="expected a claim exp"):
        expiry_from_claims({"exp": expiry})
    assert expiry_from_claims({"exp": 1_700_000_000.5}) == 1_700_000_000.5


@given(st.dictionaries(st.sampled_from(["sub", "org", "org.id", "realm_access", "realm_access.roles"]), JSON))
def test_any_claims_give_a_user_or_are_refused(claims: dict[str, object]) -> None:
    try:
        user = user_from_claims({**claims, "iss": ISSUER}, NAMES)
    except BadClaimError:
        return
    assert 1 <= len(user.owner.subject) <= 255
