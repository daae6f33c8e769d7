"""All settings, read from the environment and from flags.

A field's name in capitals is its environment variable. Flags take precedence over variables, and an empty variable
counts as unset. A secret has no flag, so that it does not appear in a list of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from gateway.settings.emulator_settings import EmulatorSettings
from gateway.settings.file_settings import FileSettings
from gateway.settings.gateway_settings import GatewaySettings
from gateway.settings.metrics_settings import MetricsSettings
from gateway.settings.rate_limit_settings import RateLimitSettings
from gateway.settings.setting_types import ProfileSetting
from gateway.settings.sign_in_checks import sign_in_faults
from gateway.settings.sign_in_settings import SignInSettings
from gateway.settings.target_settings import TargetSettings
from gateway.settings.upstream_settings import UpstreamSettings


# Fields stand in the order of the groups from right to left.
class Settings(
    EmulatorSettings,
    TargetSettings,
    UpstreamSettings,
    SignInSettings,
    MetricsSettings,
    RateLimitSettings,
    FileSettings,
    GatewaySettings,
):
    """The settings of all commands. `COMMAND_SETTINGS` says which command takes which."""


DEFAULTS = Settings.model_construct()
"""The defaults, for whatever is made without settings."""

GATEWAY_SETTINGS = tuple(name for name in Settings.model_fields if name.startswith("gateway_"))
UPSTREAM_SETTINGS = tuple(name for name in Settings.model_fields if name.startswith("upstream_"))
TARGET_SETTINGS = tuple(name for name in Settings.model_fields if name.startswith("target_"))
REDIS_SETTINGS = tuple(name for name in Settings.model_fields if name.startswith("redis_"))
EMULATOR_SETTINGS = tuple(name for name in Settings.model_fields if name.startswith("emulator_"))

_EXCLUDED_FROM_DEMO = {
    "gateway_workers",
    "upstream_url",
    "upstream_api_version",
    "upstream_api_key",
    "upstream_api_key_file",
    "upstream_anonymous",
}

_LEDGER_SETTINGS = (
    "gateway_database_url",
    "gateway_jwt_issuer",
    "gateway_jwt_tenant_claim",
    "gateway_log_level",
    *UPSTREAM_SETTINGS,
)

COMMAND_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "demo": tuple(
        name
        for name in (*GATEWAY_SETTINGS, *REDIS_SETTINGS, *UPSTREAM_SETTINGS, *EMULATOR_SETTINGS)
        if name not in _EXCLUDED_FROM_DEMO
    ),
    "serve": (*GATEWAY_SETTINGS, *REDIS_SETTINGS, *UPSTREAM_SETTINGS),
    "emulator": (*EMULATOR_SETTINGS, "gateway_log_level", "gateway_log_format", "gateway_shutdown_seconds"),
    "schema": (),
    "token": (
        "gateway_jwt_issuer",
        "gateway_jwt_audience",
        "gateway_jwt_tenant_claim",
        "gateway_jwt_roles_claim",
        "gateway_log_level",
    ),
    "copy": ("gateway_database_url", "gateway_ledger_text", "gateway_log_level", *UPSTREAM_SETTINGS, *TARGET_SETTINGS),
    "ledger import": _LEDGER_SETTINGS,
    "ledger forget": (*_LEDGER_SETTINGS, *REDIS_SETTINGS),
}
"""The settings of each command. Those that are no secrets are its flags."""


def is_secret(name: str) -> bool:
    """Tell whether a setting is a secret, whose value is never shown."""
    return "SecretStr" in repr(Settings.model_fields[name].annotation)


def variable_name(name: str) -> str:
    """Return the setting's environment variable."""
    return name.upper()


def flag_name(name: str) -> str | None:
    """Return the setting's flag, which is its name without `gateway-`, or None for a secret."""
    if is_secret(name):
        return None
    return "--" + name.removeprefix("gateway_").replace("_", "-")


class BadSettingsError(Exception):
    """The settings are invalid. `faults` has one line for each, without secrets."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def load_settings(flags: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment and from `flags`, which are keyed by the settings' names.

    Raises:
        BadSettingsError: A value is invalid.
    """
    try:
        return Settings(**dict(flags or {}))  # type: ignore[arg-type]  # pydantic converts the texts
    except ValidationError as error:
        # pydantic reports each member of a union. The first error of a setting is enough.
        by_name = {str(detail["loc"][0]).lower(): detail["input"] for detail in reversed(error.errors())}
        raise BadSettingsError([describe_fault(name, value) for name, value in sorted(by_name.items())]) from None


def check_sign_in(settings: Settings, *, needs_database: bool = False) -> None:
    """Check that the settings of sign-in are complete and do not contradict each other.

    Raises:
        BadSettingsError: They are not.
    """
    if faults := list(sign_in_faults(settings, settings, needs_database=needs_database)):
        raise BadSettingsError(faults)


def check_chains_kept(settings: Settings) -> None:
    """Check that there is a database, if the upstream has responses: it knows no assistants, and lists no runs.

    Raises:
        BadSettingsError: There is none.
    """
    dialect = settings.upstream_dialect
    if dialect.endswith("-responses") and settings.gateway_database_url is None:
        expected = f"expected a database, where the gateway keeps the assistants and runs of the dialect {dialect}"
        raise BadSettingsError([f"GATEWAY_DATABASE_URL: {expected}, got none"])


def check_url_secret_shared(settings: Settings) -> None:
    """Check that gateways which share a Redis share the secret of addresses, since any of them may get a request.

    Raises:
        BadSettingsError: There is none.
    """
    if settings.redis_url is not None and settings.gateway_url_secret is None:
        expected = "expected the same secret for all gateways that share REDIS_URL, as `openssl rand -hex 32` makes one"
        raise BadSettingsError([f"GATEWAY_URL_SECRET: {expected}, got none"])


def describe_fault(name: str, value: object) -> str:
    """Describe the expected and the actual value of a setting. A secret, or a URL with a password, is not shown."""
    names = " or ".join(filter(None, (variable_name(name), flag_name(name))))
    shown = "none" if value is None else repr(value)
    if value is not None and (is_secret(name) or (name.endswith("_url") and "@" in str(value))):
        shown = "something else (not shown: it may hold a secret)"
    elif len(shown) > 80:
        shown = shown[:77] + "..."
    return f"{names}: expected {_expected_text(name)}, got {shown}"


def _expected_text(name: str) -> str:
    return _find_expected(Settings.model_json_schema()["properties"][name]) or "another value"


def _find_expected(schema: Mapping[str, Any]) -> str | None:
    if "expected" in schema:
        return str(schema["expected"])
    return next((words for part in schema.get("anyOf", ()) if (words := _find_expected(part))), None)


def describe_exposure(settings: Settings) -> str:
    """Say in a line which profile holds, what it turns off, and which documents run."""
    names = {
        "gateway_graphiql": "GraphiQL",
        "gateway_introspection": "introspection",
        "gateway_suggestions": "suggestions",
        "gateway_get_queries": "queries by GET",
    }
    off = [text for name, text in names.items() if not settings.is_on(cast("ProfileSetting", name))]
    line = f"Profile {settings.gateway_profile}: {', '.join(off) + ' off' if off else 'nothing off'}."
    if settings.gateway_documents_only == "on":
        line += f" Only the documents of {settings.gateway_documents} run."
    return line
