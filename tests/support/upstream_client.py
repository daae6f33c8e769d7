"""A client of a scripted upstream: its principal, its sleep that takes no time, and what its failures are."""

from collections.abc import Callable
from typing import TypeAlias

from gateway.upstream.client import UpstreamClient
from schema.errors import GatewayError
from schema.keys import ThreadKey
from schema.ports import ThreadsApi

CREDENTIAL = "Bearer key-of-somebody"
T1 = ThreadKey("thread_1")
WHOLE = {"id": "thread_1", "object": "thread", "created_at": 1}

ClientMaker: TypeAlias = Callable[..., UpstreamClient]


class Pauses(list[float]):
    """Stands for sleeping: remembers how long, and takes no time."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


async def failure(api: ThreadsApi) -> GatewayError:
    """The failure of reading `T1`."""
    (got,) = await api.get_threads([T1])
    assert isinstance(got, GatewayError)
    return got
