"""The refusals of the API: functions that return an error with the API's status and its own words.

Source: error bodies in recorded traffic and in reports of developers. Words that were found in no source are marked
"assumed". They follow the API's general style.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any


class ApiError(Exception):
    """A refusal: the HTTP status, the four fields of the error body, and headers."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = "invalid_request_error" if status < 500 else "server_error"
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the JSON object of the error response."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def quoted_list(values: Iterable[str]) -> str:
    """Return the values in single quotes and joined, as the API does it: `'a', 'b', and 'c'`."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) <= 2:
        return " and ".join(quoted)
    return ", ".join(quoted[:-1]) + f", and {quoted[-1]}"


def not_found(noun: str, object_id: str) -> ApiError:
    """Refuse an unknown id of this partition (words for runs and messages assumed from the others)."""
    return ApiError(f"No {noun} found with id '{object_id}'.", status=404)


def wrong_prefix(param: str, value: str, prefix: str) -> ApiError:
    """Refuse an id of the wrong kind."""
    return ApiError(
        f"Invalid '{param}': '{value}'. Expected an ID that begins with '{prefix}'.",
        param=param,
        code="invalid_value",
    )


def invalid_url(method: str, path: str) -> ApiError:
    """Refuse a path that is no operation in the requested version of the API."""
    return ApiError(f"Invalid URL ({method} {path})", status=404)


def invalid_method(method: str, path: str, allowed: Collection[str]) -> ApiError:
    """Refuse a method that a known path does not have (words assumed)."""
    headers = {"Allow": ", ".join(sorted(allowed))}
    return ApiError(f"Invalid method for URL ({method} {path})", status=405, headers=headers)


def missing_key() -> ApiError:
    """Refuse a call without a key (words assumed)."""
    return ApiError(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY).",
        status=401,
    )


def incorrect_key() -> ApiError:
    """Refuse an unknown key, without repeating it."""
    return ApiError(
        "Incorrect API key provided: sk-..., You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        status=401,
        code="invalid_api_key",
    )


def session_key_needed() -> ApiError:
    """Refuse to list threads: the API does it for its own web pages only (status assumed)."""
    return ApiError(
        "Your request to GET /v1/threads must be made with a session key (that is, it can only be made from the "
        "browser). You made it with the following key type: secret.",
        status=401,
        code="missing_scope",
    )


def invalid_beta() -> ApiError:
    """Refuse a call that does not name its version of the API."""
    return ApiError(
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the "
        "header 'OpenAI-Beta: assistants=v2'.",
        code="invalid_beta",
    )


class AzureError(ApiError):
    """A refusal by the servers in front of Azure's API, whose body has two fields only."""

    def body(self) -> dict[str, Any]:
        """Return the JSON object of the error response."""
        return {"error": {"code": self.code, "message": self.message}}


def azure_access_denied() -> ApiError:
    """Refuse a call to Azure without a key, or with an unknown one."""
    return AzureError(
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource.",
        status=401,
        code="401",
    )


def azure_resource_not_found() -> ApiError:
    """Refuse a URL that Azure does not know. A URL without its `api-version` is one of them."""
    return AzureError("Resource not found", status=404, code="404")


def no_such_file(file_id: str) -> ApiError:
    """Refuse an unknown file of the Files API."""
    return ApiError(f"No such File object: {file_id}", status=404, param="id")


def content_not_allowed(purpose: str) -> ApiError:
    """Refuse to give the content of a file out."""
    return ApiError(f"Not allowed to download files of purpose: {purpose}")


def attached_file_missing(param: str, file_id: str) -> ApiError:
    """Refuse to attach a file that does not exist (status assumed)."""
    return ApiError(f"No file found with id '{file_id}'.", param=param)


def malformed_form() -> ApiError:
    """Refuse an upload that is no form (words assumed)."""
    return ApiError("We could not parse the multipart form of your request.")


def missing_parameter(param: str) -> ApiError:
    """Refuse a request without a required parameter."""
    return ApiError(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def malformed_json() -> ApiError:
    """Refuse a body that is not JSON (words assumed)."""
    return ApiError(
        "We could not parse the JSON body of your request. The API expects a JSON payload, but what was sent was not "
        "valid JSON.",
    )


def body_too_large(limit_bytes: int) -> ApiError:
    """Refuse a body above the server's limit (words assumed)."""
    return ApiError(f"Request body is too large. Expected at most {limit_bytes} bytes.", status=413)


def internal_error() -> ApiError:
    """Report an error of the emulator itself, without its details."""
    return ApiError("The server had an error while processing your request. Sorry about that!", status=500)


def rate_limited() -> ApiError:
    """Refuse a request because of too many requests."""
    return ApiError(
        "You've exceeded the rate limit, please slow down and try again later.",
        status=429,
        code="rate_limit_exceeded",
    )


def bad_gateway() -> ApiError:
    """Report a bad response between two servers (words assumed)."""
    return ApiError("Bad gateway.", status=502)


def overloaded() -> ApiError:
    """Report an overloaded server (words assumed)."""
    return ApiError("The server is currently overloaded. Please try again later.", status=503)


def unsupported_value(param: str, value: str, supported: Iterable[str]) -> ApiError:
    """Refuse a value outside a closed set (words assumed from the API's general style)."""
    return ApiError(
        f"Invalid value: '{value}'. Supported values are: {quoted_list(supported)}.",
        param=param,
        code="invalid_value",
    )


def active_run(thread_id: str, run_id: str) -> ApiError:
    """Refuse a second run on a thread that has an active one."""
    return ApiError(f"Thread {thread_id} already has an active run {run_id}.")


def message_during_run(thread_id: str, run_id: str) -> ApiError:
    """Refuse a message while a run of its thread is active."""
    return ApiError(f"Can't add messages to {thread_id} while a run {run_id} is active.")


def outputs_not_awaited(status: str) -> ApiError:
    """Refuse tool outputs for a run that waits for none."""
    return ApiError(f'Runs in status "{status}" do not accept tool outputs.')


def outputs_incomplete(expected: Sequence[str], got: Sequence[str]) -> ApiError:
    """Refuse tool outputs that do not name every awaited call exactly once."""
    return ApiError(f"Expected tool outputs for call_ids {list(expected)!r}, got {list(got)!r}")


def not_cancellable(status: str) -> ApiError:
    """Refuse to cancel a run that has ended or is already being cancelled."""
    return ApiError(f"Cannot cancel run with status '{status}'.")


def empty_thread() -> ApiError:
    """Refuse a run without a user message and without instructions."""
    return ApiError(
        "Run creation requires a Thread with a user message or an assistant with instructions.",
        code="invalid_thread",
    )
