"""Tests the program as a user starts it, away from the source tree's directory."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gateway.compose import DEMO_KEY
from tests.support.gateway import clean_environment, running_command, url_in


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd="/",
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def fetch(url: str, body: Any = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - ours
        return json.loads(response.read())


def test_help_imports_neither_the_server_nor_the_schema() -> None:
    done = run("-h")
    code = "import sys, gateway.cli; print([name for name in ('aiohttp', 'strawberry') if name in sys.modules])"
    imported = subprocess.run(
        [sys.executable, "-c", code], env=clean_environment(), capture_output=True, text=True, check=True, cwd="/"
    )
    assert (done.returncode, imported.stdout.strip()) == (0, "[]")


@pytest.mark.parametrize("dialect", ["openai-v2", "openai-responses"])
def test_the_demo_prints_its_addresses_and_its_curl_line_works(dialect: str) -> None:
    arguments = ("--port", "0", "--emulator-port", "0", "--upstream-dialect", dialect)
    with running_command("demo", *arguments) as (_, printed):
        gateway, emulator = url_in(printed, "GraphiQL"), url_in(printed, "Emulator")
        (line,) = [line for line in printed.splitlines() if "curl" in line]
        done = subprocess.run(
            shlex.split(line[line.index("curl") :]), capture_output=True, text=True, check=True, timeout=20
        )
        result = json.loads(done.stdout)
        assert "errors" not in result
        assert len(result["data"]["assistants"]["nodes"]) == 3
        with urllib.request.urlopen(f"{emulator}/", timeout=20) as page:  # noqa: S310 - ours
            assert "Threads API emulator" in page.read().decode()
        assert fetch(f"{gateway}/readyz")["status"] == "ready"
        assistants = fetch(
            f"{emulator}/v1/assistants", Authorization=f"Bearer {DEMO_KEY}", **{"OpenAI-Beta": "assistants=v2"}
        )
        assert assistants["data"]


FILES_OF_DEMO = """{ thread(id: "thread_demoQuarterlySales000001") { messages(last: 100) { nodes {
    attachments { file { ...Named } }
    content {
        ... on ImageFileContent { file { ...Named } }
        ... on TextContent { annotations {
            ... on FilePath { file { ...Named } } ... on FileCitation { file { ...Named } } } } } } } } }
    fragment Named on File { filename contentUrl }"""
FILES = re.compile(r'"filename": "([^"]+)", "contentUrl": ([^}]+)\}')


@pytest.mark.parametrize("database", [None, pytest.param("ledger.db", marks=pytest.mark.full)])
def test_a_token_signs_in_at_the_demo_and_its_curl_line_works(tmp_path: Path, database: str | None) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path)}
    variables: dict[str, Any] = state | (
        {"GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/{database}"} if database else {}
    )
    thread = {"query": '{ thread(id: "thread_demoQuarterlySales000001") { createdAt } }'}
    ports = ("--port", "0", "--emulator-port", "0")
    with running_command("demo", "--sign-in", *ports, **variables) as (_, printed):
        gateway = url_in(printed, "GraphiQL")
        (line,) = [line for line in printed.splitlines() if "curl" in line]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        command = ["sh", "-c", line[line.index("curl") :]]
        done = subprocess.run(
            command, env=clean_environment(PATH=path, **state), capture_output=True, text=True, check=True, timeout=30
        )
        assert len(json.loads(done.stdout)["data"]["assistants"]["nodes"]) == 3
        seen = []
        for subject in (["demo"], ["alice"], ["alice", "--role", "admin"]):
            token = run("token", "--subject", *subject, **state).stdout.strip()
            seen.append(fetch(f"{gateway}/graphql", thread, Authorization=f"Bearer {token}")["data"]["thread"])
        assert [found is not None for found in seen] == [True, False, True]
        token = run("token", "--subject", "demo", **state).stdout.strip()
        shown = json.dumps(fetch(f"{gateway}/graphql", {"query": FILES_OF_DEMO}, Authorization=f"Bearer {token}"))
        opened = {name: address != "null" for name, address in FILES.findall(shown)}
        # The handbook is the assistant's: it is cited, and nobody's who signs in.
        assert opened == {"sales.csv": True, "chart.png": True, "report.csv": True, "handbook.pdf": False}
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetch(f"{gateway}/graphql", thread)


def test_the_emulator_keeps_its_data_in_a_file_and_the_gateway_serves_it(tmp_path: Path) -> None:
    emulator = ("emulator", "--port", "0", "--database", str(tmp_path / "emulator.db"))
    credential = {"Authorization": "Bearer mine", "OpenAI-Beta": "assistants=v2"}
    with running_command(*emulator) as (_, printed):
        base = url_in(printed, "Base URL")
        assert DEMO_KEY in printed
        thread = fetch(f"{base}/v1/threads", {"metadata": {"kept": "yes"}}, **credential)
    with running_command(*emulator) as (_, printed):
        upstream = url_in(printed, "Base URL") + "/v1"
        # The flag overrides the variable.
        arguments = ("serve", "--port", "0", "--upstream-url", upstream)
        with running_command(*arguments, UPSTREAM_URL="http://127.0.0.1:1") as (_, gateway_output):
            body = {"query": "query ($id: ID!) { thread(id: $id) { metadata } }", "variables": {"id": thread["id"]}}
            result = fetch(url_in(gateway_output, "GraphQL") + "/graphql", body, **credential)
            assert result == {"data": {"thread": {"metadata": {"kept": "yes"}}}}


@pytest.mark.parametrize(("command", "part"), [("demo", "EMULATOR"), ("serve", "GATEWAY"), ("emulator", "EMULATOR")])
def test_a_port_in_use_is_refused(command: str, part: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        flags = ("--emulator-port", port, "--port", "0") if command == "demo" else ("--port", port)
        done = run(command, *flags, UPSTREAM_URL="http://127.0.0.1:1/v1")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"threads-gateway: {part}_HOST and {part}_PORT: expected an address to listen on, got 127.0.0.1:{port}"
    )
    assert "address already in use" in line


def test_a_demo_whose_gateway_cannot_listen_ends_its_emulator_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("demo", "--emulator-port", "0", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_a_bad_variable_refuses_to_start() -> None:
    done = run("demo", GATEWAY_PORT="http")
    assert done.returncode == 2
    assert done.stderr == (
        "threads-gateway: GATEWAY_PORT or --port: expected a port from 0 (any free one) to 65535, got 'http'\n"
    )


def test_a_gateway_that_shares_a_redis_needs_the_secret_that_all_share() -> None:
    variables = {"REDIS_URL": "redis://127.0.0.1:1/0", "UPSTREAM_URL": "http://127.0.0.1:1/v1"}
    done = run("serve", **variables, GATEWAY_URL_SECRET="")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "threads-gateway: GATEWAY_URL_SECRET: expected the same secret for all gateways that share REDIS_URL, as "
        "`openssl rand -hex 32` makes one, got none\n"
    )


def test_a_key_file_without_a_key_refuses_to_start(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name, got in (("missing", "No such file or directory"), ("empty", "none")):
        done = run("serve", UPSTREAM_URL="http://127.0.0.1:1/v1", UPSTREAM_API_KEY_FILE=str(tmp_path / name))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "threads-gateway: UPSTREAM_API_KEY_FILE: expected a file with a key of visible ASCII characters without "
            f"spaces, got {got}\n"
        )


def test_the_schema_is_printed_as_sdl() -> None:
    done = run("schema")
    assert done.returncode == 0
    assert "type Thread implements Node {" in done.stdout
