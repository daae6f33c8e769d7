"""The base paths of the emulator: one for each kind of server that speaks this API, with that server's own rules.

| kind      | base path                 | version                            | credential                       |
|-----------|---------------------------|------------------------------------|----------------------------------|
| `openai`  | `/v1`                     | named by `OpenAI-Beta`             | `Authorization: Bearer`          |
| `azure`   | `/openai`                 | 2; the query needs `api-version`   | `api-key`, or a token as bearer  |
| `foundry` | `/api/projects/{project}` | 2; the query needs `api-version`   | a token as bearer                |

`azure_v1` and `foundry_v1` are the same servers at `/openai/v1` below these base paths: they have the successor, with
conversations and responses, and need no `api-version`.

All credentials are taken on all paths, since none of them is more than a name here.

Source: https://github.com/openai/openai-python (`AzureOpenAI`), https://github.com/Azure/azure-sdk-for-python
(azure-ai-agents). Neither client needs `OpenAI-Beta` there.
"""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from gateway.emulator.bodies import api_errors
from gateway.emulator.objects import ApiVersion, ServerKind
from gateway.emulator.operations.registry import ApiOperation

BASE_PATHS: Final[Mapping[ServerKind, str]] = {
    "openai": "/v1",
    "azure": "/openai",
    "foundry": "/api/projects/{project}",
    "azure_v1": "/openai/v1",
    "foundry_v1": "/api/projects/{project}/openai/v1",
}
_BETAS: Final[Mapping[str, ApiVersion]] = {"assistants=v1": "v1", "assistants=v2": "v2"}


def server_kind_from_path(path: str) -> ServerKind:
    """Return the kind of server that a path belongs to. An unknown path belongs to the API's own server."""
    if path.startswith("/openai/"):
        return "azure_v1" if path.startswith("/openai/v1/") else "azure"
    if not path.startswith("/api/projects/"):
        return "openai"
    return "foundry_v1" if path.split("/")[4:6] == ["openai", "v1"] else "foundry"


def missing_key_error(kind: ServerKind) -> api_errors.ApiError:
    """Return the refusal of a call without a key."""
    return api_errors.missing_key() if kind == "openai" else api_errors.azure_access_denied()


def incorrect_key_error(kind: ServerKind) -> api_errors.ApiError:
    """Return the refusal of an unknown key."""
    return api_errors.incorrect_key() if kind == "openai" else api_errors.azure_access_denied()


def requested_version(request: web.Request, kind: ServerKind, operation: ApiOperation) -> ApiVersion:
    """Return the version of the API that a request is for.

    Raises:
        ApiError: The request lacks the header or the parameter that this kind of server needs.
    """
    if kind != "openai":
        if kind in {"azure", "foundry"} and not request.query.get("api-version"):
            raise api_errors.azure_resource_not_found()
        return "v2"
    version = version_from_header(request)
    if version is None and operation.needs_version:
        raise api_errors.invalid_beta()
    return version or "v2"


def version_from_header(request: web.Request) -> ApiVersion | None:
    """Return the version that `OpenAI-Beta` names. It may name several features, separated by commas."""
    betas = (beta.strip() for beta in request.headers.get("OpenAI-Beta", "").split(","))
    return next((_BETAS[beta] for beta in betas if beta in _BETAS), None)
