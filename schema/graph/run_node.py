"""The node type `Run` and its lists."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import strawberry

from schema.contract.keys import AssistantKey, RunKey, RunStepKey, ThreadKey
from schema.contract.kinds import RUN_STEPS, RUNS, RunStepPageKey
from schema.contract.paging import CursorScope, PagingLimits, window_from_arguments
from schema.contract.statuses import TERMINAL_STATUSES, is_terminal
from schema.contract.wire import RunObject
from schema.graph.assistant_node import Assistant
from schema.graph.connections import After, Before, Connection, ConnectionPlan, First, Last, connect, list_field
from schema.graph.documented_field import deprecated, documented_field
from schema.graph.enums import ReasoningEffort, RunStatus, recognize, recognize_optional
from schema.graph.from_wire import (
    integer_from_wire,
    required_action_from_wire,
    run_error_from_wire,
    tool_resources_from_wire,
    tools_from_wire,
    truncation_from_wire,
    usage_from_wire,
)
from schema.graph.leaf_types import RequiredAction, RunError, Tool, ToolResources, TruncationStrategy, Usage
from schema.graph.node import NOT_LOADED, VERSION_1, Node
from schema.graph.references import key_reference, refer_to, reference
from schema.graph.scalars import JSON, DateTime, Metadata, global_file_ids, to_date_time, to_json, to_metadata

_STATUSES_WITHOUT_ACTION = TERMINAL_STATUSES | {"queued", "in_progress", "cancelling"}


@strawberry.type(description="One execution of an assistant on a thread.")
class Run(Node):
    """Source: schema `RunObject`."""

    KIND: ClassVar = RUNS
    TYPE_NAME: ClassVar = KIND.type_name

    key: strawberry.Private[RunKey]
    wire: strawberry.Private[RunObject] = NOT_LOADED

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's id of the run, such as `run_abc123`."""
        return self.key.run_id

    @documented_field
    def created_at(self) -> DateTime | None:
        """The time when the run was created. Null if the upstream does not send it."""
        return to_date_time(self.wire.created_at or None)

    @key_reference
    def thread(self) -> Thread | None:
        """The thread of the run. Null if it could not be read."""
        return refer_to(Thread, ThreadKey(self.key.thread_id))

    @reference
    def assistant(self) -> Assistant | None:
        """The run's assistant. Null if it no longer exists."""
        assistant_id = self.wire.assistant_id
        return refer_to(Assistant, AssistantKey(assistant_id)) if assistant_id else None

    @documented_field
    def status(self) -> RunStatus:
        """The status of the run."""
        return recognize(RunStatus, self.wire.status)

    @documented_field
    def is_terminal(self) -> bool:
        """Whether the status is final: it can no longer change."""
        return is_terminal(self.wire.status)

    @documented_field
    def required_action(self) -> RequiredAction | None:
        """The action that the run waits for. Null unless the run waits for the client."""
        if self.wire.status in _STATUSES_WITHOUT_ACTION:
            return None  # some servers leave the action that was answered
        return required_action_from_wire(self.wire.required_action)

    @documented_field
    def last_error(self) -> RunError | None:
        """The error of a run that failed. Null for any other run."""
        return run_error_from_wire(self.wire.last_error)

    @documented_field
    def incomplete_reason(self) -> str | None:
        """The limit that stopped the run, such as `max_completion_tokens`. Null if no limit did."""
        return self.wire.incomplete_details.reason if self.wire.incomplete_details else None

    @documented_field
    def expires_at(self) -> DateTime | None:
        """The time when the run will expire unless it is finished. Null once its status is final."""
        return None if is_terminal(self.wire.status) else to_date_time(self.wire.expires_at)

    @documented_field
    def started_at(self) -> DateTime | None:
        """The time when the run was last started. Null before that."""
        return to_date_time(self.wire.started_at)

    @documented_field
    def cancelled_at(self) -> DateTime | None:
        """The time when the run was cancelled. Null if it was not."""
        return to_date_time(self.wire.cancelled_at)

    @documented_field
    def failed_at(self) -> DateTime | None:
        """The time when the run failed. Null if it did not."""
        return to_date_time(self.wire.failed_at)

    @documented_field
    def completed_at(self) -> DateTime | None:
        """The time when the run was completed. Null if it was not."""
        return to_date_time(self.wire.completed_at)

    @documented_field
    def model(self) -> str | None:
        """The model that answers."""
        return self.wire.model

    @documented_field
    def instructions(self) -> str | None:
        """The instructions for the model in this run. Null for users who may not see them."""
        return self.wire.instructions

    @documented_field
    def tools(self) -> list[Tool]:
        """The tools that the model may use in this run. Empty for users who may not see them."""
        return tools_from_wire(self.wire.tools)

    @documented_field
    def tool_resources(self) -> ToolResources | None:
        """The files and vector stores that the tools may use in this run.

        Null in version 1 of the API, and for users who may not see them.
        """
        return tool_resources_from_wire(self.wire.tool_resources)

    @documented_field
    def reasoning_effort(self) -> ReasoningEffort | None:
        """The reasoning effort of a reasoning model. Null if none is set, and in version 1 of the API."""
        return recognize_optional(ReasoningEffort, self.wire.reasoning_effort)

    @documented_field
    def temperature(self) -> float | None:
        """The sampling temperature, from 0 to 2. Higher values make the answer more random."""
        return self.wire.temperature

    @documented_field
    def top_p(self) -> float | None:
        """The share of likely words that the model chooses from (nucleus sampling), from 0 to 1."""
        return self.wire.top_p

    @documented_field
    def max_prompt_tokens(self) -> int | None:
        """The most tokens that the run may read. Null if there is no such limit."""
        return integer_from_wire(self.wire.max_prompt_tokens)

    @documented_field
    def max_completion_tokens(self) -> int | None:
        """The most tokens that the run may write. Null if there is no such limit."""
        return integer_from_wire(self.wire.max_completion_tokens)

    @documented_field
    def truncation_strategy(self) -> TruncationStrategy | None:
        """The part of the thread that the run reads."""
        return truncation_from_wire(self.wire.truncation_strategy)

    @documented_field
    def tool_choice(self) -> JSON | None:
        """The tools that the model may or must use: `none`, `auto`, `required`, or an object that names a tool."""
        return to_json(self.wire.tool_choice)

    @documented_field
    def parallel_tool_calls(self) -> bool | None:
        """Whether the model may call several functions at once."""
        return self.wire.parallel_tool_calls

    @documented_field
    def response_format(self) -> JSON | None:
        """The format of the answer: `auto`, or an object that describes a format."""
        return to_json(self.wire.response_format)

    @documented_field
    def usage(self) -> Usage | None:
        """The tokens that the run used. Null until its status is final."""
        return usage_from_wire(self.wire.usage)

    @documented_field
    def metadata(self) -> Metadata:
        """Key-value pairs that the client stores with the run."""
        return to_metadata(self.wire.metadata)

    @list_field
    def steps(
        self, limits: PagingLimits, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[RunStep] | None:
        """The steps of the run, oldest first."""
        key, scope = self.key, CursorScope("steps", self.key)
        window = window_from_arguments(scope, limits, first=first, after=after, last=last, before=before)
        return connect(
            ConnectionPlan(
                RUN_STEPS,
                RunStepPageKey(key.thread_id, key.run_id, window),
                scope,
                lambda wire: RunStep(key=RunStepKey(key.thread_id, key.run_id, wire.id), wire=wire),
            )
        )

    @list_field
    def messages(
        self, limits: PagingLimits, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Message] | None:
        """The messages that the run wrote, oldest first."""
        # This is the thread's list with a filter. For a run that does not exist the upstream returns an empty list.
        scope = CursorScope("messages", self.key)
        window = window_from_arguments(scope, limits, first=first, after=after, last=last, before=before)
        return connect(replace(plan_messages(self.key.thread_id, self.key.run_id, scope, window), proves_owner=False))

    @deprecated(VERSION_1)
    def file_ids(self) -> list[strawberry.ID]:
        """The global IDs of the files that the run may read.

        Empty in version 2 of the API, and for users who may not see them.
        """
        return global_file_ids(self.wire.file_ids)


from schema.graph.message_node import Message, plan_messages  # noqa: E402 - the types form a circle, see node.py
from schema.graph.run_step_node import RunStep  # noqa: E402 - the types form a circle, see node.py
from schema.graph.thread_node import Thread  # noqa: E402 - the types form a circle, see node.py
