"""The settings of uploads, and of the addresses of files."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from gateway.settings.setting_checks import MIN_SECRET_LENGTH, check_url_secret, normalise_public_url
from gateway.settings.setting_types import Bytes, SettingGroup, expects


class FileSettings(SettingGroup):
    """Files: the largest upload, and the addresses of contents."""

    gateway_max_file_bytes: Bytes = Field(default=25 << 20, description="Largest file that may be uploaded.")
    gateway_public_url: (
        Annotated[str, AfterValidator(normalise_public_url), expects("an http(s) URL as https://api.example.com")]
        | None
    ) = Field(
        default=None,
        description="Address by which browsers reach the gateway, for `contentUrl`; by default the request's own Host.",
    )
    gateway_file_url_seconds: Annotated[
        int, expects("a whole number of seconds from 10 to 86400", ge=10, le=86_400)
    ] = Field(default=300, description="How long a `contentUrl` lasts at most, and half of it at least.")
    gateway_url_secret: (
        Annotated[
            SecretStr, AfterValidator(check_url_secret), expects(f"at least {MIN_SECRET_LENGTH} random characters")
        ]
        | None
    ) = Field(
        default=None,
        description="Secret that seals each `contentUrl`: the same for all gateways that share REDIS_URL, which need "
        "it; random at start without.",
    )
