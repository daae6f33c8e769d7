"""The port of one operation over any family of upstreams."""

from __future__ import annotations

from typing import Protocol

from schema.contract.cost import Cost
from schema.contract.errors import GatewayError
from schema.contract.paging import Window
from schema.contract.ports import ThreadsApi
from schema.contract.run_streams import StreamConsumer
from schema.contract.wire import Page, ThreadObject


class UpstreamPort(ThreadsApi, Protocol):
    """A `ThreadsApi` that sends the calls itself. Its cost may be that of another port of the same operation."""

    @property
    def cost(self) -> Cost:
        """The cost of all calls so far."""

    @cost.setter
    def cost(self, cost: Cost) -> None: ...

    def with_recorder(self, record_stream: StreamConsumer) -> UpstreamPort:
        """Return a port with another recorder. Both count in one cost, and wait for the slots of one operation."""

    async def list_threads(self, window: Window) -> Page[ThreadObject] | GatewayError:
        """List threads of the account, where the upstream can. Without the ownership of threads, for operators only."""
