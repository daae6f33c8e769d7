import pytest

from gateway.files.address_seal import AddressSeal, BrokenSealError, Holder, SealedContents
from gateway.identity.principal import Owner, UpstreamIdentity, User

UPSTREAM = UpstreamIdentity("https://upstream.test/v1")
SEAL = AddressSeal(b"secret", UPSTREAM)
HOLDERS = (
    Holder(User(Owner("https://issuer.test", "ann", "acme"))),
    Holder(User(Owner("https://issuer.test", "root"), is_admin=True)),
    Holder(uses_own_key=True),
    Holder(credential="Bearer sk-secret"),
    Holder(credential="Bearer ü\xff"),
    Holder(),
)


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_is_sealed_can_be_opened_and_not_be_read(holder: Holder) -> None:
    contents = SealedContents(holder, 1234)
    token = SEAL.seal("file-1", contents)
    assert SEAL.open("file-1", token) == contents
    assert token.replace("-", "").replace("_", "").isalnum()
    assert "sk-secret" not in token
    assert "sk-secret" not in repr(contents)


def test_equal_contents_give_equal_text_and_different_ones_different_text() -> None:
    tokens = {SEAL.seal("file-1", SealedContents(holder, end)) for holder in HOLDERS for end in (1, 2)}
    assert len(tokens) == 2 * len(HOLDERS)
    assert tokens == {SEAL.seal("file-1", SealedContents(holder, end)) for holder in HOLDERS for end in (1, 2)}


@pytest.mark.parametrize(
    "opened_by",
    [
        (SEAL, "file-2"),
        (AddressSeal(b"another", UPSTREAM), "file-1"),
        (AddressSeal(b"secret", UpstreamIdentity("https://elsewhere.test/v1")), "file-1"),
    ],
    ids=["another file", "another secret", "another upstream"],
)
def test_a_seal_is_for_one_file_one_secret_and_one_upstream(opened_by: tuple[AddressSeal, str]) -> None:
    token = SEAL.seal("file-1", SealedContents(Holder(), 1))
    seal, file_id = opened_by
    with pytest.raises(BrokenSealError):
        seal.open(file_id, token)


def test_no_change_of_any_character_opens() -> None:
    token = SEAL.seal("file-1", SealedContents(Holder(credential="Bearer x"), 1))
    for place in range(len(token)):
        # The last character holds bits that mean nothing, so every other one is tried there.
        for other in "AQgw-_" if place == len(token) - 1 else "A-":
            changed = token[:place] + other + token[place + 1 :]
            if changed != token:
                with pytest.raises(BrokenSealError):
                    SEAL.open("file-1", changed)


@pytest.mark.parametrize("token", ["", "A", "AAAA", "é", "a b", "=", "A" * 17_000, "A" * 1000, "\ud800"])
def test_text_that_was_never_sealed_does_not_open(token: str) -> None:
    with pytest.raises(BrokenSealError):
        SEAL.open("file-1", token)
