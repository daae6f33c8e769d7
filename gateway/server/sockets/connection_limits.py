"""Limits of all connections together, fitted to the number of files that the process may open."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import NamedTuple

from gateway.config import DEFAULTS

MIN_PLAIN_CONNECTIONS = 1_000
"""Connections beside those for WebSockets and event streams, if files suffice."""

OWN_FILES = 64
"""Files that the process needs beside its connections: standard streams, the event loop, Redis, listening sockets."""

MAX_FILES = 1 << 16
"""Files that the process asks for. More would be of no use."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits that hold for each connection, whatever it carries.

    A new connection has `header_seconds` for the headers of its first request. A connection without a request is closed
    after `idle_seconds`, which is longer than the 60 seconds after which load balancers close it. A connection is
    aborted if its client reads nothing of what waits for it for `stalled_client_seconds`, or earlier if more than
    `max_unread_bytes` wait for all clients together.
    """

    max_connections: int = 20_000
    header_seconds: float = 5.0
    idle_seconds: float = 75.0
    stalled_client_seconds: float = DEFAULTS.gateway_stalled_client_seconds
    max_unread_bytes: int = 256 << 20


class FittedCounts(NamedTuple):
    """The most connections of a process, and the most WebSockets and event streams among them."""

    max_connections: int
    max_sockets: int


def fit_file_limit(max_sockets: int, upstream_connections: int, max_files: int) -> FittedCounts:
    """Decide how many connections fit into `max_files` open files. Pure.

    The upstream's connections and `OWN_FILES` come first, but get half of the files at most. A quarter of the
    connections stays free of WebSockets and event streams, so that plain requests are served when all those are taken.
    """
    available = max(1, max_files - min(OWN_FILES + upstream_connections, max_files // 2))
    max_connections = min(max_sockets + max(max_sockets, MIN_PLAIN_CONNECTIONS), available)
    return FittedCounts(max_connections, min(max_sockets, max(1, 3 * max_connections // 4)))


def read_file_limit() -> int:
    """Return the number of files that this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_FILES if soft == resource.RLIM_INFINITY else soft


def raise_file_limit() -> None:
    """Raise the number of files that this process may open to `MAX_FILES`, or as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
