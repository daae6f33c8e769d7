"""The start of every Redis key: what the key is for, a digest of the principal, and the hash tag of a cluster. Pure."""

from __future__ import annotations

import base64
import hashlib


def scoped_prefix(mark: str, scope: str, path: str) -> str:
    """Return the start of the keys of one principal's `path`; the text in braces is their hash tag.

    Keys with the same hash tag lie on the same node of a cluster. `path` holds no brace.
    """
    return f"{mark}:{{{_scope_name(scope)}/{path}}}:"


def scope_pattern(scope: str) -> str:
    """Return the pattern of all keys of one principal, of every mark and path."""
    return f"t[eg]:*{{{_scope_name(scope)}/*"


def _scope_name(scope: str) -> str:
    digest = hashlib.blake2b(scope.encode("utf-8", "surrogatepass"), digest_size=16, person=b"threads-gateway")
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
