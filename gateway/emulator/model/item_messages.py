"""The messages of the chat-completions API that a response's items become. Pure.

Calls in a row are one assistant's message. Items of other types are omitted, as are uploaded images.
"""

from collections.abc import Sequence

from gateway.emulator.objects import JsonObject
from gateway.emulator.runs.item_texts import item_text

_TEXTS = frozenset({"input_text", "output_text", "refusal"})


def chat_messages_from_items(items: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the messages of a conversation, oldest first."""
    messages: list[JsonObject] = []
    for item in items:
        match item["type"]:
            case "message" if content := _content(item):
                role = "system" if item["role"] == "developer" else item["role"]
                messages.append({"role": role, "content": content})
            case "function_call":
                function = {"name": item["name"], "arguments": item["arguments"]}
                call = {"id": item["call_id"], "type": "function", "function": function}
                if messages and messages[-1].get("tool_calls"):
                    messages[-1]["tool_calls"].append(call)
                else:
                    messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            case "function_call_output":
                output = item_text(item["output"])
                messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": output})
    return messages


def _content(item: JsonObject) -> str | list[JsonObject]:
    parts = item["content"]
    images = [part for part in parts if part["type"] == "input_image" and part.get("image_url")]
    if not images:
        return "\n".join(part.get("text") or part.get("refusal") or "" for part in parts if part["type"] in _TEXTS)
    content: list[JsonObject] = []
    for part in parts:
        if part["type"] in _TEXTS:
            content.append({"type": "text", "text": item_text([part])})
        elif part in images:
            image = {"url": part["image_url"], "detail": part["detail"]}
            content.append({"type": "image_url", "image_url": image})
    return content
