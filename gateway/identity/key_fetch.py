"""Fetches the keys of an issuer over HTTP: a JSON Web Key Set, whose address OpenID Connect Discovery may give.

Source: https://openid.net/specs/openid-connect-discovery-1_0.html, section 4.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp
import orjson

from gateway.identity.verification_keys import BadKeysError, KeySet, keys_from_jwks

DISCOVERY_PATH = "/.well-known/openid-configuration"

MAX_DOCUMENT_BYTES = 256 << 10
"""Largest document. A set of a dozen keys with certificates has some 20 KiB."""

FETCH_SECONDS = 5.0
"""How long the fetch of one document may take."""


class IssuerKeys:
    """Fetches the keys of one issuer. Follows no redirect, so that the address in the settings is the one asked."""

    def __init__(self, issuer: str, jwks_url: str | None, *, timeout_seconds: float = FETCH_SECONDS) -> None:
        """Fetch from `jwks_url`, or from the address that the issuer's discovery document gives."""
        self._issuer = issuer
        self._given_url = jwks_url
        self._timeout_seconds = timeout_seconds
        self._discovered_url: str | None = None

    async def fetch(self) -> KeySet:
        """Fetch the keys. After a failure, the next fetch asks the discovery document again.

        Raises:
            BadKeysError: A document cannot be fetched or used.
        """
        try:
            # Fetches are minutes apart, so no connection is kept between them.
            timeout = aiohttp.ClientTimeout(self._timeout_seconds)
            async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
                url = self._given_url or self._discovered_url or await self._discover(session)
                keys = keys_from_jwks(await _fetch_json(session, url))
        except BaseException:
            self._discovered_url = None
            raise
        if self._given_url is None:
            self._discovered_url = url
        return keys

    async def _discover(self, session: aiohttp.ClientSession) -> str:
        url = self._issuer.rstrip("/") + DISCOVERY_PATH
        document = await _fetch_json(session, url)
        if not isinstance(document, dict) or document.get("issuer") != self._issuer:
            raise BadKeysError(f"expected {url} to name the issuer of GATEWAY_JWT_ISSUER exactly, got another")
        jwks_url = document.get("jwks_uri")
        schemes = {"https"} if self._issuer.startswith("https:") else {"http", "https"}
        if not isinstance(jwks_url, str) or not is_url(jwks_url, schemes):
            expected = " or ".join(sorted(schemes))
            raise BadKeysError(f"expected {url} to have a jwks_uri by {expected}, got none")
        return jwks_url


async def _fetch_json(session: aiohttp.ClientSession, url: str) -> object:
    # A query may hold a secret.
    shown = url.partition("?")[0]
    try:
        async with session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise BadKeysError(f"expected {shown} to answer with 200, got {response.status}")
            body = await _read_bounded(response)
    except TimeoutError:
        raise BadKeysError(f"expected {shown} to answer in time, but it did not") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise BadKeysError(f"expected {shown} to answer, but it failed ({type(error).__name__})") from None
    if body is None:
        raise BadKeysError(f"expected {shown} to have at most {MAX_DOCUMENT_BYTES} bytes, got more")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadKeysError(f"expected {shown} to be JSON, got something else") from None


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes | None:
    """Read the body. Returns None if it is too large."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_DOCUMENT_BYTES:
            return None
    return bytes(body)


def is_url(text: str, schemes: set[str]) -> bool:
    """Tell whether a text is a URL of one of these schemes, without credentials."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc
