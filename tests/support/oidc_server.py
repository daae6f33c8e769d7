"""A small OpenID Connect provider: discovery, JWKS, code flow with PKCE, refresh tokens, logout.

It is complete enough for a browser's client library and for the gateway, and keeps everything in memory. It asks for no
password: its login page has a button for each user.

Source: OpenID Connect Core 1.0, Discovery 1.0 and RP-Initiated Logout 1.0; RFC 7636 (PKCE); RFC 9700 (refresh tokens
that are used once).
"""

import base64
import hashlib
import html
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.signing_keys import SigningKey, make_signing_key, read_claims

CLIENT_ID = "single-page-app"
AUDIENCE = "threads-gateway"
USERS: Mapping[str, Mapping[str, Any]] = {
    "alice": {},
    "bob": {},
    "root": {"realm_access": {"roles": ["admin"]}},
}
"""The users by their subjects, each with the further claims of their access tokens."""

_DISCOVERY, _JWKS, _AUTHORIZE = "/.well-known/openid-configuration", "/jwks", "/authorize"
_LOGIN, _TOKEN, _LOGOUT = "/login", "/token", "/logout"
_COOKIE = "oidc_session"
_ID_TOKEN_SECONDS = 300
_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True)
class Grant:
    """A user's consent to one client, for which a code or a refresh token stands."""

    subject: str
    session: str
    scope: str
    nonce: str | None = None
    redirect_uri: str | None = None
    code_challenge: str = ""

    def accepts(self, redirect_uri: object, code_verifier: object) -> bool:
        """Tell whether a code may be exchanged by the page that asked for it."""
        digest = hashlib.sha256(str(code_verifier).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return redirect_uri == self.redirect_uri and secrets.compare_digest(challenge, self.code_challenge)


class _RequestRefusedError(Exception):
    """A request that cannot be answered, with one of the specification's error codes."""


@dataclass
class OidcServer:
    """The provider. `counts` counts the requests by path; a path in `unavailable` is answered with 503.

    `services` are programs that sign in as themselves, each with its secret. What a test changes holds for what comes
    next.
    """

    now: Callable[[], float] = time.time
    audience: str = AUDIENCE
    token_seconds: int = 300
    users: dict[str, Mapping[str, Any]] = field(default_factory=lambda: dict(USERS))
    services: dict[str, str] = field(default_factory=dict, repr=False)
    redirect_uris: set[str] = field(default_factory=set)
    algorithm: str = "RS256"
    issuer: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    unavailable: set[str] = field(default_factory=set)
    keys: list[SigningKey] = field(default_factory=list)
    _sessions: dict[str, str] = field(default_factory=dict, repr=False)
    _codes: dict[str, Grant] = field(default_factory=dict, repr=False)
    _refresh_tokens: dict[str, Grant] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.rotate_key()

    @property
    def jwks_url(self) -> str:
        return f"{self.issuer}{_JWKS}"

    @property
    def token_url(self) -> str:
        return f"{self.issuer}{_TOKEN}"

    def count(self, url: str) -> int:
        """Return how often one of its URLs was fetched."""
        return self.counts[url.removeprefix(self.issuer)]

    def rotate_key(self, *, keep_old: bool = True) -> SigningKey:
        """Sign with a new key from now on. The old keys stay in the JWKS, or leave it."""
        key = make_signing_key(secrets.token_hex(4), self.algorithm)
        self.keys = [key, *(self.keys if keep_old else ())]
        return key

    def issue_token(self, subject: str, **claims: Any) -> str:
        """Make an access token. `claims` replace those of the user; one that is None is left out."""
        issued_at = int(self.now())
        merged = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "iat": issued_at,
            "exp": issued_at + self.token_seconds,
            **self.users.get(subject, {}),
            **claims,
        }
        return self.keys[0].sign({name: value for name, value in merged.items() if value is not None})

    def forget(self, subject: str) -> None:
        """End all sessions of a user: no token is renewed, and the login page asks again."""
        for session in [session for session, user in self._sessions.items() if user == subject]:
            self._end_session(session)

    def app(self) -> web.Application:
        """Build its application."""
        app = web.Application(middlewares=[self._count])
        app.router.add_get(_DISCOVERY, self._discovery)
        app.router.add_get(_JWKS, self._jwks)
        app.router.add_get(_AUTHORIZE, self._authorize)
        app.router.add_post(_LOGIN, self._login)
        app.router.add_post(_TOKEN, self._token)
        app.router.add_get(_LOGOUT, self._logout)
        return app

    @web.middleware
    async def _count(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.counts[request.path] += 1
        if request.path in self.unavailable:
            response: web.StreamResponse = web.Response(status=503)
        else:
            try:
                response = await handler(request)
            except _RequestRefusedError as refused:
                response = web.json_response({"error": str(refused)}, status=400)
        # Public clients: the code verifier and the refresh token are the secrets, never a cookie.
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    async def _discovery(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer,
                "jwks_uri": self.jwks_url,
                "authorization_endpoint": f"{self.issuer}{_AUTHORIZE}",
                "token_endpoint": self.token_url,
                "end_session_endpoint": f"{self.issuer}{_LOGOUT}",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [self.algorithm],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
            }
        )

    async def _jwks(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [key.public_jwk() for key in self.keys]})

    async def _authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self._check_client(query)
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            return _redirect(query["redirect_uri"], error="invalid_request", state=query.get("state"))
        session = request.cookies.get(_COOKIE, "")
        if session in self._sessions and query.get("prompt") != "login":
            return self._redirect_with_code(query, session)
        if query.get("prompt") == "none":
            return _redirect(query["redirect_uri"], error="login_required", state=query.get("state"))
        return web.Response(text=_login_page(query, self.users), content_type="text/html")

    async def _login(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self._check_client(form)
        if form.get("user") not in self.users:
            raise _RequestRefusedError("access_denied")
        session = secrets.token_urlsafe()
        self._sessions[session] = form["user"]
        response = self._redirect_with_code(form, session)
        response.set_cookie(_COOKIE, session, httponly=True, samesite="Lax")
        return response

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        client = str(form.get("client_id"))
        if form.get("grant_type") == "client_credentials":
            if client not in self.services or form.get("client_secret") != self.services[client]:
                raise _RequestRefusedError("invalid_client")
            return web.json_response(self._access_token(client), headers=_NO_STORE)
        if client != CLIENT_ID:
            raise _RequestRefusedError("invalid_client")
        if form.get("grant_type") == "authorization_code":
            grant = self._codes.pop(str(form.get("code")), None)
            if grant is None or not grant.accepts(form.get("redirect_uri"), form.get("code_verifier")):
                raise _RequestRefusedError("invalid_grant")
        elif form.get("grant_type") == "refresh_token":
            grant = self._refresh_tokens.pop(str(form.get("refresh_token")), None)
            if grant is None:
                raise _RequestRefusedError("invalid_grant")
        else:
            raise _RequestRefusedError("unsupported_grant_type")
        return web.json_response(self._tokens(grant), headers=_NO_STORE)

    async def _logout(self, request: web.Request) -> web.Response:
        hint, target = request.query.get("id_token_hint", ""), request.query.get("post_logout_redirect_uri")
        if target is not None and target not in self.redirect_uris:
            raise _RequestRefusedError("invalid_request")
        self._end_session(read_claims(hint)["sid"] if hint else request.cookies.get(_COOKIE, ""))
        response = _redirect(target, state=request.query.get("state")) if target else web.Response(text="Signed out.")
        response.del_cookie(_COOKIE)
        return response

    def _end_session(self, session: str) -> None:
        self._sessions.pop(session, None)
        for token in [token for token, grant in self._refresh_tokens.items() if grant.session == session]:
            del self._refresh_tokens[token]

    def _check_client(self, query: Mapping[str, str]) -> None:
        # Never redirect to an address that is not registered.
        if query.get("client_id") != CLIENT_ID or query.get("redirect_uri") not in self.redirect_uris:
            raise _RequestRefusedError("invalid_client")

    def _redirect_with_code(self, query: Mapping[str, str], session: str) -> web.Response:
        code = secrets.token_urlsafe()
        self._codes[code] = Grant(
            subject=self._sessions[session],
            session=session,
            scope=query.get("scope", "openid"),
            nonce=query.get("nonce"),
            redirect_uri=query["redirect_uri"],
            code_challenge=query.get("code_challenge", ""),
        )
        return _redirect(query["redirect_uri"], code=code, state=query.get("state"))

    def _tokens(self, grant: Grant) -> dict[str, Any]:
        issued_at, refresh_token = int(self.now()), secrets.token_urlsafe()
        self._refresh_tokens[refresh_token] = grant
        id_claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": grant.subject,
            "sid": grant.session,
            "iat": issued_at,
            "exp": issued_at + _ID_TOKEN_SECONDS,
        }
        return {
            **self._access_token(grant.subject),
            "refresh_token": refresh_token,
            "id_token": self.keys[0].sign({**id_claims, **({"nonce": grant.nonce} if grant.nonce else {})}),
            "scope": grant.scope,
        }

    def _access_token(self, subject: str) -> dict[str, Any]:
        return {
            "access_token": self.issue_token(subject),
            "token_type": "Bearer",
            "expires_in": self.token_seconds,
        }


@asynccontextmanager
async def running_oidc_server(**options: Any) -> AsyncIterator[OidcServer]:
    """Run a provider on a loopback port, whose base URL is its issuer."""
    server = OidcServer(**options)
    async with TestServer(server.app()) as listening:
        server.issuer = str(listening.make_url("")).rstrip("/")
        yield server


def _redirect(url: str, **parameters: str | None) -> web.Response:
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    separator = "&" if "?" in url else "?"
    return web.Response(status=303, headers={"Location": f"{url}{separator}{query}" if query else url})


def _login_page(query: Mapping[str, str], users: Mapping[str, Any]) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}" />'
        for name, value in query.items()
    )
    buttons = "".join(
        f'<p><button name="user" value="{html.escape(user)}">{html.escape(user)}</button>' for user in users
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8" />
<link rel="icon" href="data:," />
<title>Sign in</title>
<style>
  body {{ max-width: 20rem; margin: 20vh auto; font: 16px system-ui, sans-serif; }}
  button {{ width: 100%; padding: 0.6rem; font: inherit; }}
</style>
<h1>Who are you?</h1>
<form method="post" action="{_LOGIN}">{hidden}{buttons}</form>
</html>"""
