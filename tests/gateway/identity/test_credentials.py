import re
from dataclasses import replace

import pytest

from gateway.identity.allowed_origins import AllowedOrigins
from gateway.identity.credentials import (
    MAX_AUTHORIZATION_LENGTH,
    OWN_KEY,
    Caller,
    CredentialPolicy,
    CredentialRefusedError,
    decide_credential,
    decide_socket_credential,
    is_foreign_page,
    own_key_obstacle,
)
from gateway.identity.token_expiry import TOKEN_GRACE_SECONDS
from gateway.server.live.graphql_transport_ws import MAX_REASON_BYTES
from schema.contract.errors import ErrorCode

OWN = CredentialPolicy(has_own_key=True)
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
    assert decide_credential(replace(HERE, **change), OWN) is OWN_KEY  # type: ignore[arg-type]


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
        ({"headers": frozenset({"x-forwarded-host"}), "forwarded_hosts": ("localhost:3000",)}, "a proxy passed it on"),
        ({"headers": frozenset({"cf-connecting-ip"})}, "a proxy passed it on"),
        ({"headers": frozenset({"forwarded"})}, "a proxy passed it on"),
        ({"headers": frozenset({"x-client-ip"})}, "a proxy passed it on"),
        ({"headers": frozenset({"x-envoy-external-address"})}, "a proxy passed it on"),
        ({"headers": frozenset({"fly-client-ip"})}, "a proxy passed it on"),
        ({"headers": frozenset({"x-original-forwarded-for"})}, "a proxy passed it on"),
        ({"headers": frozenset({"x-amzn-trace-id"})}, "a proxy passed it on"),
        ({"origin": "http://localhost:3000"}, "needs http://localhost:* in GATEWAY_ALLOWED_ORIGINS"),
        ({"origin": "https://localhost:8000"}, "needs http://localhost:* in GATEWAY_ALLOWED_ORIGINS"),
        ({"origin": "null"}, "no origin that GATEWAY_ALLOWED_ORIGINS could name"),
        ({"fetch_site": "cross-site"}, "another origin"),
        ({"fetch_site": "same-site"}, "another origin"),
    ],
)
def test_the_gateways_own_key_is_kept_from_all_other_callers(change: dict[str, object], reason: str) -> None:
    caller = replace(HERE, **change)  # type: ignore[arg-type]
    assert reason in str(own_key_obstacle(caller, AllowedOrigins()))
    with pytest.raises(CredentialRefusedError, match=re.escape(reason)) as refused:
        decide_credential(caller, OWN)
    assert refused.value.status == 401
    assert refused.value.error.code is ErrorCode.UNAUTHENTICATED


def test_the_gateways_own_key_is_kept_from_http_1_0_which_old_proxies_speak() -> None:
    obstacle = own_key_obstacle(replace(HERE, is_http_1_0=True), AllowedOrigins())
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
    assert decide_credential(AWAY, CredentialPolicy(has_own_key=True, allow_anonymous=True)) is None
    assert decide_credential(HERE, CredentialPolicy(has_own_key=True, allow_anonymous=True)) is OWN_KEY


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
    assert decide_socket_credential(HERE, None, OWN) is OWN_KEY
    assert decide_socket_credential(AWAY, None, CredentialPolicy(allow_anonymous=True)) is None


@pytest.mark.parametrize("policy", [CredentialPolicy(), OWN])
def test_a_page_of_another_origin_needs_a_credential_in_connection_init(policy: CredentialPolicy) -> None:
    with pytest.raises(CredentialRefusedError, match="another origin"):
        decide_socket_credential(FOREIGN, None, policy)


@pytest.mark.parametrize("offered", [None, ("Bearer made-up",)])
def test_where_calls_need_no_credential_a_page_of_another_origin_is_taken_only_from_a_list(
    offered: tuple[str, ...] | None,
) -> None:
    policy = CredentialPolicy(allow_anonymous=True)
    with pytest.raises(CredentialRefusedError, match="in GATEWAY_ALLOWED_ORIGINS"):
        decide_socket_credential(FOREIGN, offered, policy)
    listed = replace(policy, origins=AllowedOrigins(frozenset({"https://elsewhere.example"})))
    assert decide_socket_credential(FOREIGN, offered, listed) == (offered[0] if offered else None)


@pytest.mark.parametrize("offered", [("",), ("Bearer a", "Bearer b"), ("Bearer \n",), ("x" * 9_000,)])
def test_a_malformed_credential_in_connection_init_is_refused(offered: tuple[str, ...]) -> None:
    with pytest.raises(CredentialRefusedError):
        decide_socket_credential(HERE, offered, OWN)


LOCALHOST = replace(OWN, origins=AllowedOrigins(localhost_pages=True))
LISTED = replace(OWN, origins=AllowedOrigins(frozenset({"https://app.example"}), localhost_pages=True))
FORWARDED = frozenset({"x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"})


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "http://localhost:5173", "fetch_site": "same-site"},
        {"origin": "http://127.0.0.1:5173", "fetch_site": "cross-site"},
        {"origin": "http://[::1]:3000"},
        {"origin": "http://localhost:5173", "fetch_site": "same-origin"},
    ],
)
@pytest.mark.parametrize(
    "proxy",
    [
        {},
        {"headers": FORWARDED, "forwarded_for": ("127.0.0.1",), "forwarded_hosts": ("localhost:5173",)},
        {"headers": FORWARDED, "forwarded_for": ("::1", "::ffff:127.0.0.1"), "forwarded_hosts": ()},
        {"headers": frozenset({"x-forwarded-host"}), "forwarded_hosts": ("localhost:3000",)},  # Next's
    ],
)
def test_the_gateways_own_key_serves_allowed_pages_of_localhost_also_through_their_development_server(
    change: dict[str, str], proxy: dict[str, object]
) -> None:
    caller = replace(HERE, **change, **proxy)  # type: ignore[arg-type]
    assert decide_credential(caller, LOCALHOST) is OWN_KEY
    assert decide_socket_credential(caller, None, LOCALHOST) is OWN_KEY


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"origin": "https://app.example"}, "the page is not of localhost, and no setting"),
        ({"origin": "https://localhost.example"}, "needs 'https://localhost.example' in GATEWAY_ALLOWED_ORIGINS"),
        ({"origin": "http://rebound.example:5173"}, "in GATEWAY_ALLOWED_ORIGINS"),
        ({"fetch_site": "same-site"}, "without CORS"),
        ({"peer": "192.0.2.7", "origin": "http://localhost:3000"}, "another machine"),
        ({"host": "rebound.example", "origin": "http://localhost:3000"}, "Host is not localhost"),
        ({"headers": FORWARDED}, "a proxy passed it on"),
        ({"headers": FORWARDED, "forwarded_for": ("",)}, "a proxy passed it on"),
        ({"headers": FORWARDED, "forwarded_hosts": ("192.0.2.7:3000",)}, "a proxy passed it on"),
        ({"headers": FORWARDED, "forwarded_for": ("127.0.0.1", "192.0.2.7")}, "a proxy passed it on"),
        ({"headers": FORWARDED, "forwarded_for": ("192.0.2.7", "127.0.0.1")}, "a proxy passed it on"),
        (
            {"headers": FORWARDED, "forwarded_for": ("127.0.0.1",), "forwarded_hosts": ("rebound.example",)},
            "a proxy passed it on",
        ),
        ({"headers": FORWARDED | {"via"}, "forwarded_for": ("127.0.0.1",)}, "a proxy passed it on"),
    ],
)
def test_no_list_of_origins_gives_the_gateways_own_key_to_others(change: dict[str, object], reason: str) -> None:
    caller = replace(HERE, **change)  # type: ignore[arg-type]
    with pytest.raises(CredentialRefusedError, match=reason) as refused:
        decide_credential(caller, LISTED)
    assert len(f"Unauthorized: {refused.value.reason}".encode()) <= MAX_REASON_BYTES
    assert refused.value.is_final


def test_with_a_list_a_foreign_pages_socket_is_taken_only_from_it() -> None:
    listed = replace(HERE, host="api.example", origin="https://app.example", fetch_site="cross-site")
    assert decide_socket_credential(listed, ("Bearer x",), LISTED) == "Bearer x"
    for origin in ("https://elsewhere.example", "null", "http://app.example", "https://app.example:8443"):
        with pytest.raises(CredentialRefusedError, match="GATEWAY_ALLOWED_ORIGINS") as refused:
            decide_socket_credential(replace(listed, origin=origin), ("Bearer x",), LISTED)
        assert refused.value.is_final


def test_an_allowed_pages_socket_does_not_use_a_credential_that_the_browser_added() -> None:
    caller = replace(HERE, origin="https://app.example", authorization=("Basic dTpw",))
    with pytest.raises(CredentialRefusedError, match="not of localhost"):
        decide_socket_credential(caller, None, LISTED)
    assert decide_socket_credential(caller, None, replace(LISTED, allow_anonymous=True)) is None


def test_only_a_token_that_has_ended_may_come_again() -> None:
    token = "Bearer e30.eyJleHAiOiAxMDAwfQ.c2VjcmV0"  # {"exp": 1000}
    with pytest.raises(CredentialRefusedError) as refused:
        decide_credential(replace(HERE, authorization=(token,), received_at=2_000), OWN)
    assert not refused.value.is_final
