"""Cross-origin requests: the headers of every response, and the responses to preflight requests.

There is no credentials mode: a browser adds no cookie and no stored password to a request of another origin's page.
Whatever changes something needs `Content-Type: application/json`, or for an upload a header of its own, so a browser
sends a preflight request first.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict

from gateway.identity.allowed_origins import AllowedOrigins
from gateway.server.http.refusals import Refusal
from schema.contract.errors import ErrorCode, GatewayError, format_value

ALLOWED_METHODS = "GET, POST"
EXPOSED_HEADERS = "Accept-Ranges, Content-Disposition, Content-Range, Retry-After, X-Request-ID"
MAX_AGE_SECONDS = 600
"""How long a browser remembers a preflight. Chromium's limit is 7200, Safari's is 600."""


def is_preflight(request: web.Request) -> bool:
    """Tell whether a browser asks if a page of another origin may send a request."""
    return (
        request.method == "OPTIONS"
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    )


def preflight_response(request: web.Request, origins: AllowedOrigins) -> web.Response:
    """Respond to a preflight request of an allowed origin. All headers that the page asks for are allowed.

    Raises:
        Refusal: The origin is not allowed.
    """
    origin = request.headers["Origin"]
    if not origins.allows(origin):
        message = f"Expected an Origin that GATEWAY_ALLOWED_ORIGINS names, got {format_value(origin)}."
        raise Refusal(403, GatewayError(ErrorCode.FORBIDDEN, message))
    headers = {
        "Access-Control-Allow-Methods": ALLOWED_METHODS,
        "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
        "Vary": "Access-Control-Request-Headers",
    }
    if requested := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = requested
    return web.Response(status=204, headers=headers)


def add_cors_headers(headers: CIMultiDict[str], origin: str | None, origins: AllowedOrigins) -> None:
    """Let a page of an allowed origin read a response. Any response says that it depends on the origin."""
    headers["Vary"] = ", ".join([*headers.popall("Vary", []), "Origin"])
    if origin is not None and origins.allows(origin):
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
