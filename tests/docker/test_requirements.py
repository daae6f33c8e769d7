"""Tests that the image's pins are the runtime part of `constraints.txt`, each with its hashes, and name no index."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker" / "requirements.txt").read_text()


def requirements_by_name(text: str) -> dict[str, str]:
    """Return the requirement of every name, with its version and marker, as `packaging` spells it."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    found = [Requirement(re.sub(r"\s*--hash=\S+", "", line)) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): str(pin) for pin in found}


def test_every_version_equals_that_of_the_constraints() -> None:
    constraints = requirements_by_name((ROOT / "constraints.txt").read_text())
    pins = requirements_by_name(TEXT)
    assert pins
    assert {name: constraints.get(name) for name in pins} == pins


def test_every_dependency_is_pinned_and_no_test_tool_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    tools = {canonicalize_name(Requirement(text).name) for text in project["optional-dependencies"]["test"]}
    # Strawberry depends on one of them.
    assert needed <= requirements_by_name(TEXT).keys()
    assert tools & requirements_by_name(TEXT).keys() <= {"packaging"}


def test_every_pin_has_its_hashes() -> None:
    entries = re.split(r"^(?=[a-z])", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert len(entries) == len(requirements_by_name(TEXT))
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []


def test_the_pins_name_no_index() -> None:
    assert "://" not in TEXT
    assert not re.search(r"^\s*(-i|--index-url|--extra-index-url|--find-links|-f)\b", TEXT, re.MULTILINE)
