import pytest

from gateway.config import BadSettingsError, load_settings
from gateway.settings.setting_checks import normalise_origins


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("HTTPS://App.Example.com:443 , http://a:80", "https://app.example.com,http://a"),
        ("https://a:80,http://a:443", "https://a:80,http://a:443"),
        ("https://a:0443,http://a:0080,http://a:08080", "https://a,http://a,http://a:8080"),
        ("http://localhost:*,http://localhost:*", "http://localhost:*"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_origins_are_taken_as_browsers_write_them(text: str, expected: str) -> None:
    assert normalise_origins(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "",
        "https://app.example,",
        "https://app.example/",
        "https://app.example/path",
        "https://app.example?x",
        "https://user@app.example",
        "https://*.example",
        "https://localhost:*",
        "http://127.0.0.1:*",
        "http://app.example:*",
        "app.example",
        "//app.example",
        "https://",
        "https://app.example:99999",
        "https://app.example https://b.example",
        "https://äpp.example",
        "ws://app.example",
        "wss://app.example",
        "file://app",
        "https://app.example:0",
    ],
)
def test_anything_else_is_no_list_of_origins(text: str) -> None:
    with pytest.raises(BadSettingsError, match="GATEWAY_ALLOWED_ORIGINS or --allowed-origins: expected origins as"):
        load_settings({"gateway_allowed_origins": text})
