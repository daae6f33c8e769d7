"""Tests of the test support: skips that CI forbids, floors of coverage, the order of files, Node programs."""

from pathlib import Path

import pytest

from tests.support.browser import find_chromium
from tests.support.coverage_floors import FLOORS, find_low_coverage
from tests.support.gate_speed import LONG_FILES, rank_files
from tests.support.node import npm_install, run_node

pytest_plugins = ["pytester"]

SKIPPING = """
import pytest

def test_skips():
    pytest.skip("no browser here")

@pytest.mark.xfail(reason="known", strict=True)
def test_fails_as_expected():
    assert False
"""


@pytest.fixture
def skipping(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(SKIPPING)
    return pytester


def test_a_skip_fails_where_none_is_allowed(skipping: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADS_GATEWAY_NO_SKIPS", "1")
    result = skipping.runpytest_inprocess("-p", "tests.support.no_skips")
    result.assert_outcomes(failed=1, xfailed=1)
    result.stdout.fnmatch_lines(["*THREADS_GATEWAY_NO_SKIPS=1 forbids*no browser here*"])


def test_a_module_that_skips_itself_fails_too(skipping: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADS_GATEWAY_NO_SKIPS", "1")
    skipping.makepyfile('import pytest\npytest.skip("not here", allow_module_level=True)')
    result = skipping.runpytest_inprocess("-p", "tests.support.no_skips")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*forbids*not here*"])


def test_a_skip_is_a_skip_elsewhere(skipping: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THREADS_GATEWAY_NO_SKIPS", raising=False)
    skipping.runpytest_inprocess("-p", "tests.support.no_skips").assert_outcomes(skipped=1, xfailed=1)


def test_no_chromium_means_a_skip_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_chromium() is None


@pytest.mark.parametrize("package", ["graphql", "graphql@^17.0.0", "graphql@latest"])
def test_a_package_without_an_exact_version_is_refused(package: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a package with its exact version"):
        npm_install([package], cache=tmp_path)


@pytest.mark.timeout(400)
def test_a_node_program_finds_its_packages(tmp_path: Path) -> None:
    directory = npm_install(["graphql@17.0.2"])
    assert npm_install(["graphql@17.0.2"]) == directory
    script = tmp_path / "version.mjs"
    script.write_text('import { version } from "graphql"; console.log(version, process.argv[2], process.env.GREETING);')
    done = run_node(script, "one", directory=directory, environment={"GREETING": "hello"})
    assert (done.stdout, done.returncode) == ("17.0.2 one hello\n", 0), done.stderr


def covered_file(covered: int, known: int) -> dict[str, dict[str, int]]:
    return {"summary": {"covered_branches": covered, "num_branches": known}}


def test_a_package_below_its_floor_is_named_with_its_coverage() -> None:
    files = {
        "gateway/cache/a.py": covered_file(9, 10),
        "gateway/cache/below/b.py": covered_file(0, 2),
        "gateway/redis/c.py": covered_file(0, 0),
        "gateway/cli.py": covered_file(0, 100),
    }
    floors = {"gateway/cache": 80.0, "gateway/redis": 100.0, "gateway/run_log": 1.0}
    assert find_low_coverage({"files": files}, floors) == [
        "gateway/cache: expected at least 80.0 % of its branches, got 75.0 %",
        "gateway/run_log: expected at least 1.0 % of its branches, got 0.0 %",
    ]


def test_every_package_has_a_floor() -> None:
    root = Path(__file__).parents[1]
    packages = {
        "/".join(path.parts[-3:-1]) for top in ("schema", "gateway") for path in root.glob(f"{top}/*/__init__.py")
    }
    assert set(FLOORS) == packages


def test_long_files_are_started_first_and_then_those_with_many_tests() -> None:
    assert list(rank_files(["few", "long", "many", "many"], {"long"})) == ["long", "many", "few"]
    assert [file for file in LONG_FILES if not (Path(__file__).parents[1] / file).is_file()] == []
