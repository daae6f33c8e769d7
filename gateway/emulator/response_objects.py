"""The stored objects of the successor API: conversations with their items, and responses.

A response is a run in another form: its words, tool calls and times come from the same timeline. So it holds a `Run`
with its steps and messages, whose `thread_id` is the conversation, or the response itself where it has none.
"""

from dataclasses import dataclass, field, replace

from gateway.emulator.ids import has_prefix
from gateway.emulator.objects import JsonObject, Message, Metadata, Run, Step

# There is no expiry: a response that hangs stays in progress until it is cancelled. Ten years stand for ever.
RESPONSE_LIFETIME_SECONDS = 10 * 365 * 86_400
# A background response that was not stored explicitly can be read for this long after its creation.
UNSTORED_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation, which is not a thread: neither can be read as the other."""

    id: str
    created_at: int
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationItem:
    """An item of a conversation. `body` is its JSON with everything that a client may ask to include."""

    id: str
    conversation_id: str
    created_at: int
    body: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A model's response.

    Attributes:
        run: The state, options and times that a response shares with a run.
        input: The items of the request, with their ids.
        is_background: Whether the response goes on without a reader.
        is_streamed: Whether it was created with a stream.
        store: The request's own word on storing. None if it said nothing.
        shown_options: The options of the request that are only shown again, in their own form.
        origin: The address that the request was sent to, as in `http://127.0.0.1:8001`.
    """

    id: str
    created_at: int
    run: Run
    steps: tuple[Step, ...] = ()
    messages: tuple[Message, ...] = ()
    input: tuple[JsonObject, ...] = ()
    conversation_id: str | None = None
    previous_response_id: str | None = None
    is_background: bool = False
    is_streamed: bool = False
    store: bool | None = None
    shown_options: JsonObject = field(default_factory=dict)
    origin: str = "http://127.0.0.1:8001"

    def is_readable(self, now: float) -> bool:
        """Return whether the response can be read by its id at this time."""
        if self.store is False or (self.store is None and self.is_background):
            return self.is_background and now < self.created_at + UNSTORED_SECONDS
        return True


def is_response(run: Run) -> bool:
    """Return whether a run is that of a response."""
    return has_prefix(run.id, "resp")


def queued_run(run: Run) -> Run:
    """Return the run as it was at its creation."""
    return replace(
        run,
        status="queued",
        started_at=None,
        completed_at=None,
        failed_at=None,
        cancelled_at=None,
        awaited_calls=(),
        last_error=None,
        incomplete_reason=None,
        usage=None,
    )
