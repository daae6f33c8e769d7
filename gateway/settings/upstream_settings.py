"""The settings of Redis and of the upstream."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from gateway.settings.setting_checks import check_api_version, check_key_file, check_redis_url, normalise_upstream_url
from gateway.settings.setting_types import Bytes, Count, Flag, HeaderWord, Seconds, Secret, SettingGroup, expects

DialectSetting = Annotated[
    Literal[
        "openai-v1",
        "openai-v2",
        "azure-openai",
        "azure-foundry",
        "lenient",
        "openai-responses",
        "foundry-responses",
        "lenient-responses",
    ],
    expects(
        "openai-v1, openai-v2, azure-openai, azure-foundry, lenient, openai-responses, foundry-responses or "
        "lenient-responses"
    ),
]
"""Each is a row of `gateway/upstream/dialects.py`."""


class UpstreamSettings(SettingGroup):
    """Redis and the upstream."""

    redis_url: (
        Annotated[SecretStr, AfterValidator(check_redis_url), expects("a redis://, rediss:// or unix:// URL")] | None
    ) = Field(default=None, description="A Redis or Valkey that all gateways share; it may hold a password.")
    redis_cluster: Flag = Field(default=False, description="Whether REDIS_URL is a cluster.")
    redis_deadline_seconds: Seconds = Field(default=0.05, description="How long a request waits for Redis.")

    upstream_url: (
        Annotated[
            str,
            AfterValidator(normalise_upstream_url),
            expects("an http(s) URL without credentials or fragment"),
        ]
        | None
    ) = Field(default=None, description="Base URL of the Threads API, as https://host/v1; `serve` needs it.")
    upstream_dialect: DialectSetting = Field(
        default="openai-v2", description="Kind of server that the upstream is; see Dialects."
    )
    upstream_api_version: (
        Annotated[
            str,
            AfterValidator(check_api_version),
            expects("a version as 2025-04-01-preview, with an azure dialect and none in UPSTREAM_URL"),
        ]
        | None
    ) = Field(default=None, description="Value of `api-version` for an azure dialect, in place of its own default.")
    upstream_api_key: Secret | None = Field(
        default=None,
        description="The gateway's own key, for signed-in users, and for callers on this machine that bring none.",
    )
    upstream_api_key_file: (
        Annotated[
            str, AfterValidator(check_key_file), expects("the path of a file, and no UPSTREAM_API_KEY", min_length=1)
        ]
        | None
    ) = Field(
        default=None,
        description="File with the gateway's own key, in place of UPSTREAM_API_KEY; read again when it changes.",
    )
    upstream_anonymous: Flag = Field(
        default=False, description="Whether callers without a credential are passed on without one."
    )
    upstream_organization: HeaderWord | None = Field(default=None, description="Value of OpenAI-Organization.")
    upstream_project: HeaderWord | None = Field(default=None, description="Value of OpenAI-Project.")
    upstream_pool_size: Count = Field(
        default=300,
        description="Most connections to the upstream; half of them for writes. One caller gets a third, fewer while "
        "others use some.",
    )
    upstream_concurrency: Count = Field(default=64, description="Most upstream calls at once of one operation.")
    upstream_concurrency_per_principal: Count = Field(
        default=100, description="Most upstream calls at once of one caller, half of them writes."
    )
    upstream_connect_timeout_seconds: Seconds = Field(default=5.0, description="How long connecting may take.")
    upstream_timeout_seconds: Seconds = Field(default=30.0, description="How long one upstream call may take in all.")
    upstream_max_response_bytes: Bytes = Field(default=64 << 20, description="Largest response of the upstream.")
    upstream_max_streams: Count = Field(
        default=1000,
        description="Most run streams read from the upstream at once; further runs are polled.",
    )
    upstream_stream_idle_seconds: Seconds = Field(
        default=60.0, description="Longest silence of a run's stream before it is closed and the run is polled."
    )
