"""The URL of the ledger's database, as it is written for any program, made into arguments of the drivers. Pure.

Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS and, for the options that the
driver takes, https://magicstack.github.io/asyncpg/current/api/index.html#connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

DRIVER_OPTIONS = frozenset(
    {
        *("host", "port", "dbname", "user", "password", "passfile", "service", "target_session_attrs"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
        # These three are settings of the session.
        *("application_name", "options", "search_path"),
    }
)
"""Options of libpq that the driver takes as they are."""

_HARMLESS_VALUES = {
    "channel_binding": {"disable", "prefer"},
    "gssencmode": {"disable", "prefer"},
    "client_encoding": {"auto", "utf8", "UTF8", "utf-8", "UTF-8"},
}
"""Options that the driver lacks, and the values at which it behaves as libpq may."""


class DatabaseUrlError(Exception):
    """The URL cannot be used. The message holds no part of it that may be secret."""


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """The database in a file."""

    path: Path


@dataclass(frozen=True, slots=True)
class PostgresqlServer:
    """The database of a server. `dsn` may hold a password."""

    dsn: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    connect_timeout_seconds: float | None = None


def parse_database_url(url: str) -> SqliteFile | PostgresqlServer:
    """Read the URL of a database.

    Raises:
        DatabaseUrlError: It has an option that cannot be honoured.
    """
    if url.startswith("sqlite:"):
        if "?" in url:
            raise DatabaseUrlError("expected sqlite:////path/ledger.db without options behind a question mark")
        return SqliteFile(Path(url.removeprefix("sqlite:///")))
    parts = urlsplit(url)
    kept: list[tuple[str, str]] = []
    connect_timeout_seconds = None
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in DRIVER_OPTIONS:
            kept.append((name, value))
        elif name == "connect_timeout":
            connect_timeout_seconds = _seconds(value)
        elif value not in _HARMLESS_VALUES.get(name, set()):
            raise DatabaseUrlError(_unknown_option(name, value))
    # `urlunsplit` would drop the slashes of an empty host.
    dsn = f"postgresql://{parts.netloc}{parts.path}" + (f"?{urlencode(kept, safe='/,')}" if kept else "")
    password = dict(kept).get("password") or (unquote(parts.password) if parts.password else None)
    return PostgresqlServer(dsn, password, connect_timeout_seconds)


def _seconds(value: str) -> float | None:
    if not value.isdecimal():
        raise DatabaseUrlError(f"option connect_timeout: expected a number of seconds, got {value[:40]!r}")
    return float(value) or None


def _unknown_option(name: str, value: str) -> str:
    if name in _HARMLESS_VALUES:
        expected = " or ".join(sorted(_HARMLESS_VALUES[name]))
        return f"option {name}: expected {expected}, which is all that this program can do, got {value[:40]!r}"
    return f"expected options among {', '.join(sorted({*DRIVER_OPTIONS, 'connect_timeout'}))}, got {name[:40]!r}"
