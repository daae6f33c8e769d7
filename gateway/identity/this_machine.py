"""Addresses, names and pages that can only belong to this machine. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_USUAL_HOST = re.compile(r"(?:localhost|127\.0\.0\.1)(?::[0-9]{1,4})?\Z")
"""What nearly all clients on this machine send. All else is parsed."""


def is_loopback_address(address: str | None) -> bool:
    """Tell whether a socket's address can only belong to this machine."""
    if address == "127.0.0.1":  # the usual case, without a parser
        return True
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    # Before Python 3.13, `is_loopback` is false for an IPv4 address written as IPv6.
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def is_loopback_host(host: str) -> bool:
    """Tell whether a `Host` header names this machine. The DNS name of another site that is rebound to it does not."""
    if _USUAL_HOST.match(host):
        return True
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return False
    return parts.netloc == host and parts.hostname in LOOPBACK_NAMES and "@" not in host


def is_loopback_page(origin: str) -> bool:
    """Tell whether an `Origin` is that of a page which this machine served, on any port."""
    scheme, separator, host = origin.lower().partition("://")
    return bool(separator) and scheme in {"http", "https"} and is_loopback_host(host)
