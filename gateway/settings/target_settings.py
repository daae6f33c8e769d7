"""The settings of the upstream that threads are copied to."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.settings.setting_checks import check_api_version, check_key_file, normalise_upstream_url
from gateway.settings.setting_types import HeaderWord, Secret, SettingGroup, expects
from gateway.settings.upstream_settings import DialectSetting


class TargetSettings(SettingGroup):
    """The upstream that `copy` writes to. It reads from the one of `UPSTREAM_URL`."""

    target_url: (
        Annotated[
            str, AfterValidator(normalise_upstream_url), expects("an http(s) URL without credentials or fragment")
        ]
        | None
    ) = Field(default=None, description="Base URL of the upstream that threads are copied to; `copy` needs it.")
    target_dialect: DialectSetting = Field(
        default="openai-responses", description="Kind of server that threads are copied to; see Dialects."
    )
    target_api_version: (
        Annotated[
            str,
            AfterValidator(check_api_version),
            expects("a version as 2025-04-01-preview, with an azure dialect and none in TARGET_URL"),
        ]
        | None
    ) = Field(default=None, description="As UPSTREAM_API_VERSION, of the target.")
    target_api_key: Secret | None = Field(default=None, description="The key with which threads are created.")
    target_api_key_file: (
        Annotated[
            str, AfterValidator(check_key_file), expects("the path of a file, and no TARGET_API_KEY", min_length=1)
        ]
        | None
    ) = Field(default=None, description="File with that key, in place of TARGET_API_KEY.")
    target_organization: HeaderWord | None = Field(
        default=None, description="Value of OpenAI-Organization for the target."
    )
    target_project: HeaderWord | None = Field(default=None, description="Value of OpenAI-Project for the target.")
