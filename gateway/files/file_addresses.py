"""The addresses of the contents of files: made for a caller, and opened again when a browser uses them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from gateway.files.address_seal import AddressSeal, BrokenSealError, Holder, SealedContents
from gateway.files.user_files import UserFiles
from gateway.identity.allowed_origins import AllowedOrigins
from gateway.identity.credentials import Caller, own_key_obstacle
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.identity.token_expiry import TOKEN_GRACE_SECONDS
from gateway.server.http.called_address import current_called_address
from gateway.server.http.refusals import Refusal
from gateway.upstream.rest_requests import path_segment
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import Results

TOKEN_PARAMETER = "token"  # noqa: S105 - the name of a parameter
ASK_AGAIN = "ask for `contentUrl` again"


@dataclass(frozen=True, slots=True)
class OpenedAddress:
    """The principal in whose name a file is read, and how many seconds the address still lasts."""

    principal: Principal
    seconds_left: int


@dataclass(frozen=True, slots=True)
class AddressRules:
    """The callers for whom an address may have been made: users who sign in, or the holders of keys."""

    upstream: UpstreamIdentity
    takes_users: bool = False
    takes_keys: bool = True
    allows_anonymous: bool = False
    origins: AllowedOrigins = field(default_factory=AllowedOrigins)
    find_own_credential: Callable[[], str | None] = lambda: None

    def find_principal(self, holder: Holder, caller: Caller) -> Principal | None:
        """Find the principal of a holder. Returns None if the gateway serves no such holder, or not from there."""
        if holder.user is not None:
            return Principal.from_user(holder.user, self.upstream) if self.takes_users else None
        if not self.takes_keys:
            return None
        if holder.uses_own_key:
            own_credential = self.find_own_credential()
            # A page of any origin may show an image, so nothing is asked of the page.
            request = replace(caller, origin=None, fetch_site=None)
            if own_credential is None or own_key_obstacle(request, self.origins) is not None:
                return None
            return Principal.from_own_key(own_credential, self.upstream)
        if holder.credential is None and not self.allows_anonymous:
            return None
        return Principal.from_credential(holder.credential, self.upstream)


class FileAddresses:
    """Makes and opens addresses.

    An address lasts for the second half of `lifetime_seconds` at least and for all of it at most: those that are made
    for one caller and file within one half are the same.
    """

    def __init__(
        self,
        seal: AddressSeal,
        rules: AddressRules,
        *,
        lifetime_seconds: int,
        public_url: str | None = None,
        now_seconds: Callable[[], float] = time.time,
    ) -> None:
        """Begin each address with `public_url`, or else with the address by which the client has called."""
        self._seal = seal
        self._rules = rules
        self._lifetime_seconds = lifetime_seconds
        self._public_url = public_url
        self._now_seconds = now_seconds

    def make_address(self, file_id: str, principal: Principal) -> str | None:
        """Make the address of a file's content for a caller. None for an id that no path can hold."""
        try:
            segment = path_segment("fileId", file_id)
        except GatewayError:
            return None
        holder = Holder(principal.user, principal.uses_own_key and principal.user is None, principal.credential)
        token = self._seal.seal(file_id, SealedContents(holder, self._ends_at(principal)))
        base = self._public_url or current_called_address()
        return f"{base}/files/{segment}/content?{TOKEN_PARAMETER}={token}"

    def open_address(self, file_id: str, tokens: Sequence[str], caller: Caller) -> OpenedAddress:
        """Open the address of a request.

        Raises:
            Refusal: It is none of this gateway's, or has ended.
        """
        try:
            (token,) = tokens
            contents = self._seal.open(file_id, token)
        except (ValueError, BrokenSealError):
            raise _foreign_address() from None
        seconds_left = contents.ends_at - int(self._now_seconds())
        if seconds_left <= 0:
            message = f"Expected an address that has not ended, got one that has: {ASK_AGAIN}."
            raise Refusal(410, GatewayError(ErrorCode.NOT_FOUND, message))
        principal = self._rules.find_principal(contents.holder, caller)
        if principal is None:
            raise _foreign_address()
        return OpenedAddress(principal, seconds_left)

    def _ends_at(self, principal: Principal) -> int:
        half = max(1, self._lifetime_seconds // 2)
        ends_at = int(self._now_seconds()) // half * half + 2 * half
        if principal.expires_at is None:
            return ends_at
        return min(ends_at, int(principal.expires_at + TOKEN_GRACE_SECONDS))


class CallersContentUrls:
    """The `ContentUrls` of one operation."""

    def __init__(self, addresses: FileAddresses, principal: Principal, user_files: UserFiles | None) -> None:
        """Make addresses for a principal; for a signed-in user, only of files whose content the user may read."""
        self._addresses = addresses
        self._principal = principal
        self._user_files = None if principal.user is None else user_files

    async def make_urls(self, file_ids: Sequence[str]) -> Results[str | None]:
        try:
            readable: Collection[str] = file_ids
            if self._user_files is not None:
                readable = await self._user_files.open_files(self._principal).find_readable(file_ids)
        except GatewayError as error:
            return [error] * len(file_ids)
        return [
            self._addresses.make_address(file_id, self._principal) if file_id in readable else None
            for file_id in file_ids
        ]


def _foreign_address() -> Refusal:
    message = f"Expected an address as this gateway has made it for this file, got another one: {ASK_AGAIN}."
    return Refusal(403, GatewayError(ErrorCode.FORBIDDEN, message))
