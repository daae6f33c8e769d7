"""Turns an error response into a `GatewayError`, in any of the formats that servers use. Pure.

Servers of this API write errors in many formats. Each is searched for a message, the parameter at fault and a code. The
HTTP status decides; the body only adds detail.
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

MAX_ERROR_BODY_BYTES = 64 * 1024
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

# Examples: "Route GET:/v1/x not found", "Cannot GET /v1/x", "404 page not found", "Unknown request URL: GET /x",
# "Invalid URL".
_UNKNOWN_ROUTE = re.compile(
    r"\b(?:unknown|invalid|unrecognized) (?:request )?(?:url|route|path|endpoint)\b"
    r"|\b(?:url|route|page|endpoint)\b.{0,200}\b(?:not found|does not exist)\b"
    r"|\bcannot (?:get|post|put|patch|delete) /",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
# The upstream's messages name the parameter even if `param` is null.
_BLAMED_PARAMETER = re.compile(
    r"(?:Invalid|Invalid type for|Invalid property name in|Missing required parameter:|Unknown parameter:) '([^']+)'"
    r"|(?:querystring|params|headers|body)/(\S+) must "
)
# Examples: "try again in 6.937 seconds", "Please retry after 26 seconds.", "try again in 1m30.5s".
_AMOUNT = (
    r"(\d{1,9}(?:\.\d{1,9})?) ?(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])"
)
_TRY_AGAIN = re.compile(rf"\b(?:try again|retry) (?:in|after) ((?:{_AMOUNT}(?:,? and |, ?| )?){{1,4}})", re.IGNORECASE)
_AMOUNTS = re.compile(_AMOUNT, re.IGNORECASE)
_SECONDS_BY_UNIT = {"ms": 0.001, "mil": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
# Only the message identifies these refusals. Source: error messages of https://api.openai.com/v1, recorded.
_CODES_BY_SENTENCE: Mapping[re.Pattern[str], ErrorCode] = {
    re.compile(r"already has an active run", re.IGNORECASE): ErrorCode.ACTIVE_RUN,
    re.compile(r"can't add messages to .{1,300} while a run .{1,300} is active", re.IGNORECASE): ErrorCode.ACTIVE_RUN,
    re.compile(r"runs in status .{1,40} do not accept tool outputs", re.IGNORECASE): ErrorCode.WRONG_STATE,
    re.compile(r"cannot (?:cancel|update) run with status", re.IGNORECASE): ErrorCode.WRONG_STATE,
    re.compile(r"no tool output found for function call", re.IGNORECASE): ErrorCode.WRONG_STATE,
    # An id of another form, such as that of a thread before a team moved to conversations, names nothing there.
    re.compile(
        r"invalid (?:value for )?'(?:conversation(?:_id|\.id)?|response_id|item_id)': .{1,600}"
        r" (?:expected an id that begins with|must match format) ",
        re.IGNORECASE | re.DOTALL,
    ): ErrorCode.NOT_FOUND,
}
# By the code of the error, which is clear. Source: the successor's reports by developers.
_CODES_BY_WORD = {"conversation_locked": ErrorCode.ACTIVE_RUN}
# The words by which servers say so where there is no status. Sources: errors of OpenAI, Azure and Anthropic.
_CREDENTIAL_REFUSALS = frozenset(
    {
        *("401", "403", "invalid_api_key", "invalid_authentication", "authentication_error", "unauthorized"),
        *("unauthenticated", "permission_denied", "permission_error", "permissiondenied", "forbidden"),
        *("insufficient_permissions", "account_deactivated", "invalid_organization"),
    }
)
_MISSING_OUTPUTS = re.compile(r"expected tool outputs for call_ids ", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]*>([^<]*)</title>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """The details in an error body. Any of them may be missing."""

    message: str | None = None
    parameter: str | None = None
    code: str | None = None
    is_html: bool = False
    is_from_router: bool = False
    """True if the message is the one that a web framework sends for an unknown path."""


def failure_from_error_reply(
    status: int, headers: Mapping[str, str], body: bytes, *, credential: str | None, now_seconds: float
) -> CallFailure:
    """Convert a response with a status other than 2xx to the error that it means.

    The error has the upstream's own message, without credentials. The keys of `headers` are case-insensitive.
    `now_seconds` (Unix time) turns a date in Retry-After into a delay.
    """
    if 300 <= status < 400:
        return CallFailure(_redirect_error(status, headers, credential), refused=True)
    details = parse_error_body(headers.get("content-type", ""), body)
    code = _error_code(status, details)
    message = safe_text(details.message or "", credential)
    if not message or details.is_html:
        message = f"The upstream answered with status {status} and {_describe_missing_message(message)}."
    parameter = safe_text(details.parameter, credential, max_length=100) if details.parameter else None
    error = GatewayError(
        code,
        message,
        retry_after_ms=retry_after_ms(headers, details.message or "", now_seconds)
        if _may_carry_retry_after(status)
        else None,
        upstream_request_id=request_id_from_headers(headers, credential),
        argument=parameter if code is ErrorCode.BAD_USER_INPUT else None,
    )
    return CallFailure(
        error, transient=status in TRANSIENT_STATUSES, refused=_is_refused_for_certain(status), status=status
    )


def parse_error_body(content_type: str, body: bytes) -> ErrorDetails:
    """Read the details of an error body in any format. Never raises."""
    if len(body) > MAX_ERROR_BODY_BYTES:
        return ErrorDetails()
    text = body.decode("utf-8-sig", "replace").strip()
    if "html" in content_type or text[:15].lower().startswith(("<!doctype html", "<html")):
        title = _TITLE.search(text)
        return ErrorDetails(message=html.unescape(title[1]) if title else None, is_html=True)
    try:
        parsed = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return ErrorDetails(message=text or None)
    return _details_from_json(parsed)


def is_credential_refusal(body: bytes) -> bool:
    """Return whether an error without a status refuses the credential: its status, code or type says so."""
    try:
        parsed = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return False
    for part in ("data", "error"):
        if isinstance(parsed, dict) and isinstance(parsed.get(part), dict):
            parsed = parsed[part]
    if not isinstance(parsed, dict):
        return False
    return any(str(parsed.get(name)).lower() in _CREDENTIAL_REFUSALS for name in ("status", "code", "type"))


def request_id_from_headers(headers: Mapping[str, str], credential: str | None) -> str | None:
    """Return the upstream's id of the request, for a support ticket."""
    for name in _REQUEST_ID_HEADERS:
        if value := headers.get(name):
            return safe_text(value, credential, max_length=128) or None
    return None


def retry_after_ms(headers: Mapping[str, str], message: str, now_seconds: float) -> int | None:
    """Return the delay that the upstream asks for, in milliseconds, from 0 to one day, or None if it asks for none.

    Looks at `retry-after-ms`, then `retry-after` (seconds or an HTTP date), and last at a sentence such as "try again
    in 6.9 seconds", which is all that some servers send.
    """
    seconds = _number(headers.get("retry-after-ms"), unit_seconds=0.001)
    if seconds is None and (text := headers.get("retry-after")) is not None:
        seconds = _number(text, unit_seconds=1)
        if seconds is None:
            seconds = _seconds_until(text, now_seconds)
    return retry_after_from_message(message) if seconds is None else _delay_ms(seconds)


def retry_after_from_message(message: str) -> int | None:
    """Return the delay in a sentence such as "try again in 6.9 seconds", as `retry_after_ms` does."""
    sentence = _TRY_AGAIN.search(message)
    if sentence is None:
        return None
    return _delay_ms(sum(float(amount) * _unit_seconds(unit.lower()) for amount, unit in _AMOUNTS.findall(sentence[1])))


def _delay_ms(seconds: float) -> int:
    return math.ceil(min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS) * 1000)


def _is_refused_for_certain(status: int) -> bool:
    """Tell whether the upstream has certainly not done the work. A 408 or 5xx of a proxy leaves this open."""
    return status == 501 or (status < 500 and status != 408)


def _may_carry_retry_after(status: int) -> bool:
    return status in {408, 429} or status >= 500


def _describe_missing_message(title: str) -> str:
    return f"an HTML page titled '{title}'" if title else "no message"


def _redirect_error(status: int, headers: Mapping[str, str], credential: str | None) -> GatewayError:
    return GatewayError(
        ErrorCode.UPSTREAM_INVALID_RESPONSE,
        f"Expected an answer of the Threads API, got a redirect (status {status}), "
        "which is not followed because the credential must not travel elsewhere.",
        upstream_request_id=request_id_from_headers(headers, credential),
    )


def _error_code(status: int, details: ErrorDetails) -> ErrorCode:
    sentence = details.message or ""
    if status in {400, 409, 422}:
        if (named := _CODES_BY_WORD.get(details.code or "")) is not None:
            return named
        for words, code_of_sentence in _CODES_BY_SENTENCE.items():
            if words.search(sentence):
                return code_of_sentence
    if status in {400, 422}:
        code = (details.code or "").lower()
        names_parameter = details.parameter is not None or "validation" in code or code == "invalid_thread"
        return ErrorCode.BAD_USER_INPUT if names_parameter else ErrorCode.UPSTREAM_REFUSED
    # An id is in quotes and may contain any words.
    unquoted = _QUOTED.sub("", sentence)
    if status == 404 and (details.is_html or details.is_from_router or _UNKNOWN_ROUTE.search(unquoted)):
        return ErrorCode.UNSUPPORTED_BY_UPSTREAM
    default = ErrorCode.UPSTREAM_FAILED if status >= 500 else ErrorCode.UPSTREAM_REFUSED
    return _CODES.get(status, default)


def _details_from_json(parsed: Any) -> ErrorDetails:
    match parsed:
        case str():
            return ErrorDetails(message=parsed)
        case [dict() as first, *_]:  # Google's servers put the object into a list
            return _details_from_json(first)
        case {"detail": str() | dict() | [dict(), *_] as detail}:
            return _details_from_fastapi(detail)
        case {"error": dict() as error}:  # OpenAI, Azure and most others
            code = _text(error, "code") or _text(error, "type")
            details = _details_from_sentence(_text(error, "message") or code)
            return ErrorDetails(details.message, _text(error, "param") or details.parameter, code)
        case {"message": str() as message}:  # Fastify, also as {"message", "error", "statusCode"}
            details = _details_from_sentence(message)
            return ErrorDetails(details.message, details.parameter, _text(parsed, "code"))
        case {"error": str() as message} | {"title": str() as message}:  # the latter is application/problem+json
            return _details_from_sentence(message)
        case _:
            return ErrorDetails()


def _details_from_fastapi(detail: Any) -> ErrorDetails:
    match detail:
        case str():
            return _details_from_sentence(detail, is_from_router=detail == "Not Found")
        case [dict() as first, *_]:
            return _details_from_fastapi_validation(first)
        case _:
            return _details_from_json(detail)


def _details_from_fastapi_validation(problem: dict[Any, Any]) -> ErrorDetails:
    location = problem.get("loc")
    path = [str(part) for part in location] if isinstance(location, list) else []
    parameter = ".".join(path[1:] or path) or None
    message = _text(problem, "msg") or "Invalid value"
    return ErrorDetails(f"{parameter}: {message}" if parameter else message, parameter, "validation")


def _details_from_sentence(message: str | None, *, is_from_router: bool = False) -> ErrorDetails:
    if _MISSING_OUTPUTS.match(message or ""):
        return ErrorDetails(message, "tool_outputs")
    blamed = _BLAMED_PARAMETER.match(message or "")
    return ErrorDetails(message, (blamed[1] or blamed[2]) if blamed else None, is_from_router=is_from_router)


def _text(parsed: dict[Any, Any], name: str) -> str | None:
    """Return a text that says something. Some servers write the word of their language for a missing value."""
    value = parsed.get(name)
    return value if isinstance(value, str) and value.lower() not in {"", "none", "null"} else None


def _number(text: str | None, *, unit_seconds: float) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value * unit_seconds if math.isfinite(value) else None


def _unit_seconds(unit: str) -> float:
    return next(seconds for start, seconds in _SECONDS_BY_UNIT.items() if unit.startswith(start))


def _seconds_until(text: str, now_seconds: float) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() - now_seconds
    except (ValueError, OverflowError):
        return None
