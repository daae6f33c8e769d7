"""The types of settings. Each carries the text that describes a valid value."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.settings.setting_checks import check_header_secret, check_header_word

LogFormat: TypeAlias = Literal["auto", "json", "text"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
Profile: TypeAlias = Literal["development", "production"]
ProfileSetting: TypeAlias = Literal[
    "gateway_graphiql", "gateway_introspection", "gateway_suggestions", "gateway_get_queries"
]


def expects(expected: str, **constraints: Any) -> Any:
    """Make a field with pydantic's constraints and the text that describes a valid value."""
    return Field(json_schema_extra={"expected": expected}, **constraints)


Port = Annotated[int, expects("a port from 0 (any free one) to 65535", ge=0, le=65535)]
Host = Annotated[str, expects("a host name or an IP address", pattern=r"^[A-Za-z0-9.:_-]+$")]
Seconds = Annotated[float, expects("a number of seconds above 0, at most 3600", gt=0, le=3600)]
Count = Annotated[int, expects("an integer from 1 to 10000", ge=1, le=10_000)]
LargeCount = Annotated[int, expects("an integer from 1 to 1000000", ge=1, le=1_000_000)]
Bytes = Annotated[int, expects("a number of bytes from 1 to 1073741824", ge=1, le=1 << 30)]
Flag = Annotated[bool, expects("true or false")]
HeaderWord = Annotated[str, AfterValidator(check_header_word), expects("visible ASCII characters without spaces")]
Secret = Annotated[
    SecretStr, AfterValidator(check_header_secret), expects("a key of visible ASCII characters without spaces")
]


class SettingGroup(BaseSettings):
    """The base of all groups of settings."""

    model_config = SettingsConfigDict(
        case_sensitive=False, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )
