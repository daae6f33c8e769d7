"""What the schema asks of the world: Protocols that `gateway` implements, a cache decorates and a fake replaces.

The port is plural. A read takes a batch of keys and answers with one value for each, in the same order: the
object, or the `GatewayError` that kept it away. It never raises for a single key, so one failure costs one key.
An implementation is bound to one principal: nothing in a key says whose data it names.
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
"""Told of a key's answer, or of the error in its place, as soon as it is here. Never raises."""


class FetchLists(Protocol[KeyT, ValueT_co]):
    """A function of the port that reads lists."""

    async def __call__(
        self, keys: Sequence[KeyT], *, on_result: OnResult[KeyT, ValueT_co] | None = None
    ) -> Results[ValueT_co]:
        """Read a batch."""


class MessagePageKey(NamedTuple):
    """A page of a thread's messages, or of those that one run wrote."""

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
    """A page of the assistants."""

    window: Window


class MessageFilePageKey(NamedTuple):
    """A page of a message's files (version 1)."""

    thread_id: str
    message_id: str
    window: Window


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the upstream can do, so that a frontend can adapt."""

    dialect: str
    version: str
    streaming: bool
    deletes_messages: bool
    lists_threads: bool
    message_files: bool


class ThreadsApi(Protocol):
    """The upstream on behalf of one principal.

    Reads are plural and give errors as values; every page key's window asks for at most `paging.UPSTREAM_PAGE_SIZE`
    objects. A write is singular: it is sent at most once and raises a `GatewayError` when it failed, one that is not
    retryable and says so where nobody knows whether the write took place. The `argument` of a refusal is the place
    in the body, its parts joined by dots.

    Lists may land: `on_result` is told of each answer at most once, in the running loop, and of none after the read has
    ended or was cancelled; not every key need land, and what is returned is complete and the same. So the slowest
    list of a batch holds up none of the others. Single objects do not land: what waits for them is mostly a leaf, and
    what does follow (references of one thread's objects) takes fewer calls when it is asked for together.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What the upstream behind this port can do."""

    @property
    def cost(self) -> Cost:
        """What was done through this port so far; a decorator gives, and counts into, the cost of what it wraps."""

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
        """Delete a thread with all that is in it."""

    async def create_message(self, thread: ThreadKey, body: MessageBody) -> MessageObject:
        """Add a message to a thread."""

    async def update_message(self, key: MessageKey, body: MetadataUpdateBody) -> MessageObject:
        """Change a message."""

    async def delete_message(self, key: MessageKey) -> None:
        """Delete a message (version 2)."""

    async def create_run(self, thread: ThreadKey, body: RunBody) -> RunObject:
        """Start a run on a thread."""

    async def create_thread_and_run(self, body: ThreadAndRunBody) -> RunObject:
        """Create a thread and start a run on it; the run's `thread_id` says which."""

    async def update_run(self, key: RunKey, body: MetadataUpdateBody) -> RunObject:
        """Change a run."""

    async def cancel_run(self, key: RunKey) -> RunObject:
        """Tell a run to stop."""

    async def submit_tool_outputs(self, key: RunKey, body: ToolOutputsBody) -> RunObject:
        """Answer the function calls that a run waits for."""

    async def create_assistant(self, body: AssistantBody) -> AssistantObject:
        """Create an assistant."""

    async def update_assistant(self, key: AssistantKey, body: AssistantUpdateBody) -> AssistantObject:
        """Change an assistant."""

    async def delete_assistant(self, key: AssistantKey) -> None:
        """Delete an assistant."""


class ResponseKey(NamedTuple):
    """What a query's data depends on beside the answers of the port: equal questions read and show the same.

    `variables` are JSON whose keys are sorted, `schema` stands for all that is the same for a process.
    """

    schema: Hashable
    text: str
    operation_name: str | None
    variables: bytes
    limits: PagingLimits
    capabilities: Capabilities


@runtime_checkable
class ResponseCache(Protocol):
    """A port of one operation and one principal that knows whole answers again."""

    async def find_response(self, question: ResponseKey) -> bytes | None:
        """Give the data of the same query as JSON, if all reads for it would be answered as then; asks nobody."""

    def store_response(self, question: ResponseKey, data: bytes) -> None:
        """Keep the data of the query that was executed over this port, if it can be known again.

        It had no errors, and nothing was written.
        """


class EventFeed(Protocol):
    """One reader's way through a log of events, in order; an asynchronous iterator that can be asked without waiting.

    It ends after a run's terminal event. A reader that is too slow gets `LaggedChange` and the present state. It
    costs nothing while nobody takes from it but its place in the log.
    """

    def take(self) -> RunEvent | None:
        """Give the next event that is here; None where there is none yet.

        Raises StopAsyncIteration at the end, and the `GatewayError` that keeps anything more from coming.
        """

    def on_news(self, callback: Callable[[], None]) -> None:
        """Call `callback`, in the loop and never from within `take`, whenever `take` may have something to say."""

    def __aiter__(self) -> EventFeed:
        """Iterate over what `take` gives, waiting in between."""

    async def __anext__(self) -> RunEvent:
        """Give the next event, however long it takes to come."""

    async def aclose(self) -> None:
        """Leave. The last reader that leaves ends the polling of its run."""


class RunEvents(Protocol):
    """What happens in runs and on threads, for one principal.

    `after` is a cursor of an event of the same log: the feed goes on behind it. Where the log no longer has that
    place, the feed begins with a `FaultChange` of code `CURSOR_EXPIRED` and then as without a cursor. Every method
    raises a `GatewayError` for a run or thread that cannot be had, and for a text that is no cursor of this log.
    """

    async def follow_status(self, key: RunKey, *, after: str | None = None) -> EventFeed:
        """Follow a run's status: the present one (`Provenance.SNAPSHOT`), then each change; only `StatusChange`s."""

    async def follow_run(self, key: RunKey, *, after: str | None = None) -> EventFeed:
        """Follow all that happens in a run, beginning with the oldest `SnapshotChange` that is kept."""

    async def follow_thread(self, key: ThreadKey, *, after: str | None = None) -> EventFeed:
        """Follow new messages, new runs and their statuses, beginning with the status of every run under way."""
