"""The record of a thread that is being created, from the intent before the call to the id that comes back."""

from __future__ import annotations

from gateway.ledger.ownership import CreateIntent
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_streams import RunStream, StreamEvent
from schema.contract.wire import RunObject, ThreadObject

REFUSALS = frozenset(
    {
        ErrorCode.BAD_USER_INPUT,
        ErrorCode.UNAUTHENTICATED,
        ErrorCode.FORBIDDEN,
        ErrorCode.NOT_FOUND,
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        ErrorCode.UPSTREAM_REFUSED,
    }
)
"""Codes of errors that mean that the upstream created nothing."""


class ThreadCreation:
    """One create whose intent is recorded. The id is recorded once, by the response or by the stream of its run."""

    def __init__(self, intent: CreateIntent) -> None:
        self._intent = intent
        self.thread_id: str | None = None

    async def record_result(self, result: object) -> None:
        """Record the thread that a response, or an event of a stream, names."""
        if isinstance(result, ThreadObject):
            await self._record_id(result.id)
        elif isinstance(result, RunObject) and result.thread_id is not None:
            await self._record_id(result.thread_id)

    def record_failure(self, error: GatewayError) -> None:
        """Discard the intent if the upstream surely created nothing.

        A write that may have taken place is not retryable. If the upstream did not say so, nobody owns what it made.
        """
        if self.thread_id is None and (error.retryable or error.code in REFUSALS):
            self._intent.discard()

    def watch_stream(self, stream: RunStream) -> RunStream:
        """Return the same stream, which records the thread before it passes on the first event that names it.

        So the owner is recorded also if the caller left, since the stream is read to its end.
        """
        return _CreatingStream(stream, self)

    async def _record_id(self, thread_id: str) -> None:
        if self.thread_id is None:
            self.thread_id = thread_id
            await self._intent.record_id(thread_id)


class _CreatingStream:
    """The stream of a run that is created with its thread."""

    def __init__(self, stream: RunStream, creation: ThreadCreation) -> None:
        self._stream = stream
        self._creation = creation

    @property
    def thread_id(self) -> str | None:
        return self._stream.thread_id

    async def read_events(self) -> list[StreamEvent]:
        events = await self._stream.read_events()
        if self._creation.thread_id is None:
            for event in events:
                await self._creation.record_result(event.wire)
        return events

    async def aclose(self) -> None:
        await self._stream.aclose()
