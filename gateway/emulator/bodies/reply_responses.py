"""Replies about conversations and responses: stored objects rendered as JSON. Pure.

Source: `ConversationResource` and `Response` of the specification.
"""

from collections.abc import Collection

from gateway.emulator.bodies.output_items import output_items, shown_item
from gateway.emulator.objects import Failure, JsonObject, Run, RunStatus, Usage
from gateway.emulator.response_objects import Conversation, Response

# The codes that the specification has for the failures of the emulator. Any other one is `server_error`.
_ERROR_CODES = frozenset({"server_error", "rate_limit_exceeded"})
_INCOMPLETE_REASONS = {"max_completion_tokens": "max_output_tokens", "max_prompt_tokens": "max_output_tokens"}
# A response has neither state of its own: it ends with its calls, and never expires.
_STATUSES: dict[RunStatus, str] = {"requires_action": "completed", "cancelling": "in_progress", "expired": "failed"}


def render_conversation(conversation: Conversation) -> JsonObject:
    """Return a conversation."""
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": conversation.created_at,
        "metadata": conversation.metadata,
    }


def response_status(response: Response) -> str:
    """Return the status of a response. One in the foreground is never queued."""
    run = response.run
    if run.status == "queued" and not response.is_background:
        return "in_progress"
    return _STATUSES.get(run.status, run.status)


def render_response(response: Response, includes: Collection[str] = ()) -> JsonObject:
    """Return a response, with those fields of its items that a client includes."""
    run = response.run
    status = response_status(response)
    return {
        "id": response.id,
        "object": "response",
        "created_at": response.created_at,
        "status": status,
        "background": response.is_background,
        "completed_at": run.completed_at if status == "completed" else None,
        "error": _error(run, status),
        "incomplete_details": _incomplete_details(run),
        "instructions": run.instructions,
        "max_output_tokens": run.max_completion_tokens,
        "model": run.model,
        "output": [shown_item(item, includes) for item in output_items(response)],
        "parallel_tool_calls": run.parallel_tool_calls,
        "conversation": None if response.conversation_id is None else {"id": response.conversation_id},
        "previous_response_id": response.previous_response_id,
        **response.shown_options,
        "store": response.store is not False,
        "temperature": run.temperature,
        "top_p": run.top_p,
        "usage": _usage(run.usage),
        "metadata": run.metadata,
    }


def render_deleted_conversation(conversation_id: str) -> JsonObject:
    """Return the reply to the deletion of a conversation."""
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}


def render_deleted_response(response_id: str) -> JsonObject:
    """Return the reply to the deletion of a response."""
    return {"id": response_id, "object": "response", "deleted": True}


def _error(run: Run, status: str) -> JsonObject | None:
    if status != "failed":
        return None
    failure = run.last_error or Failure("server_error", "The response did not end in time.")
    return {
        "code": failure.code if failure.code in _ERROR_CODES else "server_error",
        "message": failure.message,
    }


def _incomplete_details(run: Run) -> JsonObject | None:
    reason = run.incomplete_reason
    return None if reason is None else {"reason": _INCOMPLETE_REASONS.get(reason, reason)}


def _usage(usage: Usage | None) -> JsonObject | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
