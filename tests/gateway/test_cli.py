import argparse
import asyncio
import ctypes
import gc
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway import cli, config, process_memory, setting_docs
from gateway.cli import foreign_schema_package, main
from gateway.config import COMMAND_SETTINGS, Settings
from gateway.process_memory import GC_THRESHOLDS
from schema.root import build_schema
from tests.support.signing_keys import read_claims


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(cli, "configure_logging", lambda *_, **__: None)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Run a command that refuses to start, and return the lines of its reasons."""
    try:
        status: object = main(arguments)
    except SystemExit as ended:
        status = ended.code
    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines
    assert all(line.startswith("threads-gateway: ") for line in lines)
    return [line.removeprefix("threads-gateway: ") for line in lines]


def help_text(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMAND_SETTINGS)
def test_help_names_every_flag_of_the_command_with_its_variable(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    text = help_text(capsys, *command.split())
    for setting in setting_docs.documented_settings():
        listed = setting.name in COMMAND_SETTINGS[command] and setting.flag is not None
        assert not listed or f"{setting.flag} VALUE" in text
        assert any(f"[{setting.variable}{end}" in text for end in ",]") is listed


def test_help_lists_the_commands_and_shows_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", "sk-private")
    text = help_text(capsys)
    assert all(command.split()[0] in text for command in COMMAND_SETTINGS)
    assert "sk-private" not in text + help_text(capsys, "serve")
    assert "--upstream-api-key VALUE" not in help_text(capsys, "serve")


def test_bad_documents_refuse_to_start(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ("serve", "--port", "0", "--upstream-url", "http://127.0.0.1:1/v1", "--documents")
    (line,) = refused(capsys, *arguments, str(tmp_path / "missing.json"))
    assert line.startswith("GATEWAY_DOCUMENTS: Expected a readable file")
    file = tmp_path / "twice.json"
    file.write_text('{"a": "{ a }", "a": "{ b }"}')
    (line,) = refused(capsys, *arguments, str(file))
    assert line.endswith('GATEWAY_DOCUMENTS: Expected one text for each id, got two for "a". See twice.json.')
    (line,) = refused(capsys, "serve", "--documents-only", "on")
    assert line.endswith("expected off, log, or on with GATEWAY_DOCUMENTS, got 'on'")


def test_help_says_what_the_secrets_are(capsys: pytest.CaptureFixture[str]) -> None:
    secrets = [setting for setting in setting_docs.documented_settings() if config.is_secret(setting.name)]
    assert len(secrets) >= 3
    taken = {(): tuple(Settings.model_fields)} | {
        tuple(command.split()): names for command, names in COMMAND_SETTINGS.items()
    }
    for command, names in taken.items():
        text = " ".join(help_text(capsys, *command).split())
        for setting in secrets:
            assert (f"{setting.variable}: {setting.description}" in text) is (setting.name in names)
        assert ("Secrets have a variable only." in text) is any(config.is_secret(name) for name in names)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("threads-gateway ")


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out.strip() == build_schema().as_str().strip()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["serve", "--prot", "1"], "unrecognized arguments: --prot 1"),
        (["serve", "--por", "1"], "unrecognized arguments: --por 1"),
        (["schema", "--port", "1"], "unrecognized arguments: --port 1"),
        (["demo", "--port"], "argument --port: expected one argument"),
        (["demo", "--upstream-url", "http://x"], "unrecognized arguments: --upstream-url http://x"),
    ],
)
def test_an_unknown_argument_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (line,) = refused(capsys, *arguments)
    assert message in line
    assert "--help)" in line


def test_every_bad_value_has_its_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", "sk private")
    lines = refused(capsys, "serve", "--port", "eighty", "--upstream-url", "nowhere")
    assert lines == [
        "GATEWAY_PORT or --port: expected a port from 0 (any free one) to 65535, got 'eighty'",
        (
            "UPSTREAM_API_KEY: expected a key of visible ASCII characters without spaces, "
            "got something else (not shown: it may hold a secret)"
        ),
        "UPSTREAM_URL or --upstream-url: expected an http(s) URL without credentials or fragment, got 'nowhere'",
    ]


SIGN_IN = {
    "GATEWAY_JWT_ISSUER": "https://login.test",
    "GATEWAY_JWT_AUDIENCE": "threads",
    "UPSTREAM_API_KEY": "own",
    "GATEWAY_DATABASE_URL": "sqlite:////tmp/ledger.db",
}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"GATEWAY_JWT_AUDIENCE": ""}, "GATEWAY_JWT_AUDIENCE: expected the audience of the tokens, since GATEWAY_JWT_"),
        ({"UPSTREAM_API_KEY": ""}, "UPSTREAM_API_KEY or UPSTREAM_API_KEY_FILE: expected the gateway's own key, with"),
        ({"UPSTREAM_ANONYMOUS": "true"}, "UPSTREAM_ANONYMOUS: expected false, since nobody calls without a token"),
        (
            {"GATEWAY_JWT_JWKS_URL": "https://login.test/keys", "GATEWAY_JWT_PUBLIC_KEY_FILE": "key.pem"},
            "GATEWAY_JWT_JWKS_URL and GATEWAY_JWT_PUBLIC_KEY_FILE: expected one of them, got both",
        ),
        (
            {"GATEWAY_JWT_ADMIN_ROLE": "boss"},
            "GATEWAY_JWT_ADMIN_ROLE: expected GATEWAY_JWT_ROLES_CLAIM beside it, which lists the roles, got none",
        ),
        ({"GATEWAY_JWT_ISSUER": "login"}, "GATEWAY_JWT_ISSUER: expected an http(s) URL, whose discovery document"),
        ({"GATEWAY_DATABASE_URL": ""}, "GATEWAY_DATABASE_URL: expected sqlite:////path/ledger.db or postgresql://"),
        ({"GATEWAY_JWT_ALGORITHMS": "HS256"}, "GATEWAY_JWT_ALGORITHMS or --jwt-algorithms: expected signature algor"),
        (
            {"GATEWAY_JWT_PUBLIC_KEY_FILE": "/nowhere/key.pem"},
            "GATEWAY_JWT_PUBLIC_KEY_FILE: expected a file that can be read, got '/nowhere/key.pem', No such file",
        ),
        (
            {"GATEWAY_JWT_PUBLIC_KEY_FILE": __file__},
            "GATEWAY_JWT_PUBLIC_KEY_FILE: expected a public key in PEM (-----BEGIN PUBLIC KEY-----), got something el",
        ),
    ],
)
def test_incomplete_sign_in_refuses_to_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], fault: str
) -> None:
    for name, value in {**SIGN_IN, **changes}.items():
        monkeypatch.setenv(name, value)
    (line,) = refused(capsys, "serve", "--port", "0", "--upstream-url", "http://127.0.0.1:1/v1")
    assert line.startswith(fault)


def test_settings_of_tokens_need_an_issuer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_JWT_AUDIENCE", "threads")
    monkeypatch.setenv("GATEWAY_SHOW_INSTRUCTIONS", "true")
    lines = refused(
        capsys, "serve", "--port", "0", "--upstream-url", "http://127.0.0.1:1/v1", "--jwt-roles-claim", "roles"
    )
    assert lines == [
        f"GATEWAY_{name}: expected GATEWAY_JWT_ISSUER beside it, got none"
        for name in ("JWT_AUDIENCE", "JWT_ROLES_CLAIM", "SHOW_INSTRUCTIONS")
    ]


def test_the_demo_takes_tokens_of_its_own_key_only_without_another_issuer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATEWAY_JWT_ISSUER", "https://login.test")
    (line,) = refused(capsys, "demo", "--sign-in", "--sign-in-key", str(tmp_path / "key.pem"))
    assert line == "--sign-in: expected nothing in GATEWAY_JWT_ISSUER, since it takes tokens of its own key"
    monkeypatch.delenv("GATEWAY_JWT_ISSUER")
    key = tmp_path / "bad.pem"
    key.write_text("text")
    (line,) = refused(capsys, "demo", "--sign-in", "--sign-in-key", str(key))
    assert line.startswith("--sign-in-key: expected a key that only you can read (chmod 600)")


def test_a_token_for_trying_out_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["token", "--subject", "alice", "--role", "admin", "--role", "staff", "--tenant", "acme"]) == 0
    claims = read_claims(capsys.readouterr().out.strip())
    assert claims.pop("exp") - claims.pop("iat") == 3600
    assert claims == {
        "iss": "threads-gateway-trial",
        "aud": "threads-gateway",
        "sub": "alice",
        "roles": ["admin", "staff"],
        "tenant": "acme",
    }
    assert (tmp_path / "threads-gateway" / "trial-key.pem").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("GATEWAY_JWT_ISSUER", "https://login.test")
    assert main(["token", "--subject", "bob", "--seconds", "5", "--jwt-audience", "other"]) == 0
    claims = read_claims(capsys.readouterr().out.strip())
    assert (claims["iss"], claims["aud"], claims["exp"] - claims["iat"]) == ("https://login.test", "other", 5)
    (line,) = refused(capsys, "token", "--subject", "x" * 256)
    assert line == "--subject and --tenant: expected a claim sub of at most 255 characters, got 256"
    (line,) = refused(capsys, "token", "--subject", "x", "--seconds", "0")
    assert "argument --seconds: expected an integer from 1 to" in line


def test_serving_needs_an_upstream(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused(capsys, "serve", "--port", "0")
    assert line == "UPSTREAM_URL or --upstream-url: expected an http(s) URL without credentials or fragment, got none"


def test_an_upstream_with_responses_refuses_to_start_without_a_database(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--upstream-url", "http://127.0.0.1:1/v1", "--upstream-dialect", "openai-responses")
    (line,) = refused(capsys, "serve", "--port", "0", *arguments)
    assert line.startswith("GATEWAY_DATABASE_URL: expected a database")
    assert "the dialect openai-responses" in line


def test_a_database_that_cannot_be_written_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = str(tmp_path / "missing" / "emulator.db")
    (line,) = refused(capsys, "emulator", "--port", "0", "--database", missing)
    assert line.startswith("EMULATOR_DATABASE or --emulator-database: expected the path of a SQLite file, or :memory:")
    assert "unable to open database file" in line


@pytest.mark.parametrize("command", ["demo", "emulator"])
def test_fault_rules_for_unknown_operations_are_refused(capsys: pytest.CaptureFixture[str], command: str) -> None:
    (line,) = refused(capsys, command, "--emulator-port", "0", "--emulator-faults", "createRum:503")
    assert line == (
        "EMULATOR_FAULTS or --emulator-faults: expected fault rules as createRun:503:first=2,list*:latency=500ms,"
        "*:429:every=10:retry_after=3, got 'createRum:503': expected an operation of the API as createRun, a pattern "
        "as list*, or one of DELETE, GET, POST, got 'createRum'"
    )


def test_a_file_that_is_no_database_of_the_emulator_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to look at" * 50)
    (line,) = refused(capsys, "demo", "--port", "0", "--emulator-port", "0", "--emulator-database", str(text))
    assert "file is not a database" in line
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("PRAGMA user_version = 99")
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    (line,) = refused(capsys, "emulator", "--port", "0", "--emulator-database", str(other))
    assert "which cannot be used" in line


def test_another_package_over_ours_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "foreign_schema_package", lambda: "schema")
    (line,) = refused(capsys, "schema")
    assert "'schema' also installs one over it" in line


def test_our_own_schema_package_is_not_foreign() -> None:
    assert foreign_schema_package() is None


@pytest.mark.parametrize(
    ("owners", "expected"),
    [(["threads-gateway"], None), ([], None), (["threads-gateway", "schema"], "schema"), (["schema"], "schema")],
)
def test_a_foreign_schema_package_is_named(
    monkeypatch: pytest.MonkeyPatch, owners: list[str], expected: str | None
) -> None:
    monkeypatch.setattr(cli, "packages_distributions", lambda: {"schema": owners} if owners else {})
    assert foreign_schema_package() == expected


def test_the_garbage_collector_skips_present_objects_and_runs_less_often() -> None:
    """Runs in a process of its own, because the settings hold for a whole process."""
    before = gc.get_threshold()
    program = (
        "import gc; from gateway.process_memory import tune_garbage_collector; tune_garbage_collector(); "
        "print(gc.get_threshold(), gc.get_freeze_count() > 1000, gc.isenabled())"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.split("\n")[0] == f"{GC_THRESHOLDS} True True"
    assert gc.get_threshold() == before


async def test_free_memory_is_given_back_until_the_process_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, given_back = asyncio.Event(), []

    def give_back(padding: int) -> None:
        given_back.append(padding)
        if len(given_back) == 3:
            stop.set()

    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=give_back))
    monkeypatch.setattr(process_memory, "MEMORY_RETURN_SECONDS", 0)
    await process_memory.return_memory_until(stop)
    assert given_back == [0, 0, 0]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////nowhere/ledger.db", "No such file or directory: /nowhere/ledger.db"),
        ("sqlite:////tmp/ledger.db?mode=ro", "expected sqlite:////path/ledger.db without options"),
        ("postgresql://u:hunter2@127.0.0.1:1/db", "Connect"),
        ("postgresql://u:hunter2@127.0.0.1:1/db?sslmode=some", "`sslmode` parameter must be one of"),
        ("postgresql://u:hunter2@127.0.0.1:1/db?charset=latin1", "got 'charset'"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "ledger"])
def test_a_database_that_cannot_be_used_refuses_to_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str, reason: str, command: str
) -> None:
    monkeypatch.setenv("GATEWAY_DATABASE_URL", url)
    monkeypatch.setenv("UPSTREAM_API_KEY", "sk-1")
    forget = ("ledger", "forget", "--subject", "alice", "--issuer", "https://issuer.test")
    arguments = ("serve", "--port", "0") if command == "serve" else forget
    (line,) = refused(capsys, *arguments, "--upstream-url", "http://127.0.0.1:1/v1")
    assert line.startswith("GATEWAY_DATABASE_URL: the database cannot be used: ")
    assert reason in line
    assert "hunter2" not in line


def test_serve_runs_on_uvloop_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    loops: dict[str, str] = {}

    async def run(arguments: argparse.Namespace, *_: object) -> int:
        loops[arguments.command] = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        return 0

    monkeypatch.setattr(cli, "_run", run)
    for command in ("serve", "demo", "emulator"):
        assert main([command]) == 0
    assert loops == {"serve": "uvloop", "demo": "asyncio", "emulator": "asyncio"}
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert main(["serve"]) == 0
    assert loops["serve"] == "asyncio"
