from typing import Any

import pytest

from gateway.upstream.upstream_options import UpstreamOptions, is_header_value


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:8080/v1",
        "https://host/v1/",
        "https://host",
        "https://host/openai?api-version=1",
        "http://[::1]",
    ],
)
def test_a_base_url_is_accepted(base_url: str) -> None:
    assert UpstreamOptions(base_url).base_url == base_url


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base_url": ""}, "base_url: expected http"),
        ({"base_url": "host/v1"}, "base_url: expected http"),
        ({"base_url": "ftp://host"}, "base_url: expected http"),
        ({"base_url": "http:///v1"}, "base_url|URL"),
        ({"base_url": "http://host/#here"}, "base_url: expected http"),
        ({"base_url": "http://user:pw@host"}, "base_url: expected no credential"),
        ({"dialect_name": "openai"}, "dialect_name: expected one of openai-v1, .*, lenient-responses, got 'openai'"),
        ({"api_version": "2025-04-01"}, "api_version: expected none with the dialect openai-v2"),
        (
            {"base_url": "http://host?api-version=1", "dialect_name": "azure-openai", "api_version": "2"},
            "api_version: expected it once",
        ),
        ({"organization": "a\nb"}, "organization: expected text"),
        ({"project": "a\x00"}, "project: expected text"),
        ({"pool_size": 0}, "pool_size: expected a number above 0, got 0"),
        ({"timeout_seconds": -1}, "timeout_seconds: expected"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds: expected"),
        ({"max_streams": 0}, "max_streams: expected a number above 0, got 0"),
        ({"stream_idle_seconds": 0}, "stream_idle_seconds: expected a number above 0, got 0"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        UpstreamOptions(**{"base_url": "http://host"} | options)
    assert "pw" not in str(caught.value)


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        UpstreamOptions("ftp://user:pw@host")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [("Bearer é\t~", True), ("", True), ("a\rb", False), ("\x1f", False)])
def test_header_values(text: str, expected: bool) -> None:
    assert is_header_value(text) == expected


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, ""),
        ({"base_url": "http://host/v1?a=%2B"}, "a=%2B"),
        ({"dialect_name": "azure-openai"}, "api-version=2025-04-01-preview"),
        ({"dialect_name": "azure-foundry"}, "api-version=v1"),
        ({"dialect_name": "azure-foundry", "api_version": "2025-05-15-preview"}, "api-version=2025-05-15-preview"),
        ({"dialect_name": "azure-openai", "base_url": "http://host?api-version=1"}, "api-version=1"),
        ({"dialect_name": "azure-openai", "base_url": "http://host?a=1"}, "a=1&api-version=2025-04-01-preview"),
        ({"dialect_name": "lenient"}, ""),
    ],
)
def test_every_call_has_the_configured_query(options: dict[str, Any], query: str) -> None:
    assert UpstreamOptions(**{"base_url": "http://host/v1"} | options).query == query
