"""The request to a model for a run, in the form of the chat-completions API. Pure.

The run's instructions are the system message. Then follow the thread's messages, or the items that a response reads,
and then the run's own messages, calls and outputs so far. Only function tools are offered: the code interpreter and the
file search are the emulator's own, and it has no files. Uploaded images are omitted for the same reason.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Sequence
from typing import Any

from gateway.emulator.objects import (
    ContentPart,
    FunctionCall,
    ImageUrlPart,
    JsonObject,
    Message,
    RefusalPart,
    Run,
    TextPart,
)
from gateway.emulator.runs.answer_texts import count_content_tokens, count_tokens
from gateway.emulator.runs.progress import Progress


def chat_messages(messages: Sequence[Message]) -> list[JsonObject]:
    """Return the messages of a thread, oldest first, without those of which nothing can be sent."""
    return [{"role": message.role, "content": content} for message in messages if (content := _content(message))]


def chat_request(progress: Progress, before: Sequence[JsonObject], model: str | None = None) -> JsonObject:
    """Return the body of the request.

    Options with the API's default value are omitted, since some servers do not know all of them.

    Args:
        progress: The run so far.
        before: The messages before the run, oldest first, in the form of the request.
        model: The model to ask. The run's own model if None.
    """
    run = progress.run
    system = [{"role": "system", "content": run.instructions}] if run.instructions else []
    return {
        "model": model or run.model,
        "messages": [*system, *before, *_run_messages(progress)],
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampling(progress),
        **_tools(progress),
    }


def remaining_tokens(progress: Progress) -> int | None:
    """Return the number of tokens that the run may still write. Its limit is for all its answers. None is no limit."""
    limit = progress.run.max_completion_tokens
    if limit is None:
        return None
    return limit - sum(step.usage.completion_tokens for step in progress.steps.values() if step.usage)


def estimate_prompt_tokens(progress: Progress, tokens_before: int) -> int:
    """Return the estimated prompt tokens of the request, for servers that report no usage.

    `tokens_before` is the estimate for the messages before the run.
    """
    run = progress.run
    return (
        tokens_before
        + sum(count_content_tokens(message.content) for message in progress.messages.values())
        + count_tokens(run.instructions or "")
        + sum(count_tokens(str(tool)) for tool in _functions(run))
        + sum(count_tokens(call.arguments + (call.output or "")) for call in function_calls(progress))
    )


def function_calls(progress: Progress) -> list[FunctionCall]:
    """Return all function calls that the run has made."""
    return [call for step in progress.steps.values() for call in step.tool_calls if isinstance(call, FunctionCall)]


def _sampling(progress: Progress) -> JsonObject:
    run = progress.run
    options: JsonObject = {}
    if run.temperature not in {None, 1.0}:
        options["temperature"] = run.temperature
    if run.top_p not in {None, 1.0}:
        options["top_p"] = run.top_p
    if run.reasoning_effort is not None:
        options["reasoning_effort"] = run.reasoning_effort
    if run.response_format != "auto":
        options["response_format"] = run.response_format
    if (remaining := remaining_tokens(progress)) is not None:
        options["max_completion_tokens"] = remaining
    return options


def _tools(progress: Progress) -> JsonObject:
    run = progress.run
    functions = _functions(run)
    if not functions:
        return {}
    tools: JsonObject = {"tools": functions}
    choice = _choice(run.tool_choice, is_answered=bool(function_calls(progress)))
    if choice is not None:
        tools["tool_choice"] = choice
    if not run.parallel_tool_calls:
        tools["parallel_tool_calls"] = False
    return tools


def _functions(run: Run) -> list[JsonObject]:
    functions = [tool["function"] for tool in run.tools if tool["type"] == "function"]
    return [
        {"type": "function", "function": {key: value for key, value in function.items() if value is not False}}
        for function in functions
    ]


def _choice(choice: Any, *, is_answered: bool) -> Any:
    """Return the tool choice of the request. None for the default.

    A required call is required only once: a model that had to call again after each output would never end (assumed,
    since no recorded traffic shows it).
    """
    if isinstance(choice, dict):
        return choice if choice["type"] == "function" and not is_answered else None
    if choice == "auto" or (choice == "required" and is_answered):
        return None
    return choice


def _content(message: Message) -> str | list[JsonObject]:
    """Return a message's content: text, or parts if a user's message has images. Empty if nothing can be sent."""
    has_images = message.role == "user" and any(isinstance(part, ImageUrlPart) for part in message.content)
    if not has_images:
        return _text(message.content)
    parts: list[JsonObject] = []
    for part in message.content:
        match part:
            case TextPart(value=text):
                parts.append({"type": "text", "text": text})
            case ImageUrlPart(url=url, detail=detail):
                parts.append({"type": "image_url", "image_url": {"url": url, "detail": detail}})
    return parts


def _run_messages(progress: Progress) -> list[JsonObject]:
    """Return the run's own messages, calls and outputs, in order."""
    entries: list[JsonObject] = []
    texts: list[str] = []
    for step in progress.steps.values():
        if step.message_id is not None:
            # A client may have deleted the message.
            message = progress.messages.get(step.message_id)
            texts += [text] if message and (text := _text(message.content)) else []
            continue
        calls = [call for call in step.tool_calls if isinstance(call, FunctionCall)]
        entries.append(
            {
                "role": "assistant",
                "content": "\n".join(texts) or None,
                "tool_calls": [
                    {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                    for call in calls
                ],
            }
        )
        entries += [{"role": "tool", "tool_call_id": call.id, "content": call.output or ""} for call in calls]
        texts = []
    return [*entries, {"role": "assistant", "content": "\n".join(texts)}] if texts else entries


def _text(content: Sequence[ContentPart]) -> str:
    texts: list[str] = []
    for part in content:
        match part:
            case TextPart(value=text) | RefusalPart(refusal=text):
                texts.append(text)
    return "\n".join(texts)
