"""How the upstream is reached: an address, a version and limits."""

from dataclasses import dataclass
from typing import Literal

from yarl import URL

from schema.ports import Capabilities


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """Where the upstream is and how much may be asked of it; refuses values that cannot work with a ValueError.

    `base_url` is what stands before `/threads`, as in `https://host/v1`. A query in it goes with every call, as
    Azure's `?api-version=` must. `timeout_seconds` is for one call of a port function, with everything in it:
    waiting for a free place, trying again, the pauses between.
    """

    base_url: str
    version: Literal["v1", "v2"] = "v2"
    organization: str | None = None
    project: str | None = None
    pool_size: int = 200
    connect_timeout_seconds: float = 5.0
    timeout_seconds: float = 30.0
    max_concurrency_per_operation: int = 64
    max_response_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        url = URL(self.base_url)
        if url.scheme not in {"http", "https"} or not url.host or url.fragment:
            raise ValueError(f"base_url: expected http://host/path or https://host/path, got {_without_user(url)!r}")
        if url.user is not None or url.password is not None:
            raise ValueError("base_url: expected no credential in it, got one; the caller's own is sent upstream")
        if self.version not in {"v1", "v2"}:
            raise ValueError(f"version: expected 'v1' or 'v2', got {self.version!r}")
        for name in ("organization", "project"):
            if not is_header_value(getattr(self, name) or ""):
                raise ValueError(f"{name}: expected text without control characters")
        for name in (
            "pool_size",
            "connect_timeout_seconds",
            "timeout_seconds",
            "max_concurrency_per_operation",
            "max_response_bytes",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)!r}")

    @property
    def capabilities(self) -> Capabilities:
        """What the API's specification promises for this version.

        Source: both versions stream runs; only version 1 has `listMessageFiles`, only version 2 `deleteMessage`;
        neither lists threads.
        """
        return Capabilities(
            dialect=f"openai-{self.version}",
            version=self.version,
            streaming=True,
            deletes_messages=self.version == "v2",
            lists_threads=False,
            message_files=self.version == "v1",
        )


def is_header_value(text: str) -> bool:
    """Tell whether a text can be the value of an HTTP header."""
    return all(character == "\t" or character >= " " for character in text) and "\x7f" not in text


def _without_user(url: URL) -> str:
    return str(url.with_user(None)) if url.host and url.user is not None else str(url)
