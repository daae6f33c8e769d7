import pytest

from gateway.identity.this_machine import is_loopback_address, is_loopback_host, is_loopback_page


def test_addresses_and_names_of_this_machine() -> None:
    assert is_loopback_address("127.0.0.1")
    assert not is_loopback_address("10.0.0.1")
    assert not is_loopback_address(None)
    assert is_loopback_address("::ffff:127.0.0.1")
    for host in ("[::1]", "localhost", "127.0.0.1:80", "localhost:65535", "LOCALHOST:1"):
        assert is_loopback_host(host), host
    for host in ("localhost:65536", "localhost:x", "127.0.0.1:1:1", "127.0.0.10", "localhost:٣", "localhost:80\n"):
        assert not is_loopback_host(host), host
    assert not is_loopback_host("0")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost", True),
        ("http://localhost:5173", True),
        ("https://127.0.0.1:1", True),
        ("HTTP://[::1]:8000", True),
        ("http://localhost.example", False),
        ("http://localhost@evil.example", False),
        ("http://localhost:1:2", False),
        ("http://localhost/path", False),
        ("ftp://localhost", False),
        ("localhost", False),
        ("null", False),
        ("", False),
    ],
)
def test_pages_of_this_machine(origin: str, expected: bool) -> None:
    assert is_loopback_page(origin) is expected
