"""The writer of past conversations for the demo. Their runs use the same schedule and events as live runs."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from gateway.emulator.objects import (
    RUN_LIFETIME_SECONDS,
    Assistant,
    Attachment,
    ContentPart,
    JsonObject,
    Message,
    Metadata,
    Role,
    Run,
    TextPart,
    Thread,
    Usage,
)
from gateway.emulator.runs.answer_texts import count_content_tokens, count_tokens
from gateway.emulator.runs.lifecycle import cancellation_events, tool_output_events
from gateway.emulator.runs.schedule import timeline_from_script
from gateway.emulator.runs.script import Action, Script
from gateway.emulator.state.run_timelines import (
    apply_due_events,
    load_progress,
    load_run,
    replace_pending_events,
    start_run,
)
from gateway.emulator.state.store import Store

_ID_LENGTH = 24
_READING_SECONDS = 20


class Narrator:
    """The writer of one demo thread. Its ids are readable and always the same: `msg_demoRefund00000000000002`.

    Attributes:
        thread_id: The thread, or what stands for it.
        at: The time in the story, in unix seconds.
    """

    _FIRST_NUMBER = 1

    def __init__(
        self,
        store: Store,
        partition: str,
        thread_id: str,
        started_at: float,
        *,
        metadata: Metadata | None = None,
        tool_resources: JsonObject | None = None,
    ) -> None:
        self.thread_id = thread_id
        self.at = started_at
        self._store = store
        self._partition = partition
        self._name = thread_id.removeprefix("thread_").rstrip("0123456789")
        self._numbers: Counter[str] = Counter()
        self._prompt_tokens = 0
        self._store_story(metadata or {}, tool_resources or {})

    def new_id(self, prefix: str) -> str:
        """Return the next readable id with this prefix in this thread."""
        number = self._FIRST_NUMBER + self._numbers[prefix]
        self._numbers[prefix] += 1
        separator, length = ("-", _ID_LENGTH - 2) if prefix == "file" else ("_", _ID_LENGTH)
        return prefix + separator + self._name + str(number).zfill(length - len(self._name))

    def wait(self, seconds: float) -> None:
        """Move the story's time forward."""
        self.at += seconds

    def say(
        self,
        *content: str | ContentPart,
        role: Role = "user",
        attachments: Sequence[Attachment] = (),
        metadata: Metadata | None = None,
    ) -> Message:
        """Add a client's message, a little later than the event before it."""
        self.wait(_READING_SECONDS)
        message = Message(
            id=self.new_id("msg"),
            thread_id=self.thread_id,
            created_at=int(self.at),
            role=role,
            content=tuple(TextPart(value=part) if isinstance(part, str) else part for part in content),
            attachments=tuple(attachments),
            metadata=metadata or {},
            completed_at=int(self.at),
        )
        self._prompt_tokens += count_content_tokens(message.content)
        self._store_message(message)
        return message

    def run(
        self,
        assistant: Assistant,
        *actions: Action,
        outputs: Mapping[str, str] | None = None,
        then: Sequence[Action] = (),
        metadata: Metadata | None = None,
        waits_until: float | None = None,
        is_cancelled: bool = False,
    ) -> Run:
        """Add a run of an assistant, and return its last state.

        Args:
            assistant: The run's assistant.
            actions: The run's first actions.
            outputs: The outputs of the run's function calls, by function name.
            then: The actions after the outputs.
            metadata: The run's metadata.
            waits_until: The expiry of a run that stays waiting, in unix seconds.
            is_cancelled: Whether the run is cancelled after 2 seconds.
        """
        self.wait(1)
        run = self._new_run(assistant, metadata or {}, waits_until)
        timeline = timeline_from_script(self._script(actions), self.at, self.new_id)
        start_run(self._store, self._partition, run, timeline)
        # The longest actions take less time.
        self.wait(12)
        if is_cancelled:
            self.wait(-10)
            run = self._updated_run(run)
            progress = load_progress(self._store, self._partition, run)
            pending = cancellation_events(progress, self.at)
            replace_pending_events(self._store, self._partition, progress, pending, self.at)
            self.wait(10)
        if outputs is not None:
            run = self._updated_run(run)
            outputs_by_id = {call.id: outputs[call.name] for call in run.awaited_calls}
            usage = Usage(self._prompt_tokens, sum(count_tokens(call.arguments) for call in run.awaited_calls))
            progress = load_progress(self._store, self._partition, run)
            pending = (
                *tool_output_events(progress, outputs_by_id, usage, self.at),
                *timeline_from_script(self._script(then), self.at, self.new_id),
            )
            replace_pending_events(self._store, self._partition, progress, pending, self.at)
            self.wait(12)
        return self._updated_run(run)

    def modify_messages(self, run: Run, metadata: Metadata) -> None:
        """Set the metadata of a run's messages, such as a user's rating."""
        for message in load_progress(self._store, self._partition, run).messages.values():
            self._store.messages.replace(self._partition, replace(message, metadata=metadata))

    def _store_story(self, metadata: Metadata, tool_resources: JsonObject) -> None:
        thread = Thread(id=self.thread_id, created_at=int(self.at), metadata=metadata, tool_resources=tool_resources)
        self._store.threads.add(self._partition, thread)

    def _store_message(self, message: Message) -> None:
        self._store.messages.add(self._partition, message)

    def _script(self, actions: Sequence[Action]) -> Script:
        return Script(tuple(actions), prompt_tokens=self._prompt_tokens)

    def _updated_run(self, run: Run) -> Run:
        apply_due_events(self._store, self._partition, self.thread_id, self.at)
        return load_run(self._store, self._partition, run.id) or run

    def _new_run(self, assistant: Assistant, metadata: Metadata, waits_until: float | None) -> Run:
        created_at = int(self.at)
        return Run(
            id=self.new_id("run"),
            thread_id=self.thread_id,
            assistant_id=assistant.id,
            created_at=created_at,
            expires_at=created_at + RUN_LIFETIME_SECONDS if waits_until is None else int(waits_until),
            model=assistant.model,
            instructions=assistant.instructions,
            tools=assistant.tools,
            tool_resources=assistant.tool_resources,
            metadata=metadata,
        )


BeginStory: TypeAlias = Callable[..., Narrator]
"""A narrator without its store and partition: what a story is told to."""


def marked_text(text: str, marks: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return each mark with its start and its end in the text, in code points."""
    return [(mark, text.index(mark), text.index(mark) + len(mark)) for mark in marks]
