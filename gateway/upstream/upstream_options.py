"""The configuration of the upstream: its address, its dialect and its limits."""

from dataclasses import dataclass

from yarl import URL

from gateway.config import DEFAULTS
from gateway.upstream.dialects import DIALECTS, Dialect, DialectName

MAX_TRACKED_CALLERS = 1000
"""The number of callers whose retries, failures and pauses are told apart."""


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """The address of the upstream and the limits on its use. Raises ValueError for values that cannot work.

    `base_url` is the part before `/threads`, as in `https://host/v1`. A query in it is added to every call.
    `api_version` is for the dialects that take one; they have a default, and `base_url` may set it instead.
    `timeout_seconds` limits one call of a port function in total: the wait for a free slot, the retries and the pauses
    between them. A write that waits for a slot for half of that time is not sent. For a stream of a run, it limits the
    time until the run is known. Streams have connections of their own, at most `max_streams`. A stream that sends
    nothing for `stream_idle_seconds` is closed.
    """

    base_url: str
    dialect_name: DialectName = DEFAULTS.upstream_dialect
    api_version: str | None = None
    organization: str | None = None
    project: str | None = None
    pool_size: int = DEFAULTS.upstream_pool_size
    connect_timeout_seconds: float = DEFAULTS.upstream_connect_timeout_seconds
    timeout_seconds: float = DEFAULTS.upstream_timeout_seconds
    max_concurrency_per_operation: int = DEFAULTS.upstream_concurrency
    max_concurrency_per_principal: int = DEFAULTS.upstream_concurrency_per_principal
    max_response_bytes: int = DEFAULTS.upstream_max_response_bytes
    max_streams: int = DEFAULTS.upstream_max_streams
    stream_idle_seconds: float = DEFAULTS.upstream_stream_idle_seconds

    def __post_init__(self) -> None:
        url = URL(self.base_url)
        if url.scheme not in {"http", "https"} or not url.host or url.fragment:
            raise ValueError(f"base_url: expected http://host/path or https://host/path, got {_without_user(url)!r}")
        if url.user is not None or url.password is not None:
            raise ValueError("base_url: expected no credential in it, got one; the caller's own is sent upstream")
        if self.dialect_name not in DIALECTS:
            raise ValueError(f"dialect_name: expected one of {', '.join(DIALECTS)}, got {self.dialect_name!r}")
        if self.api_version is not None and self.dialect.default_api_version is None:
            raise ValueError(f"api_version: expected none with the dialect {self.dialect_name}, got one")
        if self.api_version is not None and "api-version" in url.query:
            raise ValueError("api_version: expected it once, got it in base_url too")
        for name in ("organization", "project"):
            if not is_header_value(getattr(self, name) or ""):
                raise ValueError(f"{name}: expected text without control characters")
        for name in (
            "pool_size",
            "connect_timeout_seconds",
            "timeout_seconds",
            "max_concurrency_per_operation",
            "max_concurrency_per_principal",
            "max_response_bytes",
            "max_streams",
            "stream_idle_seconds",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)!r}")

    @property
    def dialect(self) -> Dialect:
        """The known differences of this kind of upstream."""
        return DIALECTS[self.dialect_name]

    @property
    def query(self) -> str:
        """The query that every call carries. It is percent-encoded and often empty."""
        url = URL(self.base_url)
        if (default := self.dialect.default_api_version) is None or "api-version" in url.query:
            return url.raw_query_string
        return url.update_query({"api-version": self.api_version or default}).raw_query_string


def is_header_value(text: str) -> bool:
    """Tell whether a text can be the value of an HTTP header."""
    return all(character == "\t" or character >= " " for character in text) and "\x7f" not in text


def _without_user(url: URL) -> str:
    return str(url.with_user(None)) if url.host and url.user is not None else str(url)
