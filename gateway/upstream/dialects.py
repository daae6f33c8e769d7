"""The known differences between servers: headers, query parameters, missing operations. Pure.

Servers of one family have the same paths after their base URL: `https://host/v1`, Azure OpenAI's
`https://NAME.openai.azure.com/openai`, an Azure AI Foundry project's endpoint, or `/openai/v1` below the latter two for
the successor.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import Capabilities

Version: TypeAlias = Literal["v1", "v2", "responses"]
Family: TypeAlias = Literal["assistants", "responses"]
DialectName: TypeAlias = Literal[
    "openai-v1",
    "openai-v2",
    "azure-openai",
    "azure-foundry",
    "lenient",
    "openai-responses",
    "foundry-responses",
    "lenient-responses",
]

# Without this parameter, the results of a file search have no text. Source: specification, parameter `include[]` of
# getRunStep, listRunSteps and createRun.
INCLUDE_SEARCH_CONTENT = "include%5B%5D=step_details.tool_calls%5B*%5D.file_search.results%5B*%5D.content"

# The same of the successor. Source: specification, parameter `include[]` of getResponse.
INCLUDE_OUTPUTS = "include%5B%5D=file_search_call.results&include%5B%5D=code_interpreter_call.outputs"

_MESSAGE_FILES = frozenset({"getMessageFile", "listMessageFiles"})
_DELETE_MESSAGE = frozenset({"deleteMessage"})
# Items and responses cannot be changed once they exist. Source: specification of responses and conversations.
_UPDATES = frozenset({"modifyMessage", "modifyRun"})
_INCLUDES = {
    **dict.fromkeys(("getRunStep", "listRunSteps", "createRun"), INCLUDE_SEARCH_CONTENT),
    "getResponse": INCLUDE_OUTPUTS,
}
_BEARER = re.compile(r"bearer +(\S+)\Z", re.IGNORECASE)
_JSON_WEB_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*\Z")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of server.

    `default_api_version` is the `api-version` of every call if the configuration sets none. It is None for a server
    without that parameter. `missing_operations` are operations that this server is known not to have: they are refused
    without a call. For other missing operations, the response of the upstream shows it.

    `lists_runs`: the server lists the runs of a thread, whoever started them. `filters_items`: it can list the items of
    one type. `has_background`: its responses can go on without a reader. `replays_streams`: the stream of such a
    response can be read again from any event.
    """

    name: DialectName
    version: Version
    beta_header: bool = True
    default_api_version: str | None = None
    key_header: bool = False
    includes_search_content: bool = False
    lists_threads: bool = False
    lists_runs: bool = True
    filters_items: bool = False
    has_background: bool = True
    replays_streams: bool = False
    missing_operations: frozenset[str] = frozenset()

    @property
    def family(self) -> Family:
        """The API that the server speaks: threads and assistants, or its successor."""
        return "responses" if self.version == "responses" else "assistants"

    @property
    def capabilities(self) -> Capabilities:
        """The features that a frontend may rely on.

        Source: the specification, versions 1 and 2: both stream runs (`stream` of createRun), and only version 1 has
        files of messages (listMessageFiles). Only Foundry has an operation that lists threads. The items of a
        conversation have no times.
        """
        return Capabilities(
            dialect=self.name,
            version=self.version,
            streaming=True,
            deletes_messages="deleteMessage" not in self.missing_operations,
            lists_threads=self.lists_threads,
            message_files=self.version == "v1",
            lists_runs=self.lists_runs,
            updates_messages="modifyMessage" not in self.missing_operations,
            replays_streams=self.replays_streams,
            message_times="exact" if self.family == "assistants" else "observed",
        )

    def headers_for(self, credential: str | None) -> dict[str, str]:
        """Build the headers that carry the API version and the credential.

        Azure OpenAI takes a key as `api-key`, and takes only an Entra token as a bearer. Callers of this gateway send
        either one as `Authorization: Bearer ...`, as with the API itself. An Entra token is a JSON Web Token and a key
        is not, so the two can be told apart. Any other scheme is passed on unchanged.
        """
        headers = {"OpenAI-Beta": f"assistants={self.version}"} if self.beta_header else {}
        if credential is None:
            return headers
        bearer = _BEARER.match(credential) if self.key_header else None
        if bearer is None or _JSON_WEB_TOKEN.match(bearer[1]):
            return headers | {"Authorization": credential}
        return headers | {"api-key": bearer[1]}

    def query_for(self, operation: str) -> str:
        """Build the query that every call of an operation carries. It is percent-encoded and often empty."""
        return _INCLUDES.get(operation, "") if self.includes_search_content else ""

    def unsupported_error(self, operation: str) -> GatewayError | None:
        """Return the error for an operation that this server is known not to have, or None for any other operation."""
        return unsupported_operation_error(self.name, operation) if operation in self.missing_operations else None


DIALECTS: Mapping[DialectName, Dialect] = {
    dialect.name: dialect
    for dialect in (
        # Source: the specification, version 1. It has no deleteMessage and no `include[]`.
        Dialect("openai-v1", "v1", missing_operations=_DELETE_MESSAGE),
        # Source: the specification, version 2. It has no files of messages.
        Dialect("openai-v2", "v2", includes_search_content=True, missing_operations=_MESSAGE_FILES),
        # Source: Azure OpenAI's reference of the data plane's preview versions, which has no deletion of messages
        # (https://learn.microsoft.com/azure/ai-services/openai/reference-preview). Its official client sends no
        # OpenAI-Beta.
        Dialect(
            "azure-openai",
            "v2",
            beta_header=False,
            default_api_version="2025-04-01-preview",
            key_header=True,
            includes_search_content=True,
            missing_operations=_MESSAGE_FILES | _DELETE_MESSAGE,
        ),
        # Source: the official client of Foundry's classic agents (https://github.com/Azure/azure-sdk-for-python,
        # azure-ai-agents). It sends only bearer tokens and no OpenAI-Beta.
        Dialect(
            "azure-foundry",
            "v2",
            beta_header=False,
            default_api_version="v1",
            includes_search_content=True,
            lists_threads=True,
            missing_operations=_MESSAGE_FILES,
        ),
        # Each self-hosted server refuses unknown fields in its own way. So the gateway sends nothing that is not
        # needed, and learns from the responses which operations exist.
        Dialect("lenient", "v2"),
        # Source: the specification of responses and conversations, which needs no OpenAI-Beta and lists neither.
        Dialect(
            "openai-responses",
            "responses",
            beta_header=False,
            includes_search_content=True,
            lists_runs=False,
            replays_streams=True,
            missing_operations=_MESSAGE_FILES | _UPDATES,
        ),
        # Source: the reference of Azure's v1 API, which lists both
        # (https://learn.microsoft.com/azure/ai-foundry/openai/latest).
        Dialect(
            "foundry-responses",
            "responses",
            beta_header=False,
            includes_search_content=True,
            lists_threads=True,
            filters_items=True,
            replays_streams=True,
            missing_operations=_MESSAGE_FILES | _UPDATES,
        ),
        # Self-hosted servers mostly end a response when its reader leaves.
        Dialect(
            "lenient-responses",
            "responses",
            beta_header=False,
            lists_runs=False,
            has_background=False,
            missing_operations=_MESSAGE_FILES | _UPDATES,
        ),
    )
}


def unsupported_operation_error(
    dialect: str, operation: str, upstream_message: str | None = None, *, upstream_request_id: str | None = None
) -> GatewayError:
    """Build the error for an operation that the upstream does not have, with the upstream's own message if any."""
    explanation = f": {upstream_message}" if upstream_message else "."
    return GatewayError(
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        f"The upstream (dialect {dialect}) has no operation {operation}{explanation}",
        upstream_request_id=upstream_request_id,
    )
