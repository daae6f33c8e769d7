"""Makes what verifies tokens from the settings of sign-in."""

from __future__ import annotations

from pathlib import Path

from gateway.config import BadSettingsError, Settings, check_sign_in
from gateway.identity.allowed_origins import AllowedOrigins
from gateway.identity.key_cache import FixedKey, KeyCache, KeySource
from gateway.identity.key_fetch import IssuerKeys
from gateway.identity.principal import UpstreamIdentity
from gateway.identity.token_authenticator import TokenAuthenticator
from gateway.identity.token_claims import ClaimNames
from gateway.identity.token_verification import TokenRules
from gateway.identity.verification_keys import BadKeysError, read_public_key_file


def token_authenticator(
    settings: Settings, origins: AllowedOrigins, upstream: UpstreamIdentity
) -> TokenAuthenticator | None:
    """Make the authenticator by tokens. Returns None if nobody signs in.

    Raises:
        BadSettingsError: The settings are incomplete, contradict each other, or name a key that cannot be used.
    """
    check_sign_in(settings)
    issuer, audience = settings.gateway_jwt_issuer, settings.gateway_jwt_audience
    if issuer is None or audience is None:
        return None
    rules = TokenRules(
        issuer=issuer,
        audience=audience,
        algorithms=frozenset(settings.gateway_jwt_algorithms.split(",")),
        claim_names=ClaimNames(
            tenant=settings.gateway_jwt_tenant_claim,
            roles=settings.gateway_jwt_roles_claim,
            admin_role=settings.gateway_jwt_admin_role,
        ),
    )
    return TokenAuthenticator(rules, _key_source(settings, rules), origins, upstream)


def _key_source(settings: Settings, rules: TokenRules) -> KeySource:
    file = settings.gateway_jwt_public_key_file
    if file is None:
        return KeyCache(IssuerKeys(rules.issuer, settings.gateway_jwt_jwks_url).fetch)
    try:
        return FixedKey(read_public_key_file(Path(file), rules.algorithms))
    except BadKeysError as error:
        raise BadSettingsError([f"GATEWAY_JWT_PUBLIC_KEY_FILE: {error}"]) from None
