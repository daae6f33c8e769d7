"""From an answer that is no success to the `GatewayError` it means, whatever its body looks like. Pure.

Servers of this API explain themselves in many shapes; each is read for its message, the parameter it blames and its
code. The status decides; the explanation only refines it.
"""

import html
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from gateway.upstream.retry import TRANSIENT_STATUSES, CallFailure
from gateway.upstream.safe_text import safe_text
from schema.contract.errors import ErrorCode, GatewayError

MAX_EXPLANATION_BYTES = 64 * 1024
MAX_RETRY_AFTER_SECONDS = 24 * 60 * 60

_CODES = {
    401: ErrorCode.UNAUTHENTICATED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.UNSUPPORTED_BY_UPSTREAM,
    408: ErrorCode.UPSTREAM_TIMEOUT,
    409: ErrorCode.CONFLICT,
    413: ErrorCode.BAD_USER_INPUT,
    429: ErrorCode.RATE_LIMITED,
    501: ErrorCode.UNSUPPORTED_BY_UPSTREAM,
    504: ErrorCode.UPSTREAM_TIMEOUT,
}
_REQUEST_ID_HEADERS = ("x-request-id", "apim-request-id", "request-id")

# "Route GET:/v1/x not found", "Cannot GET /v1/x", "404 page not found", "Unknown request URL: GET /x", "Invalid URL".
_UNKNOWN_ROUTE = re.compile(
    r"\b(?:unknown|invalid|unrecognized) (?:request )?(?:url|route|path|endpoint)\b"
    r"|\b(?:url|route|page|endpoint)\b.{0,200}\b(?:not found|does not exist)\b"
    r"|\bcannot (?:get|post|put|patch|delete) /",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
# The upstream's own sentences name the parameter even where `param` is null.
_BLAMED = re.compile(
    r"(?:Invalid|Invalid type for|Invalid property name in|Missing required parameter:|Unknown parameter:) '([^']+)'"
    r"|(?:querystring|params|headers|body)/(\S+) must "
)
_TRY_AGAIN = re.compile(r"\btry again (?:in|after) (\d{1,9}(?:\.\d{1,9})?) ?(ms|milliseconds?|s|seconds?|m|minutes?)\b")
# The only sign of these refusals is their sentence. Source: error bodies of the real service.
_SENTENCES: Mapping[re.Pattern[str], ErrorCode] = {
    re.compile(r"already has an active run", re.IGNORECASE): ErrorCode.ACTIVE_RUN,
    re.compile(r"can't add messages to .{1,300} while a run .{1,300} is active", re.IGNORECASE): ErrorCode.ACTIVE_RUN,
    re.compile(r"runs in status .{1,40} do not accept tool outputs", re.IGNORECASE): ErrorCode.WRONG_STATE,
    re.compile(r"cannot (?:cancel|update) run with status", re.IGNORECASE): ErrorCode.WRONG_STATE,
}
_MISSING_OUTPUTS = re.compile(r"expected tool outputs for call_ids ", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]*>([^<]*)</title>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an error body says: any of it may be missing."""

    message: str | None = None
    parameter: str | None = None
    code: str | None = None
    is_html: bool = False
    of_router: bool = False
    """The words are those with which a web framework answers for a path that it does not know."""


def read_refusal(
    status: int, headers: Mapping[str, str], body: bytes, *, credential: str | None, now_seconds: float
) -> CallFailure:
    """The error that an answer with a status other than 2xx means; `headers` are read whatever their case.

    Its message is the upstream's own, without credentials. `now_seconds` (Unix time) turns a date in Retry-After
    into a delay.
    """
    if 300 <= status < 400:
        return CallFailure(_redirect(status, headers, credential), declined=True)
    said = explain(headers.get("content-type", ""), body)
    code = _code_of(status, said)
    message = safe_text(said.message or "", credential)
    if not message or said.is_html:
        message = f"The upstream answered with status {status} and {_instead_of_message(message)}."
    parameter = safe_text(said.parameter, credential, max_length=100) if said.parameter else None
    error = GatewayError(
        code,
        message,
        retry_after_ms=retry_after_ms(headers, said.message or "", now_seconds) if _may_wait(status) else None,
        upstream_request_id=request_id(headers, credential),
        argument=parameter if code is ErrorCode.BAD_USER_INPUT else None,
    )
    return CallFailure(error, transient=status in TRANSIENT_STATUSES, declined=_declines(status))


def explain(content_type: str, body: bytes) -> Explanation:
    """Read the explanation out of an error body of any shape; never fails."""
    if len(body) > MAX_EXPLANATION_BYTES:
        return Explanation()
    text = body.decode("utf-8", "replace").strip()
    if "html" in content_type or text[:15].lower().startswith(("<!doctype html", "<html")):
        title = _TITLE.search(text)
        return Explanation(message=html.unescape(title[1]) if title else None, is_html=True)
    try:
        parsed = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return Explanation(message=text or None)
    return _explain_json(parsed)


def request_id(headers: Mapping[str, str], credential: str | None) -> str | None:
    """The upstream's own name for the request, for a support ticket."""
    for name in _REQUEST_ID_HEADERS:
        if value := headers.get(name):
            return safe_text(value, credential, max_length=128) or None
    return None


def retry_after_ms(headers: Mapping[str, str], message: str, now_seconds: float) -> int | None:
    """How long the upstream asks to wait, in milliseconds, from 0 to a day; None when it does not say.

    Read are `retry-after-ms`, `retry-after` (seconds or an HTTP date) and, last, the sentence "try again in 6.9
    seconds", which is all that some servers send.
    """
    seconds = _number(headers.get("retry-after-ms"), unit_seconds=0.001)
    if seconds is None and (text := headers.get("retry-after")) is not None:
        seconds = _number(text, unit_seconds=1)
        if seconds is None:
            seconds = _seconds_until(text, now_seconds)
    if seconds is None and (said := _TRY_AGAIN.search(message)) is not None:
        units = {"ms": 0.001, "mi": 60.0 if said[2].startswith("minute") else 0.001, "m": 60.0}
        seconds = float(said[1]) * units.get(said[2][:2], 1.0)
    return None if seconds is None else math.ceil(min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS) * 1000)


def _declines(status: int) -> bool:
    """Tell whether the upstream has certainly not done what was asked; a proxy's 408 or 5xx does not say."""
    return status == 501 or (status < 500 and status != 408)


def _may_wait(status: int) -> bool:
    return status in {408, 429} or status >= 500


def _instead_of_message(title: str) -> str:
    return f"an HTML page titled '{title}'" if title else "no message"


def _redirect(status: int, headers: Mapping[str, str], credential: str | None) -> GatewayError:
    return GatewayError(
        ErrorCode.UPSTREAM_INVALID_RESPONSE,
        f"Expected an answer of the Threads API, got a redirect (status {status}), "
        "which is not followed because the credential must not travel elsewhere.",
        upstream_request_id=request_id(headers, credential),
    )


def _code_of(status: int, said: Explanation) -> ErrorCode:
    sentence = said.message or ""
    if status in {400, 409, 422}:
        for words, refusal in _SENTENCES.items():
            if words.search(sentence):
                return refusal
    if status in {400, 422}:
        kind = (said.code or "").lower()
        blames = said.parameter is not None or "validation" in kind or kind == "invalid_thread"
        return ErrorCode.BAD_USER_INPUT if blames else ErrorCode.UPSTREAM_REFUSED
    # An id stands in quotes and may look like anything.
    unquoted = _QUOTED.sub("", sentence)
    if status == 404 and (said.is_html or said.of_router or _UNKNOWN_ROUTE.search(unquoted)):
        return ErrorCode.UNSUPPORTED_BY_UPSTREAM
    default = ErrorCode.UPSTREAM_FAILED if status >= 500 else ErrorCode.UPSTREAM_REFUSED
    return _CODES.get(status, default)


def _explain_json(parsed: Any) -> Explanation:
    match parsed:
        case str():
            return Explanation(message=parsed)
        case [dict() as first, *_]:  # Google's servers wrap the object in a list
            return _explain_json(first)
        case {"detail": str() | dict() | [dict(), *_] as detail}:
            return _explain_fastapi(detail)
        case {"error": dict() as error}:  # OpenAI, Azure and most others
            code = _text(error, "code") or _text(error, "type")
            said = _of_sentence(_text(error, "message") or code)
            return Explanation(said.message, _text(error, "param") or said.parameter, code)
        case {"message": str() as message}:  # Fastify, also as {"message", "error", "statusCode"}
            said = _of_sentence(message)
            return Explanation(said.message, said.parameter, _text(parsed, "code"))
        case {"error": str() as message} | {"title": str() as message}:  # the latter is application/problem+json
            return _of_sentence(message)
        case _:
            return Explanation()


def _explain_fastapi(detail: Any) -> Explanation:
    match detail:
        case str():
            return _of_sentence(detail, of_router=detail == "Not Found")
        case [dict() as first, *_]:
            return _explain_fastapi_validation(first)
        case _:
            return _explain_json(detail)


def _explain_fastapi_validation(problem: dict[Any, Any]) -> Explanation:
    location = problem.get("loc")
    path = [str(part) for part in location] if isinstance(location, list) else []
    parameter = ".".join(path[1:] or path) or None
    message = _text(problem, "msg") or "Invalid value"
    return Explanation(f"{parameter}: {message}" if parameter else message, parameter, "validation")


def _of_sentence(message: str | None, *, of_router: bool = False) -> Explanation:
    if _MISSING_OUTPUTS.match(message or ""):
        return Explanation(message, "tool_outputs")
    blamed = _BLAMED.match(message or "")
    return Explanation(message, (blamed[1] or blamed[2]) if blamed else None, of_router=of_router)


def _text(parsed: dict[Any, Any], name: str) -> str | None:
    value = parsed.get(name)
    return value if isinstance(value, str) and value else None


def _number(text: str | None, *, unit_seconds: float) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number * unit_seconds if math.isfinite(number) else None


def _seconds_until(text: str, now_seconds: float) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() - now_seconds
    except (ValueError, OverflowError):
        return None
