"""openai 1.20.0, the last version for version 1 of the API, in a directory of its own.

It needs an older httpx than all other packages here, so it is never installed into the environment of the tests. A
script uses it in a process that sees only this directory and the standard library.
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
PINS = Path(__file__).with_suffix(".txt")
SCRIPT_SECONDS = 60


@pytest.fixture(scope="session")
def old_openai() -> Path:
    """Return the directory with the packages. It is created once for these pins, this Python and this platform."""
    pins = hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]
    version = f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
    directory = ROOT / ".cache" / f"openai-v1-{version}-{pins}"
    if not directory.is_dir():
        _install(directory)
    return directory


def _install(directory: Path) -> None:
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
            [*command, "--target", packages, "--requirement", PINS],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"pip could not install {PINS.name}: {done.stderr}"
        try:
            packages.rename(directory)
        except OSError:
            assert directory.is_dir(), f"{directory} could not be made"


async def run_script(packages: Path, script: Path, *arguments: str) -> Any:
    """Run a script and return the JSON that it printed. It sees only these packages and the standard library."""
    # Without `site`, there is no environment to fall back to.
    command = [sys.executable, "-S", "-W", "error", str(script), *arguments]
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
