"""The ports of `schema`: Protocols that `gateway` implements, a cache decorates and a fake replaces.

The port is plural. A read takes a batch of keys and returns one value for each, in the same order: the object, or the
`GatewayError` in its place. It never raises for a single key, so one failure costs one key. An implementation is bound
to one principal: a key does not say whose data it names.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from schema.contract.cost import Cost
from schema.contract.encoded_json import EncodedJson
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import Kind, NodeKeyT, ObjectT, PageKeyT
from schema.contract.paging import PagingLimits
from schema.contract.run_events import RunEvent
from schema.contract.run_streams import RunStream
from schema.contract.wire import Page
from schema.contract.writes import BodyT, ResultT, Write, WriteKeyT

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
Results: TypeAlias = Sequence[ValueT | GatewayError]
OnResult: TypeAlias = Callable[[KeyT, ValueT | GatewayError], None]
"""Receives the result of a key, or the error in its place, as soon as it arrives. Never raises."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The features of the upstream, so that a frontend can adapt.

    `lists_runs`: the runs of a thread are known, whoever started them. `replays_streams`: a stream that broke can be
    read on from where it was. `message_times`: the upstream's own, or when the gateway first saw each message.
    """

    dialect: str
    version: str
    streaming: bool
    deletes_messages: bool
    lists_threads: bool
    message_files: bool
    lists_runs: bool = True
    updates_messages: bool = True
    replays_streams: bool = False
    message_times: Literal["exact", "observed"] = "exact"


class ThreadsApi(Protocol):
    """The upstream API, for one principal.

    Every operation is a row: a kind of objects (`kinds.py`) or a write (`writes.py`). Its type parameters are the types
    of keys and results. Reads are plural and return errors as values. The window of a page key asks for at most
    `paging.UPSTREAM_PAGE_SIZE` objects.

    Writes are singular. A write is sent at most once, and raises a `GatewayError` if it failed. If it is unknown
    whether the write took place, the error says so and is not retryable. The `argument` of a refusal is the path in the
    body, its parts joined by dots.

    Lists can return partial results: `on_result` gets each result at most once, in the running event loop, and none
    after the read has ended or was cancelled. It need not be called for every key. The returned results are complete
    and the same. So the slowest list of a batch does not delay the others. Reads of single objects have no partial
    results: the values that wait for them are mostly leaves, and the loads that do follow (references of one thread's
    objects) take fewer calls when they start together.
    """

    @property
    def capabilities(self) -> Capabilities:
        """The features of the upstream behind this port."""

    @property
    def cost(self) -> Cost:
        """The cost of all calls through this port so far. A decorator shares the cost of its inner port."""

    async def get(self, kind: Kind[NodeKeyT, ObjectT, Any], keys: Sequence[NodeKeyT]) -> Results[ObjectT]:
        """Get objects of one kind."""

    async def list(
        self,
        kind: Kind[Any, ObjectT, PageKeyT],
        keys: Sequence[PageKeyT],
        *,
        on_result: OnResult[PageKeyT, Page[ObjectT]] | None = None,
    ) -> Results[Page[ObjectT]]:
        """List pages of one kind."""

    async def write(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        """Send a write to the object of a key (None: to no object), with a body (None: without one)."""


class ResponseKey(NamedTuple):
    """The key of a cached response. Queries with equal keys and equal port results have the same data.

    `variables` is JSON with sorted keys. `schema` stands for all inputs that are the same throughout a process.
    """

    schema: Hashable
    text: str
    operation_name: str | None
    variables: bytes
    limits: PagingLimits
    capabilities: Capabilities


@runtime_checkable
class ResponseCache(Protocol):
    """A port of one operation and one principal that also caches whole responses."""

    async def find_response(self, key: ResponseKey) -> EncodedJson | None:
        """Return the cached data of a query as JSON, if all its reads would still have the same results.

        Sends no request upstream.
        """

    def store_response(self, key: ResponseKey, data: EncodedJson) -> None:
        """Cache the data of the query that was executed over this port, if its reads can be checked later.

        The query must have had no errors and no writes.
        """


@runtime_checkable
class FileCitations(Protocol):
    """A port of one operation and one principal that lets a file be read because an object that is shown cites it."""

    def record_cited(self, file_ids: Iterable[str]) -> None:
        """Record that objects which this operation shows cite these files, before the files are read."""


@runtime_checkable
class RunReplay(Protocol):
    """A port of one principal that can open the stream of a run again, also of one that it did not start."""

    async def open_stream(self, key: RunKey, after: str | None) -> RunStream | None:
        """Open the stream of a run behind a position (`StreamEvent.position`), or from its beginning.

        Returns:
            None if this run has no stream that can be opened there. It must be polled then.

        Raises:
            GatewayError: The upstream failed; it may succeed later.
        """


class EventFeed(Protocol):
    """One subscriber's ordered view of an event log: an asynchronous iterator that can also be polled.

    It ends after a run's terminal event. A subscriber that is too slow gets `LaggedChange` and the current state. An
    idle feed costs no more than its position in the log.
    """

    def poll_event(self) -> RunEvent | None:
        """Return the next event without waiting, or None if there is none yet.

        Raises:
            StopAsyncIteration: The feed has ended.
            GatewayError: The feed has failed; no more events will come.
        """

    def on_available(self, callback: Callable[[], None]) -> None:
        """Register a callback for the moments when `poll_event` may have a new result.

        It is called in the event loop, and never from within `poll_event`.
        """

    def __aiter__(self) -> EventFeed:
        """Iterate over the events, and wait between them."""

    async def __anext__(self) -> RunEvent:
        """Wait for the next event."""

    async def aclose(self) -> None:
        """Unsubscribe. When the last subscriber of a run unsubscribes, its polling ends."""


class RunEvents(Protocol):
    """The events of runs and threads, for one principal.

    `after` is the cursor of an event in the same log: the feed continues after it. If the log no longer holds that
    position, the feed starts with a `FaultChange` of code `CURSOR_EXPIRED`, and then as without a cursor. Every method
    raises a `GatewayError` for a run or thread that cannot be read, and for a text that is no cursor of this log.
    """

    async def follow_status(self, key: RunKey, *, after: str | None = None) -> EventFeed:
        """Follow a run's status: the current one (`Provenance.SNAPSHOT`), then each change. Only `StatusChange`s."""

    async def follow_run(self, key: RunKey, *, after: str | None = None) -> EventFeed:
        """Follow all events of a run, from the oldest `SnapshotChange` in the log on."""

    async def follow_thread(self, key: ThreadKey, *, after: str | None = None) -> EventFeed:
        """Follow new messages, new runs and their statuses, from the status of every active run on."""
