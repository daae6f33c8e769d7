"""How the servers of this API differ before anything is asked: headers, query parameters, operations. Pure.

All of them have the same paths behind their base URL: `https://host/v1`, Azure OpenAI's
`https://NAME.openai.azure.com/openai`, an Azure AI Foundry project's endpoint.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import Capabilities

Version: TypeAlias = Literal["v1", "v2"]
DialectName: TypeAlias = Literal["openai-v1", "openai-v2", "azure-openai", "azure-foundry", "lenient"]

# Without it the results of a file search come without their text. Source: `include[]` of getRunStep, listRunSteps.
SEARCH_CONTENT = "include%5B%5D=step_details.tool_calls%5B*%5D.file_search.results%5B*%5D.content"

_MESSAGE_FILES = frozenset({"getMessageFile", "listMessageFiles"})
_DELETE_MESSAGE = frozenset({"deleteMessage"})
_OPERATIONS_WITH_SEARCH_CONTENT = frozenset({"getRunStep", "listRunSteps"})
_BEARER = re.compile(r"bearer +(\S+)\Z", re.IGNORECASE)
_JSON_WEB_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*\Z")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of server.

    `default_api_version` is the `api-version` of every call where the configuration says none; None for a server
    that takes no such parameter. `lacks` are the operations that are known not to be there: they are refused without
    a call. What else is not there, the answer says.
    """

    name: DialectName
    version: Version
    beta_header: bool = True
    default_api_version: str | None = None
    key_header: bool = False
    includes_search_content: bool = False
    lists_threads: bool = False
    lacks: frozenset[str] = frozenset()

    @property
    def capabilities(self) -> Capabilities:
        """What a frontend may rely on.

        Source: every version streams runs; only Foundry lists threads; messages have files in version 1 alone.
        """
        return Capabilities(
            dialect=self.name,
            version=self.version,
            streaming=True,
            deletes_messages="deleteMessage" not in self.lacks,
            lists_threads=self.lists_threads,
            message_files=self.version == "v1",
        )

    def headers_for(self, credential: str | None) -> dict[str, str]:
        """The headers that say which version is spoken, and on whose behalf.

        Azure OpenAI takes a key as `api-key` and only an Entra token as a bearer, while callers of this gateway, as
        of the API itself, send either as `Authorization: Bearer ...`. An Entra token is a JSON Web Token and a key
        is none, so they can be told apart. Any other scheme is passed on as it is.
        """
        headers = {"OpenAI-Beta": f"assistants={self.version}"} if self.beta_header else {}
        if credential is None:
            return headers
        bearer = _BEARER.match(credential) if self.key_header else None
        if bearer is None or _JSON_WEB_TOKEN.match(bearer[1]):
            return headers | {"Authorization": credential}
        return headers | {"api-key": bearer[1]}

    def query_of(self, operation: str) -> str:
        """What every call of an operation carries in its query, percent-encoded; often empty."""
        return SEARCH_CONTENT if self.includes_search_content and operation in _OPERATIONS_WITH_SEARCH_CONTENT else ""

    def obstacle_to(self, operation: str) -> GatewayError | None:
        """Why an operation need not be asked for; None for one that is there or may be."""
        return lacking(self.name, operation) if operation in self.lacks else None


DIALECTS: Mapping[DialectName, Dialect] = {
    dialect.name: dialect
    for dialect in (
        # Source: the specification, version 1, which has no deleteMessage and no `include[]`.
        Dialect("openai-v1", "v1", lacks=_DELETE_MESSAGE),
        # Source: the specification, version 2, which has no files of messages.
        Dialect("openai-v2", "v2", includes_search_content=True, lacks=_MESSAGE_FILES),
        # Source: Azure OpenAI's reference of the data plane's preview versions, which has no deletion of messages;
        # its official client sends no OpenAI-Beta.
        Dialect(
            "azure-openai",
            "v2",
            beta_header=False,
            default_api_version="2025-04-01-preview",
            key_header=True,
            includes_search_content=True,
            lacks=_MESSAGE_FILES | _DELETE_MESSAGE,
        ),
        # Source: the official client of Foundry's classic agents, which sends bearers alone and no OpenAI-Beta.
        Dialect(
            "azure-foundry",
            "v2",
            beta_header=False,
            default_api_version="v1",
            includes_search_content=True,
            lists_threads=True,
            lacks=_MESSAGE_FILES,
        ),
        # Self-hosted servers refuse what they do not know in their own ways, so nothing is sent that can be spared,
        # and what they have is found out by asking.
        Dialect("lenient", "v2"),
    )
}


def lacking(
    dialect: str, operation: str, said: str | None = None, *, upstream_request_id: str | None = None
) -> GatewayError:
    """The error for an operation that the upstream does not have, with what it said where it was asked."""
    because = f": {said}" if said else "."
    return GatewayError(
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        f"The upstream (dialect {dialect}) has no operation {operation}{because}",
        upstream_request_id=upstream_request_id,
    )
