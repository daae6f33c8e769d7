"""Determines the principal of a caller by the token of an identity provider: the only way in while users sign in.

The reason of a refusal is logged. The caller gets one message for all of them, so that nobody learns from it how to
make a token that is accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.identity.allowed_origins import AllowedOrigins
from gateway.identity.credentials import Caller, CredentialPolicy, CredentialRefusedError, caller_of_socket
from gateway.identity.key_cache import KeySource, KeysUnavailableError
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.identity.token_verification import (
    TokenHeader,
    TokenRefusedError,
    TokenRules,
    read_header,
    token_from_authorization,
    verify_token,
)
from gateway.identity.verification_keys import VerificationKey
from gateway.identity.verified_tokens import AcceptedToken, VerifiedTokens
from schema.contract.errors import ErrorCode, format_value

REFUSAL = "Expected an Authorization header with a valid token, as 'Authorization: Bearer <token>'."
UNAVAILABLE = "Tokens cannot be verified at the moment, because the keys of their issuer are not known; ask again."

CHALLENGE = "Bearer"
"""The challenge to a caller without a token, and the beginning of that to others. Source: RFC 6750, section 3."""

MAX_SHOWN_KEY_ID_LENGTH = 40


class TokenAuthenticator:
    """Verifies tokens. The upstream call of a signed-in user carries the gateway's own key."""

    def __init__(
        self,
        rules: TokenRules,
        keys: KeySource,
        origins: AllowedOrigins,
        upstream: UpstreamIdentity,
        *,
        verified: VerifiedTokens | None = None,
    ) -> None:
        """Accept tokens by `rules` and `keys`, from pages of these origins."""
        self._verified = VerifiedTokens() if verified is None else verified
        self._rules = rules
        self._keys = keys
        self._policy = CredentialPolicy(origins=origins)
        self._upstream = upstream
        self.stranger = Principal.from_credential(None, upstream)

    @property
    def origins(self) -> AllowedOrigins:
        """The origins whose pages may call."""
        return self._policy.origins

    async def start(self) -> None:
        """Begin to fetch keys."""
        await self._keys.start()

    async def aclose(self) -> None:
        """End the fetches."""
        await self._keys.aclose()

    async def authenticate(self, caller: Caller) -> Principal:
        """Determine the principal of an HTTP request; raises CredentialRefusedError."""
        return await self._verify(caller.authorization)

    async def authenticate_socket(self, caller: Caller, offered: Sequence[str] | None) -> Principal:
        """Determine the principal of a WebSocket; raises CredentialRefusedError."""
        caller = caller_of_socket(caller, self._policy, offers_credential=offered is not None)
        return await self._verify(caller.authorization if offered is None else offered)

    async def renew(self, principal: Principal, offered: Sequence[str]) -> Principal:
        """Determine the principal anew; raises CredentialRefusedError. Only the roles and the end may differ."""
        renewed = await self._verify(offered)
        if renewed.user is None or principal.user is None or renewed.user.owner != principal.user.owner:
            raise _refused(TokenRefusedError("it is of another user than the socket's"))
        return renewed

    async def _verify(self, authorization: Sequence[str]) -> Principal:
        try:
            token = token_from_authorization(authorization)
            known = self._verified.find_token(token)
            header = read_header(token, self._rules.algorithms) if known is None else known.header
            key = await self._find_key(header)
            if known is not None and known.key is key:
                return known.principal
            verified = verify_token(token, header, key, self._rules)
        except TokenRefusedError as refused:
            raise _refused(refused) from None
        except KeysUnavailableError:
            code = ErrorCode.SIGN_IN_UNAVAILABLE
            raise CredentialRefusedError(503, UNAVAILABLE, "ask again", is_final=False, code=code) from None
        principal = Principal.from_user(verified.user, self._upstream, verified.expires_at)
        self._verified.add_token(token, AcceptedToken(principal, header, key))
        return principal

    async def _find_key(self, header: TokenHeader) -> VerificationKey:
        key = await self._keys.find_key(header.key_id, header.algorithm)
        if key is None:
            shown = "none" if header.key_id is None else format_value(header.key_id[:MAX_SHOWN_KEY_ID_LENGTH])
            reason = f"no key of the issuer has its kid ({shown}) and fits its algorithm ({header.algorithm})"
            raise TokenRefusedError(reason, is_replaceable=True)
        return key


def _refused(refused: TokenRefusedError) -> CredentialRefusedError:
    challenge = CHALLENGE if refused.is_missing else f'{CHALLENGE} error="invalid_token"'
    return CredentialRefusedError(
        401,
        REFUSAL,
        "expected a valid token",
        is_final=not refused.is_replaceable,
        challenge=challenge,
        audit_reason=f"a token was refused: {refused}",
    )
