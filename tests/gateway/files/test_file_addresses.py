from __future__ import annotations

from dataclasses import dataclass

import pytest
from yarl import URL

from gateway.files.address_seal import AddressSeal
from gateway.files.file_addresses import TOKEN_PARAMETER, AddressRules, CallersContentUrls, FileAddresses
from gateway.identity.credentials import Caller
from gateway.identity.principal import Owner, Principal, UpstreamIdentity, User
from gateway.ledger.ownership import CreateIntent
from gateway.server.http.refusals import Refusal
from schema.contract.errors import ErrorCode, GatewayError

UPSTREAM = UpstreamIdentity("https://upstream.test/v1")
HERE = Caller("127.0.0.1", "http", "localhost:8000")
ANN = Principal.from_user(User(Owner("https://issuer.test", "ann")), UPSTREAM)
HOLDER = Principal.from_credential("Bearer sk-1", UPSTREAM)
OWN_KEY = Principal.from_own_key("Bearer own", UPSTREAM)


@dataclass
class Now:
    seconds: float = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


def addresses(now: Now, rules: AddressRules | None = None, **options: str) -> FileAddresses:
    seal = AddressSeal(b"secret", UPSTREAM)
    rules = rules or AddressRules(UPSTREAM, find_own_credential=lambda: "Bearer own")
    url = options.get("public_url", "https://api.test")
    return FileAddresses(seal, rules, lifetime_seconds=300, public_url=url, now_seconds=now)


def tokens(address: str | None) -> list[str]:
    assert address is not None
    return URL(address).query.getall(TOKEN_PARAMETER)


def test_an_address_is_the_same_within_half_of_its_life_and_lasts_for_the_rest() -> None:
    now = Now()
    made = addresses(now)
    ends = set()
    for second in range(600):
        now.seconds = 1_000_000.0 + second
        address = made.make_address("file-1", HOLDER)
        opened = made.open_address("file-1", tokens(address), HERE)
        assert opened.principal == HOLDER
        assert 150 < opened.seconds_left <= 300
        ends.add(address)
    assert len(ends) == 5  # four halves, and a part of one


def test_an_address_ends_on_time() -> None:
    now = Now(999_900.0)  # the beginning of a half
    made = addresses(now)
    address = tokens(made.make_address("file-1", HOLDER))
    now.seconds += 299
    assert made.open_address("file-1", address, HERE).seconds_left == 1
    now.seconds += 1
    with pytest.raises(Refusal) as ended:
        made.open_address("file-1", address, HERE)
    assert (ended.value.status, ended.value.error.code) == (410, ErrorCode.NOT_FOUND)


def test_an_address_ends_with_the_token_of_its_caller() -> None:
    now = Now()
    user = Principal.from_user(User(Owner("https://issuer.test", "ann")), UPSTREAM, expires_at=now.seconds + 20)
    made = addresses(now, AddressRules(UPSTREAM, takes_users=True))
    assert made.open_address("file-1", tokens(made.make_address("file-1", user)), HERE).seconds_left == 50


@pytest.mark.parametrize(
    ("rules", "opens"),
    [
        (AddressRules(UPSTREAM), [HOLDER]),
        (AddressRules(UPSTREAM, allows_anonymous=True), [HOLDER, Principal.from_credential(None, UPSTREAM)]),
        (AddressRules(UPSTREAM, find_own_credential=lambda: "Bearer own"), [HOLDER, OWN_KEY]),
        (AddressRules(UPSTREAM, takes_users=True, takes_keys=False, find_own_credential=lambda: "Bearer own"), [ANN]),
    ],
)
def test_an_address_of_another_way_to_call_is_refused(rules: AddressRules, opens: list[Principal]) -> None:
    made = addresses(Now(), rules)
    for principal in (ANN, HOLDER, OWN_KEY, Principal.from_credential(None, UPSTREAM)):
        token = tokens(made.make_address("file-1", principal))
        if principal in opens:
            assert made.open_address("file-1", token, HERE).principal == principal
        else:
            with pytest.raises(Refusal) as refused:
                made.open_address("file-1", token, HERE)
            assert (refused.value.status, refused.value.error.code) == (403, ErrorCode.FORBIDDEN)


def test_an_address_of_the_own_key_is_refused_from_elsewhere() -> None:
    made = addresses(Now())
    token = tokens(made.make_address("file-1", OWN_KEY))
    for caller in (Caller("192.0.2.1", "http", "localhost:8000"), Caller("127.0.0.1", "http", "gateway.example")):
        with pytest.raises(Refusal):
            made.open_address("file-1", token, caller)


@pytest.mark.parametrize(
    ("file_id", "expected"),
    [("file-1", "/files/file-1/content"), ("a/b c", "/files/a%2Fb%20c/content"), ("..", None), ("", None)],
)
def test_the_id_is_one_part_of_the_path(file_id: str, expected: str | None) -> None:
    address = addresses(Now()).make_address(file_id, HOLDER)
    assert (None if address is None else URL(address, encoded=True).raw_path) == expected


class Readers:
    def __init__(self, *readable: str, is_down: bool = False) -> None:
        self.readable, self.is_down = readable, is_down

    def open_files(self, _: Principal) -> Readers:
        return self

    async def begin_upload(self, _: Principal) -> CreateIntent:
        raise NotImplementedError

    async def find_readable(self, file_ids: object) -> tuple[str, ...]:
        if self.is_down:
            raise GatewayError(ErrorCode.LEDGER_UNAVAILABLE, "The ledger does not answer.")
        return self.readable


async def test_addresses_are_made_only_of_files_that_a_user_may_read() -> None:
    made = addresses(Now(), AddressRules(UPSTREAM, takes_users=True))
    first, second = await CallersContentUrls(made, ANN, Readers("file-2")).make_urls(["file-1", "file-2"])
    assert first is None
    assert str(second).startswith("https://api.test/files/file-2/content?token=")
    found = await CallersContentUrls(made, ANN, Readers(is_down=True)).make_urls(["file-1", "file-2"])
    assert [getattr(error, "code", None) for error in found] == [ErrorCode.LEDGER_UNAVAILABLE] * 2
    assert None not in await CallersContentUrls(made, HOLDER, None).make_urls(["file-1", "file-2"])
