from dataclasses import replace

import pytest

from gateway.identity.credentials import (
    MAX_AUTHORIZATION_LENGTH,
    Caller,
    CredentialPolicy,
    CredentialRefusedError,
    decide_credential,
    decide_socket_credential,
    is_foreign_page,
    is_loopback_address,
    is_loopback_host,
    own_key_obstacle,
)
from gateway.identity.token_expiry import TOKEN_GRACE_SECONDS
from schema.contract.errors import ErrorCode

OWN = CredentialPolicy("Bearer own-secret")
HERE = Caller(peer="127.0.0.1", scheme="http", host="localhost:8000")
AWAY = replace(HERE, peer="192.0.2.7")


@pytest.mark.parametrize("policy", [CredentialPolicy(), OWN, CredentialPolicy(allow_anonymous=True)])
@pytest.mark.parametrize("value", ["Bearer caller", "Basic dTpw", "bearer  two  spaces", "Bearer ä"])
def test_the_callers_own_authorization_is_passed_on_as_it_is(policy: CredentialPolicy, value: str) -> None:
    assert decide_credential(replace(AWAY, authorization=(value,)), policy) == value


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"peer": "127.8.9.1"},
        {"peer": "::1", "host": "[::1]:8000"},
        {"peer": "::ffff:127.0.0.1"},
        {"host": "127.0.0.1"},
        {"host": "LOCALHOST:1"},
        {"origin": "http://localhost:8000"},
        {"fetch_site": "same-origin"},
        {"fetch_site": "none"},
    ],
)
def test_the_gateways_own_key_serves_callers_on_this_machine(change: dict[str, str]) -> None:
    assert decide_credential(replace(HERE, **change), OWN) == "Bearer own-secret"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"peer": "192.0.2.7"}, "another machine"),
        ({"peer": "::ffff:192.0.2.7"}, "another machine"),
        ({"peer": None}, "another machine"),
        ({"peer": "nonsense"}, "another machine"),
        ({"host": "rebound.example:8000"}, "Host is not localhost"),
        ({"host": "localhost.example"}, "Host is not localhost"),
        ({"host": "user@localhost"}, "Host is not localhost"),
        ({"host": "localhost:80:80"}, "Host is not localhost"),
        ({"host": "[::1"}, "Host is not localhost"),
        ({"host": "localhost/"}, "Host is not localhost"),
        ({"host": ""}, "Host is not localhost"),
        ({"headers": frozenset({"x-forwarded-for"})}, "a proxy passed it on"),
        ({"headers": frozenset({"x-forwarded-proto"})}, "a proxy passed it on"),
        ({"headers": frozenset({"cf-connecting-ip"})}, "a proxy passed it on"),
        ({"headers": frozenset({"forwarded"})}, "a proxy passed it on"),
        ({"headers": frozenset({"x-client-ip"})}, "a proxy passed it on"),
        ({"headers": frozenset({"x-envoy-external-address"})}, "a proxy passed it on"),
        ({"headers": frozenset({"fly-client-ip"})}, "a proxy passed it on"),
        ({"headers": frozenset({"x-original-forwarded-for"})}, "a proxy passed it on"),
        ({"headers": frozenset({"x-amzn-trace-id"})}, "a proxy passed it on"),
        ({"origin": "http://localhost:3000"}, "another origin"),
        ({"origin": "https://localhost:8000"}, "another origin"),
        ({"origin": "null"}, "another origin"),
        ({"fetch_site": "cross-site"}, "another origin"),
        ({"fetch_site": "same-site"}, "another origin"),
    ],
)
def test_the_gateways_own_key_is_kept_from_all_other_callers(change: dict[str, object], reason: str) -> None:
    caller = replace(HERE, **change)  # type: ignore[arg-type]
    assert reason in str(own_key_obstacle(caller))
    with pytest.raises(CredentialRefusedError, match=reason) as refused:
        decide_credential(caller, OWN)
    assert refused.value.status == 401
    assert refused.value.error.code is ErrorCode.UNAUTHENTICATED
    assert "own-secret" not in str(refused.value)


def test_the_gateways_own_key_is_kept_from_http_1_0_which_old_proxies_speak() -> None:
    obstacle = own_key_obstacle(replace(HERE, is_http_1_0=True))
    assert obstacle is not None
    assert "HTTP/1.0" in obstacle


def test_without_any_key_a_call_is_refused_before_it_is_made() -> None:
    with pytest.raises(
        CredentialRefusedError, match=r"Expected an Authorization header.*holds no key of its own"
    ) as refused:
        decide_credential(HERE, CredentialPolicy())
    assert refused.value.status == 401


def test_an_upstream_without_keys_is_called_without_a_credential_where_the_configuration_says_so() -> None:
    assert decide_credential(AWAY, CredentialPolicy(allow_anonymous=True)) is None
    assert decide_credential(AWAY, CredentialPolicy("Bearer own", allow_anonymous=True)) is None
    assert decide_credential(HERE, CredentialPolicy("Bearer own", allow_anonymous=True)) == "Bearer own"


@pytest.mark.parametrize(
    ("authorization", "status", "message"),
    [
        ((" ",), 401, "is empty"),
        (("",), 401, "is empty"),
        (("Bearer a\x00b",), 400, "of printable Latin-1 characters"),
        (("Bearer a\r\nb",), 400, "of printable Latin-1 characters"),
        (("Bearer \u0100",), 400, "of printable Latin-1 characters"),
        (("x" * (MAX_AUTHORIZATION_LENGTH + 1),), 400, "at most 8192 characters, got 8193"),
        (("Bearer a", "Bearer b"), 400, "one Authorization header, got 2"),
    ],
)
def test_a_malformed_authorization_is_refused_and_not_shown(
    authorization: tuple[str, ...], status: int, message: str
) -> None:
    with pytest.raises(CredentialRefusedError, match=message) as refused:
        decide_credential(replace(HERE, authorization=authorization), OWN)
    assert refused.value.status == status
    assert refused.value.error.code is ErrorCode.UNAUTHENTICATED


def test_a_token_that_has_ended_is_refused_and_not_shown() -> None:
    token = "Bearer e30.eyJleHAiOiAxMDAwfQ.c2VjcmV0"  # {"exp": 1000}
    caller = replace(AWAY, authorization=(token,), received_at=1_000 + TOKEN_GRACE_SECONDS)
    for offered in (None, (token,)):
        with pytest.raises(CredentialRefusedError, match="the token has expired") as refused:
            decide_socket_credential(caller, offered, OWN)
        assert (refused.value.status, refused.value.error.code) == (401, ErrorCode.UNAUTHENTICATED)
        assert token not in refused.value.error.message
    just_before = replace(caller, received_at=caller.received_at - 0.1)
    assert decide_credential(just_before, OWN) == token


def test_an_authorization_of_the_maximum_length_is_passed_on() -> None:
    value = "x" * MAX_AUTHORIZATION_LENGTH
    assert decide_credential(replace(HERE, authorization=(value,)), CredentialPolicy()) == value


def test_secrets_are_never_shown() -> None:
    assert "secret" not in repr(replace(HERE, authorization=("Bearer secret",)))
    assert "secret" not in repr(OWN)


def test_addresses_and_names_of_this_machine() -> None:
    assert is_loopback_address("127.0.0.1")
    assert not is_loopback_address("10.0.0.1")
    assert not is_loopback_address(None)
    assert is_loopback_host("[::1]")
    assert not is_loopback_host("0")


@pytest.mark.parametrize(
    ("change", "foreign"),
    [
        ({}, False),
        ({"origin": "http://localhost:8000"}, False),
        ({"origin": "HTTPS://LOCALHOST:8000"}, False),
        ({"origin": "http://localhost:3000"}, True),
        ({"origin": "null"}, True),
        ({"origin": "https://elsewhere.example", "fetch_site": "same-origin"}, False),
        ({"origin": "http://localhost:8000", "fetch_site": "cross-site"}, True),
        ({"fetch_site": "same-site"}, True),
        ({"fetch_site": "none"}, False),
    ],
)
def test_a_page_of_another_origin_is_recognised_by_its_browsers_headers(change: dict[str, str], foreign: bool) -> None:
    assert is_foreign_page(replace(HERE, **change)) is foreign  # type: ignore[arg-type]


FOREIGN = replace(HERE, origin="https://elsewhere.example", authorization=("Basic dTpw",))


def test_a_credential_in_connection_init_takes_precedence() -> None:
    for caller in (HERE, FOREIGN, replace(HERE, authorization=("Bearer request",))):
        assert decide_socket_credential(caller, ("Bearer offered",), OWN) == "Bearer offered"


def test_a_socket_falls_back_to_its_request() -> None:
    assert decide_socket_credential(replace(AWAY, authorization=("Bearer request",)), None, OWN) == "Bearer request"
    assert decide_socket_credential(HERE, None, OWN) == "Bearer own-secret"
    assert decide_socket_credential(AWAY, None, CredentialPolicy(allow_anonymous=True)) is None


@pytest.mark.parametrize("policy", [CredentialPolicy(), OWN, CredentialPolicy(allow_anonymous=True)])
def test_a_page_of_another_origin_needs_a_credential_in_connection_init(policy: CredentialPolicy) -> None:
    with pytest.raises(CredentialRefusedError, match="another origin"):
        decide_socket_credential(FOREIGN, None, policy)


@pytest.mark.parametrize("offered", [("",), ("Bearer a", "Bearer b"), ("Bearer \n",), ("x" * 9_000,)])
def test_a_malformed_credential_in_connection_init_is_refused(offered: tuple[str, ...]) -> None:
    with pytest.raises(CredentialRefusedError):
        decide_socket_credential(HERE, offered, OWN)
