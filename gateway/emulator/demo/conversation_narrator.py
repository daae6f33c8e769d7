"""The writer of the demo's conversations: the same stories as its threads, as items and responses."""

from collections.abc import Mapping, Sequence

from gateway.emulator.bodies.new_responses import response_from_body
from gateway.emulator.bodies.output_items import input_item_from_message
from gateway.emulator.bodies.response_bodies import CreateResponse
from gateway.emulator.demo.narrator import Narrator
from gateway.emulator.objects import Assistant, FunctionCall, JsonObject, Message, Metadata, Run
from gateway.emulator.response_objects import Conversation
from gateway.emulator.runs.lifecycle import early_end_events, timed_events
from gateway.emulator.runs.response_timeline import script_for_response
from gateway.emulator.runs.schedule import timeline_from_script
from gateway.emulator.runs.script import Action
from gateway.emulator.state.response_state import add_items, progress_of
from gateway.emulator.state.run_timelines import replace_pending_events, start_response

# The longest actions take less time.
_RESPONSE_SECONDS = 12
_SECONDS_UNTIL_CANCELLED = 2


class ConversationNarrator(Narrator):
    """The writer of one demo conversation, named as the thread of the same story: `conv_demoRefundPending0000001`.

    A conversation has no tool resources, and a message has no metadata. A call that nobody answers waits for ever.
    """

    # The messages of the thread have the numbers below.
    _FIRST_NUMBER = 5001

    def run(
        self,
        assistant: Assistant,
        *actions: Action,
        outputs: Mapping[str, str] | None = None,
        then: Sequence[Action] = (),
        metadata: Metadata | None = None,
        waits_until: float | None = None,  # noqa: ARG002 - nothing expires here
        is_cancelled: bool = False,
    ) -> Run:
        """Add a response by an assistant, and one with the outputs of its calls. Returns the run of the last one."""
        self.wait(1)
        run = self._respond(assistant, actions, (), metadata or {}, is_cancelled=is_cancelled)
        if outputs is not None:
            response = self._store.responses.get(self._partition, run.id)
            calls = [call for step in response.steps for call in step.tool_calls] if response else []
            items = [
                {
                    "id": self.new_id("fco"),
                    "type": "function_call_output",
                    "status": "completed",
                    "call_id": call.id,
                    "output": outputs[call.name],
                }
                for call in calls
                if isinstance(call, FunctionCall)
            ]
            run = self._respond(assistant, then, items, metadata or {})
        return run

    def modify_messages(self, run: Run, metadata: Metadata) -> None:
        """Do nothing: the items of a conversation have no metadata."""

    def _store_story(self, metadata: Metadata, tool_resources: JsonObject) -> None:  # noqa: ARG002 - there are none
        self.thread_id = conversation_id(self.thread_id)
        conversation = Conversation(id=self.thread_id, created_at=int(self.at), metadata=metadata)
        self._store.conversations.add(self._partition, conversation)

    def _store_message(self, message: Message) -> None:
        item = input_item_from_message(message)
        add_items(self._store, self._partition, self.thread_id, [item], message.created_at)

    def _respond(
        self,
        assistant: Assistant,
        actions: Sequence[Action],
        items: Sequence[JsonObject],
        metadata: Metadata,
        *,
        is_cancelled: bool = False,
    ) -> Run:
        response = response_from_body(
            CreateResponse.model_validate(
                {
                    "model": assistant.model,
                    "conversation": self.thread_id,
                    "instructions": assistant.instructions,
                    "tools": tuple(_response_tool(tool, assistant.tool_resources) for tool in assistant.tools),
                    "temperature": assistant.temperature,
                    "metadata": metadata,
                    "truncation": "auto",
                    "background": True,
                    "stream": True,
                    "store": True,
                }
            ),
            items,
            response_id=self.new_id("resp"),
            created_at=int(self.at),
        )
        timeline = timeline_from_script(script_for_response(self._script(actions)), self.at, self.new_id)
        start_response(self._store, self._partition, response, timeline)
        if is_cancelled:
            self.wait(_SECONDS_UNTIL_CANCELLED)
            self._updated_run(response.run)
            current = self._store.responses.get(self._partition, response.id) or response
            progress = progress_of(current)
            pending = timed_events(early_end_events(progress, "cancelled"), self.at)
            replace_pending_events(self._store, self._partition, progress, pending, self.at)
            self.wait(-_SECONDS_UNTIL_CANCELLED)
        self.wait(_RESPONSE_SECONDS)
        return self._updated_run(response.run)


def conversation_id(thread_id: str) -> str:
    """Return the id of the conversation that tells the story of a demo thread."""
    return f"conv_{thread_id.removeprefix('thread_')}"


def _response_tool(tool: JsonObject, resources: JsonObject) -> JsonObject:
    match tool["type"]:
        case "function":
            function = tool["function"]
            return {"type": "function", **function}
        case "file_search":
            store_ids = resources.get("file_search", {}).get("vector_store_ids", [])
            return {"type": "file_search", "vector_store_ids": tuple(store_ids)}
        case _:
            files = resources.get("code_interpreter", {}).get("file_ids", [])
            return {"type": "code_interpreter", "container": {"type": "auto", "file_ids": tuple(files)}}
