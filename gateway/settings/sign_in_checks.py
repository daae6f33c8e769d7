"""Checks of settings that only make sense together: those of sign-in. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.settings.sign_in_settings import SignInSettings
from gateway.settings.upstream_settings import UpstreamSettings

_DEFAULT_ADMIN_ROLE = SignInSettings.model_fields["gateway_jwt_admin_role"].default

_NEEDS_ISSUER = (
    "gateway_jwt_audience",
    "gateway_jwt_jwks_url",
    "gateway_jwt_public_key_file",
    "gateway_jwt_algorithms",
    "gateway_jwt_tenant_claim",
    "gateway_jwt_roles_claim",
    "gateway_jwt_admin_role",
    "gateway_run_overrides",
    "gateway_show_instructions",
)
"""Settings that say how tokens are verified and what users may do, and so do nothing without sign-in."""


def sign_in_faults(settings: SignInSettings, upstream: UpstreamSettings, *, needs_database: bool) -> Iterator[str]:
    """Find what is missing, or contradicts each other, one line for each."""
    if settings.gateway_jwt_issuer is None:
        for name in _NEEDS_ISSUER:
            if getattr(settings, name) != SignInSettings.model_fields[name].default:
                yield f"{name.upper()}: expected GATEWAY_JWT_ISSUER beside it, got none"
        return
    if settings.gateway_jwt_audience is None:
        yield "GATEWAY_JWT_AUDIENCE: expected the audience of the tokens, since GATEWAY_JWT_ISSUER is set, got none"
    if settings.gateway_jwt_admin_role != _DEFAULT_ADMIN_ROLE and settings.gateway_jwt_roles_claim is None:
        yield "GATEWAY_JWT_ADMIN_ROLE: expected GATEWAY_JWT_ROLES_CLAIM beside it, which lists the roles, got none"
    if upstream.upstream_api_key is None and upstream.upstream_api_key_file is None:
        yield (
            "UPSTREAM_API_KEY or UPSTREAM_API_KEY_FILE: expected the gateway's own key, with which it calls the "
            "upstream for signed-in users, got none"
        )
    if upstream.upstream_anonymous:
        yield "UPSTREAM_ANONYMOUS: expected false, since nobody calls without a token while users sign in, got true"
    if settings.gateway_jwt_jwks_url is not None and settings.gateway_jwt_public_key_file is not None:
        yield "GATEWAY_JWT_JWKS_URL and GATEWAY_JWT_PUBLIC_KEY_FILE: expected one of them, got both"
    has_keys = settings.gateway_jwt_jwks_url is not None or settings.gateway_jwt_public_key_file is not None
    if not has_keys and not settings.gateway_jwt_issuer.startswith(("https://", "http://")):
        yield (
            "GATEWAY_JWT_ISSUER: expected an http(s) URL, whose discovery document names the keys, or "
            f"GATEWAY_JWT_JWKS_URL or GATEWAY_JWT_PUBLIC_KEY_FILE, got {settings.gateway_jwt_issuer[:80]!r}"
        )
    if needs_database and settings.gateway_database_url is None:
        yield (
            "GATEWAY_DATABASE_URL: expected sqlite:////path/ledger.db or postgresql://user:password@host/database, "
            "since the gateway must remember whose each thread is while users sign in, got none"
        )
