"""Reads a user from the claims of a verified token. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.identity.principal import Owner, User

MAX_SUBJECT_LENGTH = 255
"""Longest subject, and longest name of a tenant, in characters. Source: OpenID Connect Core 1.0, section 2 (`sub`)."""

_LATEST_EXPIRY = 32_503_680_000  # the year 3000


class BadClaimError(Exception):
    """A claim cannot be used. The message names the expected and the actual value."""


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """The claims that hold the tenant and the roles of a user, and the role of an admin.

    A name may be a path, as `realm_access.roles`. A claim of the whole name wins.
    """

    tenant: str | None = None
    roles: str | None = None
    admin_role: str = "admin"


def user_from_claims(claims: Mapping[str, Any], names: ClaimNames) -> User:
    """Read the user whom a token is about.

    Raises:
        BadClaimError: The subject, or the tenant where tokens must have one, is missing or malformed.
    """
    subject = check_subject(_read_text(claims.get("sub"), "sub"), "a claim sub")
    tenant = "" if names.tenant is None else _read_text(find_claim(claims, names.tenant), names.tenant)
    roles = () if names.roles is None else roles_from_claim(find_claim(claims, names.roles))
    return User(Owner(str(claims["iss"]), subject, tenant), is_admin=names.admin_role in roles)


def check_subject(subject: str, label: str) -> str:
    """Check the subject of a user, which `label` names in errors.

    Raises:
        BadClaimError: It is empty or malformed.
    """
    if not subject:
        raise BadClaimError(f"expected {label} of 1 to {MAX_SUBJECT_LENGTH} characters, got an empty one")
    return check_user_text(subject, label)


def check_user_text(text: str, label: str) -> str:
    """Check a subject, or the name of a tenant, which `label` names in errors.

    Raises:
        BadClaimError: It is too long, or has characters that no database stores: NUL, or half of a surrogate pair.
    """
    if len(text) > MAX_SUBJECT_LENGTH:
        raise BadClaimError(f"expected {label} of at most {MAX_SUBJECT_LENGTH} characters, got {len(text)}")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise BadClaimError(f"expected {label} of Unicode characters without NUL")
    return text


def find_claim(claims: Mapping[str, Any], path: str) -> object:
    """Find a claim by its name or its path. Returns None if there is none."""
    if path in claims:
        return claims[path]
    found: object = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def roles_from_claim(value: object) -> frozenset[str]:
    """Read roles from a list, or from a text that separates them by spaces. Anything else has none."""
    entries = value.split(" ") if isinstance(value, str) else value
    return frozenset(entry for entry in entries if isinstance(entry, str)) if isinstance(entries, list) else frozenset()


def expiry_from_claims(claims: Mapping[str, Any]) -> float:
    """Read the expiry.

    Raises:
        BadClaimError: It is no number of seconds. PyJWT takes a text too, which the specification does not allow.
    """
    expiry = claims.get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, int | float) or expiry > _LATEST_EXPIRY:
        raise BadClaimError("expected a claim exp that is a number of seconds, at most that of the year 3000")
    return float(expiry)


def _read_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        got = "none" if value is None else type(value).__name__
        raise BadClaimError(f"expected a claim {name} that is a text, got {got}")
    return check_user_text(value, f"a claim {name}")
