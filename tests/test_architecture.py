"""The house keeps its shape: rooms and their imports, one name for one file, small files, a tidy top level."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP_LEVEL = {
    "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "constraints.txt",
    "docker", "gateway", "pyproject.toml", "queries", "schema", "tests",
}  # fmt: skip
MAX_LINES = 400

SHARED_NAMES = {
    "__init__.py": "Python names it; holds a package's docstring",
    "app.py": "the application of each of the two servers, gateway and emulator",
}
LONG: dict[str, str] = {}
UNTRACKED = {".git", ".venv", ".cache", ".hypothesis", "build", "dist"}
# Written so that this file does not hold what it forbids.
FORBIDDEN_TEXT = {
    "a registry's host": re.compile(r"\b(registry\.npm(?:js)\.org|py(?:pi)\.org|files\.python(?:hosted)\.org)"),
    "a path of one machine": re.compile(r"(?<![\w.])/(home|Users|root|work)/\w"),
}


@cache
def tracked_files() -> tuple[Path, ...]:
    """Return the files that git tracks or would track; without git, the directory's own files."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        return tuple(sorted(path for path in found if not (UNTRACKED & set(path.parts) or "__pycache__" in path.parts)))
    return tuple(sorted(Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()))


def modules() -> list[Path]:
    return [path for path in tracked_files() if path.parts[0] in {"schema", "gateway"} and path.suffix == ".py"]


def test_the_import_contracts_hold() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_name_stands_once_or_is_listed_with_a_reason() -> None:
    places: dict[str, list[str]] = {}
    for module in modules():
        places.setdefault(module.name, []).append(module.as_posix())
    shared = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert {name: paths for name, paths in shared.items() if name not in SHARED_NAMES} == {}
    assert SHARED_NAMES.keys() - shared.keys() == set(), "listed, but stands only once"


def test_every_file_can_be_held_in_the_head() -> None:
    long = {
        path.as_posix(): lines
        for path in tracked_files()
        if path.suffix == ".py" and (lines := len((ROOT / path).read_text().splitlines())) > MAX_LINES
    }
    assert {path: lines for path, lines in long.items() if path not in LONG} == {}


def test_every_long_file_that_is_listed_exists() -> None:
    assert [path for path in LONG if not (ROOT / path).is_file()] == []


def test_an_init_file_holds_only_a_docstring() -> None:
    for module in modules():
        if module.name == "__init__.py":
            tree = ast.parse((ROOT / module).read_text())
            assert ast.get_docstring(tree), f"{module} needs a docstring"
            assert len(tree.body) == 1, f"{module} holds more than its docstring"


def test_every_test_file_holds_a_test() -> None:
    files = [path for path in tracked_files() if path.name.startswith("test_") and path.suffix == ".py"]
    assert [path for path in files if "def test_" not in (ROOT / path).read_text()] == []


def test_the_top_level_is_tidy() -> None:
    entries = {path.parts[0] for path in tracked_files()}
    assert {entry for entry in entries if not entry.startswith(".")} - TOP_LEVEL == set()


@pytest.mark.parametrize("what", FORBIDDEN_TEXT)
def test_no_tracked_text_names(what: str) -> None:
    found = []
    for path in tracked_files():
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path}: {match[0]}" for match in FORBIDDEN_TEXT[what].finditer(text)]
    assert found == []


def test_no_comprehension_names_its_variable_like_a_global_of_its_module() -> None:
    """CPython 3.12.1 loses the global where another comprehension of the same function uses it: UnboundLocalError."""
    found = []
    for module in modules():
        tree = ast.parse((ROOT / module).read_text())
        known = {name for statement in tree.body for name in _bound_by(statement)}
        for node in ast.walk(tree):
            if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp)):
                names = {
                    name.id
                    for generator in node.generators
                    for name in ast.walk(generator.target)
                    if isinstance(name, ast.Name)
                }
                found += [f"{module}:{node.lineno} {name}" for name in sorted(names & known)]
    assert found == []


def _bound_by(statement: ast.stmt) -> list[str]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in statement.names]
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    return (
        [statement.target.id] if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) else []
    )
