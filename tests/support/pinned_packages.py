"""Packages at pinned versions in a directory of their own, and scripts that see only them.

openai 1.20.0, the last version for version 1 of the API, needs an older httpx than all other packages here, and
LangChain brings many packages. So they are never installed into the environment of the tests. A script uses them in a
process that sees only this directory and the standard library.
"""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PINS = {name: Path(__file__).with_name(f"{name}.txt") for name in ("openai_sdk_v1", "langchain")}
SCRIPT_SECONDS = 60


@pytest.fixture(scope="session")
def old_openai() -> Path:
    """Return the directory with openai 1.20.0."""
    return pinned_packages("openai_sdk_v1")


@pytest.fixture(scope="session")
def langchain() -> Path:
    """Return the directory with LangChain."""
    return pinned_packages("langchain")


def pinned_packages(name: str) -> Path:
    """Return the directory with these packages. It is created once for the pins, this Python and this platform."""
    pins = hashlib.sha256(PINS[name].read_bytes()).hexdigest()[:12]
    version = f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
    directory = ROOT / ".cache" / f"{name}-{version}-{pins}"
    if not directory.is_dir():
        _install(directory, PINS[name])
    return directory


def _install(directory: Path, pins: Path) -> None:
    """Fill the directory beside its final place, then move it there.

    If another process was first, its directory is used.
    """
    directory.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as made:
        packages = Path(made) / "packages"
        # Every version is pinned. The constraints of the environment are for another set of packages.
        variables = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*command, "--target", packages, "--requirement", pins],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"pip could not install {pins.name}: {done.stderr}"
        try:
            packages.rename(directory)
        except OSError:
            assert directory.is_dir(), f"{directory} could not be made"


async def run_script(packages: Path, script: Path, *arguments: str, warnings: str = "error") -> Any:
    """Run a script and return the JSON that it printed. It sees only these packages and the standard library."""
    # Without `site`, there is no environment to fall back to.
    command = [sys.executable, "-S", "-W", warnings, str(script), *arguments]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env={"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=SCRIPT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
