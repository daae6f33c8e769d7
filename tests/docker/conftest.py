"""Three real gateways, or three stand-ins for them, behind the real proxy."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from gateway.server.app import listening
from tests.support.gateway import running_command, url_in
from tests.support.nginx import Proxy, find_nginx, running_proxy

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Fleet:
    """Three gateways as processes behind a proxy."""

    proxy: Proxy
    processes: Sequence[Popen[str]]
    urls: Sequence[str]

    @property
    def addresses(self) -> list[str]:
        return [urlsplit(url).netloc for url in self.urls]


class FleetOver(Protocol):
    """Starts three gateways over an upstream, with extra flags, and the proxy over them."""

    def __call__(self, upstream_url: str, *flags: str) -> AbstractAsyncContextManager[Fleet]: ...


class ProxyOver(Protocol):
    """Starts the proxy over three stand-ins, each with its handler of `/graphql`."""

    def __call__(self, *handlers: Handler) -> AbstractAsyncContextManager[Proxy]: ...


@pytest.fixture
def fleet_over(tmp_path: Path) -> FleetOver:
    find_nginx()
    return partial(_fleet, tmp_path)


@pytest.fixture
def proxy_over(tmp_path: Path) -> ProxyOver:
    find_nginx()
    return partial(_proxy, tmp_path)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@asynccontextmanager
async def _fleet(directory: Path, upstream_url: str, *flags: str) -> AsyncIterator[Fleet]:
    with _gateways("serve", "--port", "0", "--upstream-url", upstream_url, *flags) as started:
        urls = [url_in(printed, "GraphQL") for _, printed in started]
        with running_proxy(directory, [urlsplit(url).netloc for url in urls]) as proxy:
            yield Fleet(proxy, [process for process, _ in started], urls)


@contextmanager
def _gateways(*arguments: str) -> Iterator[list[tuple[Popen[str], str]]]:
    """Start three at once, in the time of one and a half."""
    with ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        commands = [running_command(*arguments) for _ in range(3)]
        yield list(pool.map(stack.enter_context, commands))


@asynccontextmanager
async def _proxy(directory: Path, *handlers: Handler) -> AsyncIterator[Proxy]:
    async with AsyncExitStack() as stack:
        addresses = []
        for handler in handlers:
            app = web.Application(client_max_size=4 << 20)
            app.router.add_route("*", "/graphql", handler)
            addresses.append(urlsplit(await stack.enter_async_context(listening(app, "127.0.0.1", 0))).netloc)
        yield stack.enter_context(running_proxy(directory, addresses))
