"""The text that a file search found, in streams of operations that cannot ask for it.

Only reads and createRun have the parameter `include[]`. In the stream of any other operation, a finished step whose
results have no text is read once.

Source: specification, version 2: the parameters of getRunStep, listRunSteps, createRun, createThreadAndRun and
submitToolOuputsToRun.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from schema.contract.errors import GatewayError
from schema.contract.keys import RunStepKey
from schema.contract.run_streams import RunStream, StreamEvent
from schema.contract.wire import RunObject, RunStepObject
from schema.contract.wire_parts import STEP_DETAILS_DECODER, TOOL_CALL_DECODER


def lacks_search_content(step: RunStepObject) -> bool:
    """Tell whether a step is finished and some result of its file searches has no text. Pure."""
    if step.status != "completed" or b"file_search" not in bytes(step.step_details):
        return False
    details = STEP_DETAILS_DECODER.decode_part(step.step_details)
    calls = [] if details is None else [TOOL_CALL_DECODER.decode_part(raw) for raw in details.tool_calls or ()]
    searches = [call.file_search for call in calls if call is not None and call.file_search is not None]
    return any(result.content is None for search in searches for result in search.results or ())


class SearchContentStream:
    """A run's stream whose finished steps have the text that file searches found.

    `run_id` is that of the request, if it names a run. No event waits for a step behind it, and no step is read before
    the run has come: until then the request that opened the stream holds a slot, and the read needs one too.
    """

    def __init__(
        self,
        stream: RunStream,
        run_id: str | None,
        read_step: Callable[[RunStepKey], Awaitable[RunStepObject | GatewayError]],
    ) -> None:
        self._stream = stream
        self._read_step = read_step
        self._run_id = run_id
        self._thread_id = stream.thread_id
        self._has_run_come = False
        self._early_steps: list[StreamEvent] = []
        self._next_events: list[StreamEvent] = []

    @property
    def thread_id(self) -> str | None:
        return self._stream.thread_id

    async def read_events(self) -> list[StreamEvent]:
        """Return the next events of the stream, or an empty list at the end. Raises the error of the stream."""
        events, self._next_events = self._next_events or await self._stream.read_events(), []
        for position, event in enumerate(events):
            wire = event.wire
            if isinstance(wire, RunObject):
                self._has_run_come = True
                self._run_id, self._thread_id = wire.id, wire.thread_id or self._thread_id
                if self._early_steps:  # they are repeated with their text
                    self._next_events = [*self._early_steps, *events[position + 1 :]]
                    self._early_steps = []
                    return events[: position + 1]
            elif isinstance(wire, RunStepObject) and lacks_search_content(wire):
                if not self._has_run_come:
                    self._early_steps.append(event)
                elif position:
                    self._next_events = events[position:]
                    return events[:position]
                else:
                    self._next_events = events[1:]
                    return [await self._with_content(event, wire)]
        return events

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def _with_content(self, event: StreamEvent, wire: RunStepObject) -> StreamEvent:
        if self._run_id is None or self._thread_id is None:
            return event
        step = await self._read_step(RunStepKey(self._thread_id, self._run_id, wire.id))
        if isinstance(step, GatewayError) or step.status != wire.status:
            return event  # the text can still be read by a query
        return replace(event, wire=step)
