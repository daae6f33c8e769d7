"""The settings of the rate limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.settings.setting_types import LargeCount, SettingGroup, expects


class RateLimitSettings(SettingGroup):
    """The limits of one caller in a window of time."""

    gateway_rate_limit_calls: LargeCount | None = Field(
        default=None, description="Most upstream calls that one caller may cause in a window; see Rate limits."
    )
    gateway_rate_limit_operations: LargeCount | None = Field(
        default=None, description="Most queries, mutations and subscriptions that one caller may start in a window."
    )
    gateway_rate_limit_runs: LargeCount | None = Field(
        default=None, description="Most runs that one caller may start in a window."
    )
    gateway_rate_limit_seconds: Annotated[
        int, expects("a whole number of seconds from 1 to 86400", ge=1, le=86_400)
    ] = Field(default=60, description="Length of the window of the rate limits.")
