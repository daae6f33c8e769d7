"""All settings: their names, types, defaults and meanings, read from the environment and from flags.

A field's name in capitals is its environment variable. Flags take precedence over variables, and an empty variable
counts as unset. No file is read. A secret has no flag, so that it does not appear in a list of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.setting_checks import (
    check_api_version,
    check_documents_only,
    check_fault_rules,
    check_header_secret,
    check_header_secrets,
    check_header_word,
    check_redis_url,
    normalise_origins,
    normalise_upstream_url,
)
from schema.contract import cost
from schema.contract.paging import PagingLimits

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
Profile: TypeAlias = Literal["development", "production"]
ProfileSetting: TypeAlias = Literal[
    "gateway_graphiql", "gateway_introspection", "gateway_suggestions", "gateway_get_queries"
]


def _expects(expected: str, **constraints: Any) -> Any:
    """Make a field with pydantic's constraints and the text that describes a valid value."""
    return Field(json_schema_extra={"expected": expected}, **constraints)


Port = Annotated[int, _expects("a port from 0 (any free one) to 65535", ge=0, le=65535)]
Host = Annotated[str, _expects("a host name or an IP address", pattern=r"^[A-Za-z0-9.:_-]+$")]
Seconds = Annotated[float, _expects("a number of seconds above 0, at most 3600", gt=0, le=3600)]
Count = Annotated[int, _expects("an integer from 1 to 10000", ge=1, le=10_000)]
LargeCount = Annotated[int, _expects("an integer from 1 to 1000000", ge=1, le=1_000_000)]
Bytes = Annotated[int, _expects("a number of bytes from 1 to 1073741824", ge=1, le=1 << 30)]
Flag = Annotated[bool, _expects("true or false")]
HeaderWord = Annotated[str, AfterValidator(check_header_word), _expects("visible ASCII characters without spaces")]
Secret = Annotated[
    SecretStr, AfterValidator(check_header_secret), _expects("a key of visible ASCII characters without spaces")
]


class Settings(BaseSettings):
    """The settings of all commands. `COMMAND_SETTINGS` says which command takes which."""

    model_config = SettingsConfigDict(
        case_sensitive=False, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    gateway_host: Host = Field(default="127.0.0.1", description="Address that the gateway listens on.")
    gateway_port: Port = Field(default=8000, description="Port that the gateway listens on; 0 takes a free one.")
    gateway_profile: Annotated[
        Profile, BeforeValidator(str.lower), _expects("development, with the next four settings on, or production")
    ] = Field(
        default="production",
        description="`development`, the default of `demo`, turns the next four settings on, `production` off, "
        "unless they are set; see Profiles.",
    )
    gateway_graphiql: Flag | None = Field(default=None, description="Whether browsers get GraphiQL at /graphql.")
    gateway_introspection: Flag | None = Field(
        default=None, description="Whether `__schema`, `__type` and /schema.graphql show the schema."
    )
    gateway_suggestions: Flag | None = Field(
        default=None, description="Whether errors suggest similar names (`Did you mean`)."
    )
    gateway_get_queries: Flag | None = Field(
        default=None, description="Whether a GET may hold the text of a query; the id of a trusted document always may."
    )
    gateway_documents: Annotated[str, _expects("the path of a file or a folder", min_length=1)] | None = Field(
        default=None, description="File or folder of documents that run by their ids; see Trusted documents."
    )
    gateway_documents_only: Annotated[
        Literal["off", "log", "on"],
        BeforeValidator(str.lower),
        AfterValidator(check_documents_only),
        _expects("off, log, or on with GATEWAY_DOCUMENTS"),
    ] = Field(
        default="off", description="Whether other documents run: `off` all, `log` all with a log line, `on` none."
    )
    gateway_allowed_origins: (
        Annotated[
            str,
            AfterValidator(normalise_origins),
            _expects("origins as https://app.example.com or http://localhost:*, separated by commas"),
        ]
        | None
    ) = Field(
        default=None,
        description="Origins whose pages may call, as https://app.example.com, separated by commas; "
        "http://localhost:*, the default of `demo`, is any port of this machine.",
    )
    gateway_max_body_bytes: Bytes = Field(default=1 << 20, description="Largest request body.")
    gateway_body_timeout_seconds: Seconds = Field(default=10.0, description="How long a request body may take.")
    gateway_max_page_size: Count = Field(
        default=PagingLimits().max_page_size, description="Largest `first` or `last` of a connection."
    )
    gateway_max_query_depth: Count = Field(
        default=cost.DEFAULT_MAX_DEPTH, description="Deepest nesting of fields in an operation."
    )
    gateway_max_query_tokens: Annotated[int, _expects("an integer from 1 to 1000000", ge=1, le=1_000_000)] = Field(
        default=cost.DEFAULT_MAX_TOKENS, description="Most lexical tokens in a document."
    )
    gateway_max_upstream_calls: Annotated[int, _expects("an integer from 1 to 1000000", ge=1, le=1_000_000)] = Field(
        default=cost.DEFAULT_MAX_CALLS, description="Most upstream calls that an operation may be predicted to make."
    )
    gateway_query_timeout_seconds: Seconds = Field(
        default=120.0, description="How long a query may take as a whole, or one event of a subscription."
    )
    gateway_max_objects: LargeCount = Field(
        default=cost.DEFAULT_MAX_OBJECTS,
        description="Most objects that the response to an operation may be predicted to show.",
    )
    gateway_max_answer_bytes: Bytes = Field(
        default=cost.DEFAULT_MAX_ANSWER_BYTES,
        description="Largest response to an operation, or to one event of a subscription, about.",
    )
    gateway_run_lease_seconds: Seconds = Field(
        default=3.0,
        description="How long a run stays unread after the gateway that reads it dies, before another one takes over.",
    )
    gateway_run_log_entries: Annotated[int, _expects("an integer from 100 to 1000000", ge=100, le=1_000_000)] = Field(
        default=10_000, description="Most events in the log of one run."
    )
    gateway_run_log_bytes: Bytes = Field(
        default=64 << 20, description="Most memory for the logs of all runs without Redis, about."
    )
    gateway_run_log_seconds: Annotated[float, _expects("a number of seconds from 1 to 604800", ge=1, le=604_800)] = (
        Field(default=3600.0, description="How long the log of a run stays after its last event.")
    )
    gateway_run_polls_per_second: Count = Field(
        default=50, description="Most calls a second with which this process polls runs and threads."
    )
    gateway_cost: Flag = Field(
        default=False, description="Whether every response reports its cost; see What an operation costs."
    )
    gateway_max_sockets: LargeCount = Field(default=10_000, description="Most WebSockets and event streams at once.")
    gateway_max_uninitialised_sockets: LargeCount = Field(
        default=1_000, description="Most WebSockets at once that have not sent `connection_init` yet."
    )
    gateway_socket_init_seconds: Seconds = Field(
        default=3.0, description="How long a WebSocket may take until it sends `connection_init`."
    )
    gateway_max_operations_per_socket: LargeCount = Field(
        default=100, description="Most operations at once on one WebSocket, queries included."
    )
    gateway_max_subscriptions_per_principal: LargeCount = Field(
        default=10_000, description="Most subscriptions at once under one credential."
    )
    gateway_heartbeat_seconds: Seconds = Field(
        default=15.0, description="Time between two pings of a WebSocket or comments of an event stream."
    )
    gateway_stalled_client_seconds: Seconds = Field(
        default=60.0,
        description="How long a client may read nothing of what waits for it before its connection is closed.",
    )
    gateway_drain_seconds: Annotated[float, _expects("a number of seconds from 0 to 3600", ge=0, le=3600)] = Field(
        default=0.0, description="How long a stopping gateway serves on while `/readyz` says that it stops."
    )
    gateway_shutdown_seconds: Annotated[float, _expects("a number of seconds from 0 to 3600", ge=0, le=3600)] = Field(
        default=10.0, description="How long a stopping gateway waits for operations in flight."
    )
    gateway_log_level: Annotated[LogLevel, BeforeValidator(str.lower), _expects("debug, info, warning or error")] = (
        Field(default="info", description="Least severe log line that is written to standard error.")
    )

    gateway_cache: Flag = Field(default=True, description="Whether responses of the upstream are cached.")
    gateway_cache_bytes: Bytes = Field(default=64 << 20, description="Most memory for cached responses, about.")

    redis_url: (
        Annotated[SecretStr, AfterValidator(check_redis_url), _expects("a redis://, rediss:// or unix:// URL")] | None
    ) = Field(default=None, description="A Redis or Valkey that all gateways share; it may hold a password.")
    redis_cluster: Flag = Field(default=False, description="Whether REDIS_URL is a cluster.")
    redis_deadline_seconds: Seconds = Field(default=0.05, description="How long a request waits for Redis.")

    upstream_url: (
        Annotated[
            str,
            AfterValidator(normalise_upstream_url),
            _expects("an http(s) URL without credentials or fragment"),
        ]
        | None
    ) = Field(default=None, description="Base URL of the Threads API, as https://host/v1; `serve` needs it.")
    upstream_dialect: Annotated[
        Literal["openai-v1", "openai-v2", "azure-openai", "azure-foundry", "lenient"],
        _expects("openai-v1, openai-v2, azure-openai, azure-foundry or lenient"),
    ] = Field(default="openai-v2", description="Kind of server that the upstream is; see Dialects.")
    upstream_api_version: (
        Annotated[
            str,
            AfterValidator(check_api_version),
            _expects("a version as 2025-04-01-preview, with an azure dialect and none in UPSTREAM_URL"),
        ]
        | None
    ) = Field(default=None, description="Value of `api-version` for an azure dialect, in place of its own default.")
    upstream_api_key: Secret | None = Field(
        default=None, description="The gateway's own key, for callers on this machine that bring none."
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

    emulator_host: Host = Field(default="127.0.0.1", description="Address that the emulator listens on.")
    emulator_port: Port = Field(default=8001, description="Port that the emulator listens on; 0 takes a free one.")
    emulator_database: Annotated[str, _expects("the path of a SQLite file, or :memory:", min_length=1)] = Field(
        default=":memory:", description="The emulator's SQLite file, or :memory: to store nothing."
    )
    emulator_keys: (
        Annotated[
            SecretStr,
            AfterValidator(check_header_secrets),
            _expects("keys of visible ASCII characters without spaces, separated by commas"),
        ]
        | None
    ) = Field(
        default=None,
        description="The only keys that the emulator takes; the first has the demo's data. Any key by default.",
    )
    emulator_faults: (
        Annotated[
            str,
            AfterValidator(check_fault_rules),
            _expects("fault rules as createRun:503:first=2,list*:latency=500ms,*:429:every=10:retry_after=3"),
        ]
        | None
    ) = Field(default=None, description="Faults that the emulator produces; see Faults on request.")
    emulator_fault_control: Flag = Field(
        default=False, description="Whether /_emulator/faults changes the faults at run time, without a key."
    )
    emulator_model_url: (
        Annotated[
            str,
            AfterValidator(normalise_upstream_url),
            _expects("an http(s) URL without credentials or fragment"),
        ]
        | None
    ) = Field(
        default=None,
        description="Base URL of a chat-completions API, as http://127.0.0.1:11434/v1, to use in place of scripts.",
    )
    emulator_model_key: Secret | None = Field(default=None, description="The emulator's key for EMULATOR_MODEL_URL.")
    emulator_model: HeaderWord | None = Field(
        default=None, description="Name of the model at EMULATOR_MODEL_URL, in place of each run's own `model`."
    )
    emulator_model_timeout_seconds: Seconds = Field(
        default=60.0, description="Longest wait for the next piece of a model's reply."
    )

    def is_on(self, name: ProfileSetting) -> bool:
        """Tell whether a setting that follows the profile is on."""
        value: bool | None = getattr(self, name)
        return self.gateway_profile == "development" if value is None else value


DEFAULTS = Settings.model_construct()
"""The defaults, for whatever is made without settings."""

GATEWAY_SETTINGS = tuple(name for name in Settings.model_fields if name.startswith("gateway_"))
UPSTREAM_SETTINGS = tuple(name for name in Settings.model_fields if name.startswith("upstream_"))
REDIS_SETTINGS = tuple(name for name in Settings.model_fields if name.startswith("redis_"))
EMULATOR_SETTINGS = tuple(name for name in Settings.model_fields if name.startswith("emulator_"))

_EXCLUDED_FROM_DEMO = {"upstream_url", "upstream_api_version", "upstream_api_key", "upstream_anonymous"}

COMMAND_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "demo": (
        *GATEWAY_SETTINGS,
        *REDIS_SETTINGS,
        *(name for name in UPSTREAM_SETTINGS if name not in _EXCLUDED_FROM_DEMO),
        *EMULATOR_SETTINGS,
    ),
    "serve": (*GATEWAY_SETTINGS, *REDIS_SETTINGS, *UPSTREAM_SETTINGS),
    "emulator": (*EMULATOR_SETTINGS, "gateway_log_level", "gateway_shutdown_seconds"),
    "schema": (),
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


def describe_fault(name: str, value: object) -> str:
    """Describe the expected and the actual value of a setting. A secret, or a URL with a password, is not shown."""
    names = " or ".join(filter(None, (variable_name(name), flag_name(name))))
    shown = repr(value)
    if is_secret(name) or (name.endswith("_url") and "@" in str(value)):
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
