"""The ports of `schema`: Protocols that `gateway` implements, a cache decorates and a fake replaces.

The port is plural. A read takes a batch of keys and returns one value for each, in the same order: the object, or the
`GatewayError` in its place. It never raises for a single key, so one failure costs one key. An implementation is bound
to one principal: a key does not say whose data it names.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from schema.contract.bodies import (
    AssistantBody,
    AssistantUpdateBody,
    MessageBody,
    MetadataUpdateBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
    ThreadUpdateBody,
    ToolOutputsBody,
)
from schema.contract.cost import Cost
from schema.contract.errors import GatewayError
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.paging import PagingLimits, Window
from schema.contract.run_events import RunEvent
from schema.contract.wire import (
    AssistantObject,
    MessageFileObject,
    MessageObject,
    Page,
    RunObject,
    RunStepObject,
    ThreadObject,
)

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)
Results: TypeAlias = Sequence[ValueT | GatewayError]
OnResult: TypeAlias = Callable[[KeyT, ValueT | GatewayError], None]
"""Receives the result of a key, or the error in its place, as soon as it arrives. Never raises."""


class FetchPages(Protocol[KeyT, ValueT_co]):
    """A function of the port that reads pages of lists."""

    async def __call__(
        self, keys: Sequence[KeyT], *, on_result: OnResult[KeyT, ValueT_co] | None = None
    ) -> Results[ValueT_co]:
        """Read a batch of pages."""


class MessagePageKey(NamedTuple):
    """A page of a thread's messages, or of the messages that one run wrote."""

    thread_id: str
    run_id: str | None
    window: Window


class RunPageKey(NamedTuple):
    """A page of a thread's runs."""

    thread_id: str
    window: Window


class RunStepPageKey(NamedTuple):
    """A page of a run's steps."""

    thread_id: str
    run_id: str
    window: Window


class AssistantPageKey(NamedTuple):
    """A page of the list of assistants."""

    window: Window


class MessageFilePageKey(NamedTuple):
    """A page of a message's files (version 1)."""

    thread_id: str
    message_id: str
    window: Window


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The features of the upstream, so that a frontend can adapt."""

    dialect: str
    version: str
    streaming: bool
    deletes_messages: bool
    lists_threads: bool
    message_files: bool


class ThreadsApi(Protocol):
    """The upstream API, for one principal.

    Reads are plural and return errors as values. The window of a page key asks for at most `paging.UPSTREAM_PAGE_SIZE`
    objects.

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

    async def get_threads(self, keys: Sequence[ThreadKey]) -> Results[ThreadObject]:
        """Get threads."""

    async def get_messages(self, keys: Sequence[MessageKey]) -> Results[MessageObject]:
        """Get messages."""

    async def get_runs(self, keys: Sequence[RunKey]) -> Results[RunObject]:
        """Get runs."""

    async def get_run_steps(self, keys: Sequence[RunStepKey]) -> Results[RunStepObject]:
        """Get run steps."""

    async def get_assistants(self, keys: Sequence[AssistantKey]) -> Results[AssistantObject]:
        """Get assistants."""

    async def get_message_files(self, keys: Sequence[MessageFileKey]) -> Results[MessageFileObject]:
        """Get files of messages."""

    async def list_messages(
        self, keys: Sequence[MessagePageKey], *, on_result: OnResult[MessagePageKey, Page[MessageObject]] | None = None
    ) -> Results[Page[MessageObject]]:
        """List pages of messages."""

    async def list_runs(
        self, keys: Sequence[RunPageKey], *, on_result: OnResult[RunPageKey, Page[RunObject]] | None = None
    ) -> Results[Page[RunObject]]:
        """List pages of runs."""

    async def list_run_steps(
        self, keys: Sequence[RunStepPageKey], *, on_result: OnResult[RunStepPageKey, Page[RunStepObject]] | None = None
    ) -> Results[Page[RunStepObject]]:
        """List pages of run steps."""

    async def list_assistants(
        self,
        keys: Sequence[AssistantPageKey],
        *,
        on_result: OnResult[AssistantPageKey, Page[AssistantObject]] | None = None,
    ) -> Results[Page[AssistantObject]]:
        """List pages of assistants."""

    async def list_message_files(
        self,
        keys: Sequence[MessageFilePageKey],
        *,
        on_result: OnResult[MessageFilePageKey, Page[MessageFileObject]] | None = None,
    ) -> Results[Page[MessageFileObject]]:
        """List pages of files of messages."""

    async def create_thread(self, body: ThreadBody) -> ThreadObject:
        """Create a thread, with its first messages."""

    async def update_thread(self, key: ThreadKey, body: ThreadUpdateBody) -> ThreadObject:
        """Change a thread."""

    async def delete_thread(self, key: ThreadKey) -> None:
        """Delete a thread with its contents."""

    async def create_message(self, thread: ThreadKey, body: MessageBody) -> MessageObject:
        """Add a message to a thread."""

    async def update_message(self, key: MessageKey, body: MetadataUpdateBody) -> MessageObject:
        """Change a message."""

    async def delete_message(self, key: MessageKey) -> None:
        """Delete a message (version 2)."""

    async def create_run(self, thread: ThreadKey, body: RunBody) -> RunObject:
        """Start a run on a thread."""

    async def create_thread_and_run(self, body: ThreadAndRunBody) -> RunObject:
        """Create a thread and start a run on it. The run's `thread_id` names the thread."""

    async def update_run(self, key: RunKey, body: MetadataUpdateBody) -> RunObject:
        """Change a run."""

    async def cancel_run(self, key: RunKey) -> RunObject:
        """Request the cancellation of a run."""

    async def submit_tool_outputs(self, key: RunKey, body: ToolOutputsBody) -> RunObject:
        """Submit the results of the function calls that a run waits for."""

    async def create_assistant(self, body: AssistantBody) -> AssistantObject:
        """Create an assistant."""

    async def update_assistant(self, key: AssistantKey, body: AssistantUpdateBody) -> AssistantObject:
        """Change an assistant."""

    async def delete_assistant(self, key: AssistantKey) -> None:
        """Delete an assistant."""


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

    async def find_response(self, key: ResponseKey) -> bytes | None:
        """Return the cached data of a query as JSON, if all its reads would still have the same results.

        Sends no request upstream.
        """

    def store_response(self, key: ResponseKey, data: bytes) -> None:
        """Cache the data of the query that was executed over this port, if its reads can be checked later.

        The query must have had no errors and no writes.
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
