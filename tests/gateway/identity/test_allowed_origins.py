import pytest

from gateway.identity.allowed_origins import LOCALHOST_PAGES, AllowedOrigins

LISTED = AllowedOrigins.from_names(["https://app.example", "http://[2001:db8::1]:8080", LOCALHOST_PAGES])


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example",
        "HTTPS://APP.EXAMPLE",
        "http://[2001:db8::1]:8080",
        "http://localhost",
        "http://localhost:5173",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
    ],
)
def test_listed_origins_are_allowed(origin: str) -> None:
    assert LISTED.allows(origin)
    assert not AllowedOrigins().allows(origin)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "*",
        "https://app.example:8443",
        "http://app.example",
        "https://app.example.evil.example",
        "https://evil.example/https://app.example",
        "https://x.app.example",
        "https://localhost:5173",
        "http://localhost.evil.example",
        "http://localhost:*",
        "http://user@localhost:5173",
    ],
)
def test_no_other_origin_is_allowed(origin: str | None) -> None:
    assert not LISTED.allows(origin)


def test_an_empty_list_says_that_it_is_empty() -> None:
    assert not AllowedOrigins.from_names([])
    assert AllowedOrigins.from_names([LOCALHOST_PAGES])
    assert AllowedOrigins.from_names(["https://app.example"])
