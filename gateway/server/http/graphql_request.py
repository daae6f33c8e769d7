"""Reads a GraphQL request from a body, a query string or a WebSocket's payload. Pure.

Source: https://graphql.github.io/graphql-over-http/draft/, sections "Request Parameters", "GET" and "JSON Encoding",
and appendix "Persisted Documents".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import OperationType

from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.documents.trusted_documents import DocumentReference, read_hash
from schema.contract.errors import ErrorCode, GatewayError
from schema.engine.documents import ParsedDocument
from schema.operations.introspection import asks_nothing_upstream

PARAMETERS = ("query", "documentId", "operationName", "variables", "extensions")


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """The parameters of one request. `query` is the text of its document, also if the request names it by an id."""

    query: str
    operation_name: str | None = None
    variables: Mapping[str, Any] | None = None
    extensions: Mapping[str, Any] | None = None

    @property
    def may_introspect(self) -> bool:
        """Whether the operation may be introspection. A document without a name that begins with `__` has none."""
        return "__" in self.query


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request and its parsed document, valid or not. The document is parsed only once."""

    request: GraphQLRequest
    document: ParsedDocument

    @property
    def is_subscription(self) -> bool:
        """Whether the operation is a subscription. False if the request does not name an operation of the document."""
        return self._is_of_type(OperationType.SUBSCRIPTION)

    @property
    def is_mutation(self) -> bool:
        """Whether the operation is a mutation. False if the request does not name an operation of the document."""
        return self._is_of_type(OperationType.MUTATION)

    @property
    def needs_no_credential(self) -> bool:
        """Whether the operation asks for the schema alone, which is the same for everyone."""
        operation = self.document.find_operation(self.request.operation_name)
        return operation is not None and asks_nothing_upstream(self.document.node, operation)

    @property
    def ambiguity_error(self) -> GatewayError | None:
        """The error of a document with several operations without an `operationName` that chooses one, or None.

        It is None too if one of several operations has no name: validation refuses such a document.
        """
        operations = () if self.request.operation_name is not None else self.document.operations
        if len(operations) < 2 or any(operation.name is None for operation in operations):
            return None
        return _bad_input(
            f"Expected 'operationName' to choose one of the document's {len(operations)} operations, got none.",
            "operationName",
        )

    def _is_of_type(self, operation_type: OperationType) -> bool:
        operation = self.document.find_operation(self.request.operation_name)
        return operation is not None and operation.operation is operation_type


def request_from_body(body: bytes, policy: DocumentPolicy) -> GraphQLRequest:
    """Read the JSON body of a POST.

    Raises:
        GatewayError: The body is no GraphQL request, or the policy refuses its document. The message says what was
            expected and what came.
    """
    if not body:
        raise _bad_input("Expected a JSON object with a 'query', got an empty body.")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _bad_input(
            f"Expected a body of JSON in UTF-8, got text that fails at position {error.pos}: {error.msg}."
        ) from None
    if isinstance(parsed, list):
        raise _bad_input(
            "Expected a JSON object, got an array: send one operation in each request, batches are not taken."
        )
    if not isinstance(parsed, dict):
        raise _bad_input(f"Expected a JSON object, got {_json_type(parsed)}.")
    return request_from_parameters(parsed, policy)


def request_from_query_string(pairs: Sequence[tuple[str, str]], policy: DocumentPolicy) -> GraphQLRequest:
    """Read the parameters of a GET. An empty parameter, except `query`, counts as absent.

    Raises:
        GatewayError: The parameters are no GraphQL request, or the policy refuses its document.
    """
    parameters: dict[str, Any] = {}
    for name, text in pairs:
        if name not in PARAMETERS:
            continue
        if name in parameters:
            raise _bad_input(f"Expected the parameter '{name}' once, got it more than once.", name)
        parameters[name] = text
    for name in PARAMETERS[1:]:
        if parameters.get(name) == "":
            del parameters[name]
    for name in ("variables", "extensions"):
        if name in parameters:
            try:
                parameters[name] = orjson.loads(parameters[name])
            except orjson.JSONDecodeError as error:
                raise _bad_input(f"Expected '{name}' to be JSON, got text that fails: {error.msg}.", name) from None
    return request_from_parameters(parameters, policy)


def request_from_parameters(parameters: Mapping[str, Any], policy: DocumentPolicy) -> GraphQLRequest:
    """Read the parameters of a request from a JSON object.

    Raises:
        GatewayError: The parameters are no GraphQL request, or the policy refuses its document.
    """
    operation_name = _read_name(parameters)
    reference = _read_reference(parameters)
    query = policy.choose_text(reference, operation_name)
    return GraphQLRequest(query, operation_name, parameters.get("variables"), parameters.get("extensions"))


def _read_reference(parameters: Mapping[str, Any]) -> DocumentReference:
    """Read which document a request means: `query`, `documentId`, `extensions.persistedQuery`, or several of them."""
    document_id = parameters.get("documentId")
    if document_id is not None and (not isinstance(document_id, str) or not document_id):
        got = _json_type(document_id) if document_id != "" else "an empty string"
        raise _bad_input(f"Expected 'documentId' to be a string with something in it, got {got}.", "documentId")
    query, sha256_hash = parameters.get("query"), read_hash(parameters.get("extensions"))
    # npm's graphql-ws sends no request without a text, so beside an id an empty one counts as absent.
    if query in (None, "") and (document_id is not None or sha256_hash is not None):
        return DocumentReference(None, document_id, sha256_hash)
    if "query" not in parameters:
        raise _bad_input("Expected a parameter 'query' with a GraphQL document, got none.", "query")
    if not isinstance(query, str):
        raise _bad_input(f"Expected 'query' to be a string, got {_json_type(query)}.", "query")
    if not query.strip():
        raise _bad_input("Expected 'query' to hold a GraphQL document, got an empty string.", "query")
    return DocumentReference(query, document_id, sha256_hash)


def _read_name(parameters: Mapping[str, Any]) -> str | None:
    """Read the name of the operation, and check the types of the other parameters."""
    operation_name = parameters.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise _bad_input(
            f"Expected 'operationName' to be a string or null, got {_json_type(operation_name)}.", "operationName"
        )
    for name in ("variables", "extensions"):
        value = parameters.get(name)
        if value is not None and not isinstance(value, dict):
            raise _bad_input(f"Expected '{name}' to be a JSON object or null, got {_json_type(value)}.", name)
    return operation_name


def _json_type(value: object) -> str:
    """Name the JSON type of a value."""
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")


def _bad_input(message: str, argument: str | None = None) -> GatewayError:
    return GatewayError(ErrorCode.BAD_USER_INPUT, message, argument=argument)
