"""The wheel holds what the program needs, and the program runs from another directory."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
MIGRATIONS = ROOT / "gateway" / "ledger" / "migrations"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (made,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    return Path(made)


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed command, in an environment that borrows the dependencies of this one."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, text=True)
    (packages,) = (home / "lib").glob("python*/site-packages")
    # A directory named in a .pth file is not searched for further .pth files, so an editable gateway stays out.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin" / "threads-gateway"


def run(program: Path, *arguments: str, directory: Path, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "COVERAGE_FILE"}}
    environment |= variables
    done = subprocess.run(
        [str(program), *arguments], cwd=directory, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_examples_assets_and_schema(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    examples = {f"gateway/_queries/{path.name}" for path in (ROOT / "queries").iterdir()}
    assert examples
    assert examples <= names
    assert {
        "schema/schema.graphql",
        "gateway/server/graphiql/assets/graphiql.js.gz",
        "gateway/server/graphiql/assets/LICENSE.txt",
        *(f"gateway/ledger/migrations/{path.name}" for path in MIGRATIONS.glob("*.py")),
        *(f"gateway/ledger/migrations/versions/{path.name}" for path in MIGRATIONS.glob("versions/*.py")),
    } <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"schema", "gateway"}


def test_the_wheel_is_never_uploaded_by_mistake(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        assert "Classifier: Private :: Do Not Upload" in archive.read(metadata).decode()


def test_the_installed_program_prints_the_schema(program: Path, tmp_path: Path) -> None:
    assert (
        run(program, "schema", directory=tmp_path).strip() == (ROOT / "schema" / "schema.graphql").read_text().strip()
    )


def test_the_installed_program_explains_itself(program: Path, tmp_path: Path) -> None:
    help_text = run(program, "--help", directory=tmp_path)
    assert {"serve", "demo", "emulator", "schema"} <= set(re.findall(r"\w+", help_text))


def test_the_installed_program_makes_the_tables_of_a_database(program: Path, tmp_path: Path) -> None:
    (tmp_path / "threads.csv").write_text("thread_1,alice\n")
    arguments = (
        "ledger",
        "import",
        "threads.csv",
        "--issuer",
        "https://i",
        "--upstream-url",
        "https://upstream.test/v1",
    )
    variables = {"GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db"}
    assert run(program, *arguments, directory=tmp_path, **variables) == "Threads adopted: 1.\n"


def test_every_dependency_has_its_version_in_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {
        canonicalize_name(pin.name): next(iter(pin.specifier)).version
        for pin in map(Requirement, (line for line in lines if not line.startswith("#")))
    }
    optional = project["optional-dependencies"]
    requirements = map(Requirement, (text for texts in (project["dependencies"], *optional.values()) for text in texts))
    for requirement in requirements:
        if requirement.name == "threads-gateway":
            continue
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} has no version in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} excludes {version} of constraints.txt"


def test_the_constraints_name_no_place() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text()
