"""The settings of the gateway itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.settings.setting_checks import check_documents_only, normalise_origins
from gateway.settings.setting_types import (
    Bytes,
    Count,
    Flag,
    Host,
    LargeCount,
    LogFormat,
    LogLevel,
    Port,
    Profile,
    ProfileSetting,
    Seconds,
    SettingGroup,
    expects,
)
from schema.contract import cost
from schema.contract.paging import PagingLimits


class GatewaySettings(SettingGroup):
    """The gateway: its address, its profile, the pages that may call, and its limits."""

    gateway_host: Host = Field(default="127.0.0.1", description="Address that the gateway listens on.")
    gateway_port: Port = Field(default=8000, description="Port that the gateway listens on; 0 takes a free one.")
    gateway_workers: Annotated[int, expects("an integer from 1 to 64", ge=1, le=64)] = Field(
        default=1, description="Number of processes that `serve` runs behind the one port; see Workers."
    )
    gateway_profile: Annotated[
        Profile, BeforeValidator(str.lower), expects("development, with the next four settings on, or production")
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
    gateway_documents: Annotated[str, expects("the path of a file or a folder", min_length=1)] | None = Field(
        default=None, description="File or folder of documents that run by their ids; see Trusted documents."
    )
    gateway_documents_only: Annotated[
        Literal["off", "log", "on"],
        BeforeValidator(str.lower),
        AfterValidator(check_documents_only),
        expects("off, log, or on with GATEWAY_DOCUMENTS"),
    ] = Field(
        default="off", description="Whether other documents run: `off` all, `log` all with a log line, `on` none."
    )
    gateway_engine: Annotated[
        Literal["compiled", "graphql-core"], BeforeValidator(str.lower), expects("compiled, or graphql-core")
    ] = Field(
        default="compiled",
        description="What executes operations: `compiled` plans, or `graphql-core` alone, slower, to find out whether "
        "a plan is at fault.",
    )
    gateway_allowed_origins: (
        Annotated[
            str,
            AfterValidator(normalise_origins),
            expects("origins as https://app.example.com or http://localhost:*, separated by commas"),
        ]
        | None
    ) = Field(
        default=None,
        description="Origins whose pages may call, as https://app.example.com, separated by commas; "
        "http://localhost:*, the default of `demo`, is any port of this machine.",
    )
    gateway_max_body_bytes: Bytes = Field(default=1 << 20, description="Largest request body.")
    gateway_body_timeout_seconds: Seconds = Field(
        default=10.0, description="How long a request body may take; of an upload, how long nothing may come."
    )
    gateway_max_page_size: Count = Field(
        default=PagingLimits().max_page_size, description="Largest `first` or `last` of a connection."
    )
    gateway_max_query_depth: Count = Field(
        default=cost.DEFAULT_MAX_DEPTH, description="Deepest nesting of fields in an operation."
    )
    gateway_max_query_tokens: Annotated[int, expects("an integer from 1 to 1000000", ge=1, le=1_000_000)] = Field(
        default=cost.DEFAULT_MAX_TOKENS, description="Most lexical tokens in a document."
    )
    gateway_max_upstream_calls: Annotated[int, expects("an integer from 1 to 1000000", ge=1, le=1_000_000)] = Field(
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
    gateway_run_expiry_seconds: Seconds = Field(
        default=600.0,
        description="How long a run waits for its client at an upstream with responses, before it expires.",
    )
    gateway_run_log_entries: Annotated[int, expects("an integer from 100 to 1000000", ge=100, le=1_000_000)] = Field(
        default=10_000, description="Most events in the log of one run."
    )
    gateway_run_log_bytes: Bytes = Field(
        default=64 << 20, description="Most memory for the logs of all runs without Redis, about."
    )
    gateway_run_log_seconds: Annotated[float, expects("a number of seconds from 1 to 604800", ge=1, le=604_800)] = (
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
    gateway_drain_seconds: Annotated[float, expects("a number of seconds from 0 to 3600", ge=0, le=3600)] = Field(
        default=0.0, description="How long a stopping gateway serves on while `/readyz` says that it stops."
    )
    gateway_shutdown_seconds: Annotated[float, expects("a number of seconds from 0 to 3600", ge=0, le=3600)] = Field(
        default=10.0, description="How long a stopping gateway waits for operations in flight."
    )
    gateway_log_level: Annotated[LogLevel, BeforeValidator(str.lower), expects("debug, info, warning or error")] = (
        Field(default="info", description="Least severe log line that is written to standard error.")
    )

    gateway_log_format: Annotated[LogFormat, BeforeValidator(str.lower), expects("auto, json or text")] = Field(
        default="auto",
        description="Form of log lines: `json`, `text`, or `auto`, which is text in a terminal or in development.",
    )

    gateway_cache: Flag = Field(default=True, description="Whether responses of the upstream are cached.")
    gateway_cache_bytes: Bytes = Field(default=64 << 20, description="Most memory for cached responses, about.")

    def is_on(self, name: ProfileSetting) -> bool:
        """Tell whether a setting that follows the profile is on."""
        value: bool | None = getattr(self, name)
        return self.gateway_profile == "development" if value is None else value
