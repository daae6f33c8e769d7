"""The client recipes of `schema/README.md` as files, and what a test needs to run them: a program and a proxy."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.dev_servers import NODE
from tests.support.gateway import Gateway
from tests.support.node import npm_install
from tests.support.oidc_server import OidcServer
from tests.support.pages import PAGES

PAGE = PAGES["schema/README.md"]
SCRIPTS = Path(__file__).parents[1] / "journeys" / "scripts_recipes"
DEADLINE_SECONDS = 30.0
SHOWN_ADDRESS = "127.0.0.1:8000"
SHOWN_ISSUER = "https://login.example.com"
SHOWN_PAGE = "http://127.0.0.1:5173/"
SHOWN_SERVICE = ("a-service", "...")


def recipe_files() -> dict[str, str]:
    """Return the files that the page shows, by the name in their first line, or in the line above if they are JSON."""
    named = re.findall(r"`([\w.-]+)`:\n\n```json\n(.*?)^```$", PAGE.text, re.MULTILINE | re.DOTALL)
    for block in PAGE.blocks:
        named += [(name, block.text) for name in re.findall(r"\A(?://|#) ([\w.-]+)\n", block.text)]
    files = dict(named)
    assert len(files) == len(named), "expected each file to be shown once"
    return files


def shown_packages(*names: str) -> tuple[str, ...]:
    """Return packages of npm in the versions that the page names."""
    return tuple(f"{name}@{shown_version(name)}" for name in names)


def shown_version(package: str) -> str:
    """Return the version of a package that the page names."""
    found = re.search(rf"(?<![\w/@-]){re.escape(package)}(?:,? (?:and )?[a-z][\w-]+)* (\d+\.\d+\.\d+)", PAGE.prose)
    assert found, f"expected the page to name a version of {package}"
    return found[1]


def write_recipes(directory: Path, url: str, packages: Sequence[str] = (), issuer: str = SHOWN_ISSUER) -> None:
    """Write the page's files to a directory, with the packages that they import and the scripts.

    They call the gateway at `url` and sign in at `issuer`.
    """
    if packages:
        (directory / "node_modules").symlink_to(npm_install(packages) / "node_modules")
    (directory / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
    for name, text in recipe_files().items():
        written = text.replace(SHOWN_ADDRESS, urlsplit(url).netloc).replace(SHOWN_ISSUER, issuer)
        (directory / name).write_text(written, encoding="utf-8")
    for script in SCRIPTS.iterdir():
        (directory / script.name).write_text(script.read_text(encoding="utf-8"), encoding="utf-8")


GRAPHQL, *SOCKET = shown_packages("graphql", "graphql-ws", "oidc-client-ts")
PACKAGES = {
    "relay": (
        *shown_packages("babel-plugin-relay", "react", "react-relay", "relay-compiler", "relay-runtime"),
        *(GRAPHQL, *SOCKET, "@babel/core@7.29.13", "react-test-renderer@19.3.1"),
    ),
    "apollo": (*shown_packages("@apollo/client", "rxjs"), GRAPHQL, *SOCKET),
    "urql": (
        *shown_packages("@urql/core", "@urql/exchange-graphcache", "@urql/introspection"),
        *(GRAPHQL, *SOCKET),
    ),
}
PREPARATIONS = {
    "relay": ["node_modules/relay-compiler/cli.js", "compile_relay.mjs"],
    "apollo": ["write-possible-types.js"],
    "urql": ["write-introspection.js"],
    "append": [],
}
# The second one picks the builds that warn.
NODE_OPTIONS = ("--import", "./fast_retries.mjs", "--conditions", "development", "--import", "./sign_in.mjs")


async def prepare_client(
    directory: Path, client: str, gateway: Gateway, proxy: "DroppingProxy", provider: OidcServer
) -> None:
    """Write the page's files for a client, which calls a gateway through a proxy, and let its socket print events."""
    packages = PACKAGES.get(client, (GRAPHQL, *SOCKET))
    await asyncio.to_thread(write_recipes, directory, proxy.url, packages, provider.issuer)
    (directory / "socket.js").rename(directory / "recipe_socket.js")
    (directory / "printing_socket.mjs").rename(directory / "socket.js")
    (directory / "schema.graphql").write_bytes((await gateway.get("/schema.graphql")).body)
    for preparation in PREPARATIONS[client]:
        await run_program(directory, preparation)


@dataclass
class Program:
    """A running Node program that prints one JSON object a line. `lines` holds what it has printed."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)

    def printed(self, name: str) -> list[Any]:
        """Return the values that it has printed under a name."""
        return [line[name] for line in self.lines if name in line]

    async def wait_until(self, condition: Callable[["Program"], object]) -> None:
        """Read what it prints until a condition holds."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not condition(self):
                    await self._read_line()
        except TimeoutError:
            raise AssertionError(f"waited in vain, after it printed {self.lines}") from None

    async def wait_for(self, name: str, value: object = True) -> None:
        """Wait until the last value that it printed under a name is this one."""
        await self.wait_until(lambda program: program.printed(name)[-1:] == [value])

    async def send(self, command: str) -> None:
        """Send it one line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())
        await self.process.stdin.drain()

    async def _read_line(self) -> None:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            errors = (await self.process.stderr.read()).decode()
            raise AssertionError(f"it ended after it printed {self.lines}: {errors}")
        self.lines.append(json.loads(line))


@asynccontextmanager
async def running_program(directory: Path, *arguments: str) -> AsyncIterator[Program]:
    """Run Node with these arguments in a directory. The program is killed at the end."""
    process = await asyncio.create_subprocess_exec(
        NODE,
        *arguments,
        cwd=directory,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run_program(directory: Path, *arguments: str) -> str:
    """Run Node with these arguments in a directory until it ends without an error. Returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        NODE,
        *arguments,
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, f"{printed.decode()}{errors.decode()}"
    return printed.decode()


class DroppingProxy:
    """Passes bytes between clients and a gateway, and can drop all connections at once."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""
        self.connections = 0

    def drop(self) -> None:
        """Abort all connections. New ones are passed on as before."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass the bytes of one connection in both directions until it ends."""
        self.connections += 1
        upstream_reader, upstream_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        pair = {writer, upstream_writer}
        self._writers |= pair
        await asyncio.gather(self._pump(reader, upstream_writer), self._pump(upstream_reader, writer))
        self._writers -= pair

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # dropped
        writer.close()


@asynccontextmanager
async def running_proxy(target: str) -> AsyncIterator[DroppingProxy]:
    """Run a proxy before the gateway with this base URL."""
    proxy = DroppingProxy(target)
    server = await asyncio.start_server(proxy.serve_client, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    proxy.url = f"http://{host}:{port}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.drop()
        await server.wait_closed()
