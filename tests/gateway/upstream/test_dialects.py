import dataclasses
import typing

import pytest

from gateway.config import Settings
from gateway.upstream import rest_operations
from gateway.upstream.dialects import (
    DIALECTS,
    INCLUDE_OUTPUTS,
    INCLUDE_SEARCH_CONTENT,
    DialectName,
    unsupported_operation_error,
)
from schema.contract.errors import ErrorCode, GatewayError
from schema.graph.enums import UpstreamDialect, UpstreamVersion
from tests.support.pages import table

ENTRA = "Bearer eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"


def test_the_settings_list_every_dialect() -> None:
    assert set(DIALECTS) == set(typing.get_args(DialectName))
    assert set(typing.get_args(Settings.model_fields["upstream_dialect"].annotation)) == set(DIALECTS)


@pytest.mark.parametrize(
    ("name", "version", "features"),
    [
        ("openai-v1", "v1", {"message_files", "lists_runs", "updates_messages"}),
        ("openai-v2", "v2", {"deletes_messages", "lists_runs", "updates_messages"}),
        ("azure-openai", "v2", {"lists_runs", "updates_messages"}),
        ("azure-foundry", "v2", {"deletes_messages", "lists_threads", "lists_runs", "updates_messages"}),
        ("lenient", "v2", {"deletes_messages", "lists_runs", "updates_messages"}),
        ("openai-responses", "responses", {"deletes_messages", "replays_streams"}),
        ("foundry-responses", "responses", {"deletes_messages", "lists_threads", "lists_runs", "replays_streams"}),
        ("lenient-responses", "responses", {"deletes_messages"}),
    ],
)
def test_capabilities(name: DialectName, version: str, features: set[str]) -> None:
    shown = dataclasses.asdict(DIALECTS[name].capabilities)
    assert {feature for feature, has in shown.items() if has is True} == {"streaming", *features}
    assert (shown["dialect"], shown["version"]) == (name, version)
    assert shown["message_times"] == ("observed" if DIALECTS[name].family == "responses" else "exact")


@pytest.mark.parametrize(
    ("name", "credential", "expected"),
    [
        ("openai-v1", None, {"OpenAI-Beta": "assistants=v1"}),
        ("openai-v2", "Bearer k", {"OpenAI-Beta": "assistants=v2", "Authorization": "Bearer k"}),
        ("openai-v2", "Custom  x", {"OpenAI-Beta": "assistants=v2", "Authorization": "Custom  x"}),
        ("lenient", ENTRA, {"OpenAI-Beta": "assistants=v2", "Authorization": ENTRA}),
        ("azure-openai", None, {}),
        ("azure-openai", "Bearer 0123abcd", {"api-key": "0123abcd"}),
        ("azure-openai", "bearer  0123abcd", {"api-key": "0123abcd"}),
        ("azure-openai", "Bearer key.with.dots", {"api-key": "key.with.dots"}),
        ("azure-openai", ENTRA, {"Authorization": ENTRA}),
        ("azure-openai", "Basic abc", {"Authorization": "Basic abc"}),
        ("azure-openai", "Bearer", {"Authorization": "Bearer"}),
        ("azure-openai", "Bearer two words", {"Authorization": "Bearer two words"}),
        ("azure-foundry", "Bearer 0123abcd", {"Authorization": "Bearer 0123abcd"}),
        ("azure-foundry", ENTRA, {"Authorization": ENTRA}),
        ("openai-responses", "Bearer k", {"Authorization": "Bearer k"}),
    ],
)
def test_the_credential_is_sent_in_the_header_of_the_dialect(
    name: DialectName, credential: str | None, expected: dict[str, str]
) -> None:
    assert DIALECTS[name].headers_for(credential) == expected


@pytest.mark.parametrize("name", DIALECTS)
def test_the_text_of_search_results_is_requested_from_servers_that_support_it(name: DialectName) -> None:
    supporting = {"openai-v2", "azure-openai", "azure-foundry", "openai-responses", "foundry-responses"}
    dialect = DIALECTS[name]
    expected = {"assistants": INCLUDE_SEARCH_CONTENT, "responses": INCLUDE_OUTPUTS}[dialect.family]
    operations = {"assistants": ("getRunStep", "listRunSteps"), "responses": ("getResponse",)}[dialect.family]
    assert {dialect.query_for(operation) for operation in operations} == {expected if name in supporting else ""}
    assert dialect.query_for("getRun") == ""


def test_only_azure_takes_an_api_version() -> None:
    taking = {name: dialect.default_api_version for name, dialect in DIALECTS.items() if dialect.default_api_version}
    assert taking == {"azure-openai": "2025-04-01-preview", "azure-foundry": "v1"}


def test_the_documentation_lists_the_dialects() -> None:
    rows = [[cell.strip("`") for cell in row] for row in table("dialects")]
    spoken = {"v1": "version 1", "v2": "version 2", "responses": "responses"}
    assert [(row[0], row[2][:9], row[3]) for row in rows] == [
        (dialect.name, spoken[dialect.version], dialect.default_api_version or "") for dialect in DIALECTS.values()
    ]


@pytest.mark.parametrize("name", DIALECTS)
def test_a_missing_operation_is_refused(name: DialectName) -> None:
    dialect = DIALECTS[name]
    assert dialect.unsupported_error("getThread") is None
    for operation in dialect.missing_operations:
        refused = dialect.unsupported_error(operation)
        assert isinstance(refused, GatewayError)
        assert refused.code is ErrorCode.UNSUPPORTED_BY_UPSTREAM
        assert refused.message == f"The upstream (dialect {name}) has no operation {operation}."


def test_every_missing_operation_is_one_that_the_gateway_uses() -> None:
    ours = {
        row.request(_AnyKey()).operation
        for table in (rest_operations.GETS, rest_operations.LISTS, rest_operations.WRITES)
        for row in table.values()
    }
    assert frozenset().union(*(dialect.missing_operations for dialect in DIALECTS.values())) <= ours


def test_the_error_holds_the_upstreams_message() -> None:
    error = unsupported_operation_error("lenient", "cancelRun", "Not Found", upstream_request_id="req_1")
    assert error.message == "The upstream (dialect lenient) has no operation cancelRun: Not Found"
    assert error.upstream_request_id == "req_1"


class _AnyKey:
    """A key with every field that any key may have."""

    thread_id = run_id = step_id = message_id = file_id = assistant_id = "x"
    window = (1, "asc", None)


def test_every_dialect_and_its_version_are_in_the_schema() -> None:
    assert {member.value for member in UpstreamDialect} == DIALECTS.keys()
    assert {dialect.version for dialect in DIALECTS.values()} == {member.value for member in UpstreamVersion}
