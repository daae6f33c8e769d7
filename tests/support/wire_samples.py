"""Wire objects as an upstream would send them: decoded from JSON, with only the keys that a test needs."""

import json
from typing import Any, TypeVar

import msgspec

from schema.contract.wire import (
    AssistantObject,
    FileObject,
    MessageFileObject,
    MessageObject,
    RunObject,
    RunStepObject,
    ThreadObject,
)

ObjectT = TypeVar("ObjectT")

CREATED_AT = 1_699_009_709


def decoded(wire_type: type[ObjectT], sent: object) -> ObjectT:
    """Decode a body that every server could send. Unlike the client's decoder, this one refuses all others."""
    return msgspec.json.decode(json.dumps(sent), type=wire_type)


def raw(sent: object) -> msgspec.Raw:
    """Encode a part that is decoded only when it is selected."""
    return msgspec.Raw(json.dumps(sent).encode())


def raws(*sent: object) -> list[msgspec.Raw]:
    return [raw(part) for part in sent]


def thread(id: str = "thread_1", **fields: object) -> ThreadObject:
    return decoded(ThreadObject, {"id": id, "created_at": CREATED_AT, "object": "thread"} | fields)


def message(id: str = "msg_1", **fields: object) -> MessageObject:
    sent = {"id": id, "created_at": CREATED_AT, "object": "thread.message", "role": "user", "content": []}
    return decoded(MessageObject, sent | fields)


def run(id: str = "run_1", **fields: object) -> RunObject:
    sent = {"id": id, "created_at": CREATED_AT, "object": "thread.run", "status": "completed"}
    return decoded(RunObject, sent | {"assistant_id": "asst_1"} | fields)


def run_step(id: str = "step_1", **fields: object) -> RunStepObject:
    sent = {"id": id, "created_at": CREATED_AT, "object": "thread.run.step", "status": "completed"}
    return decoded(RunStepObject, sent | fields)


def assistant(id: str = "asst_1", **fields: object) -> AssistantObject:
    sent = {"id": id, "created_at": CREATED_AT, "object": "assistant", "model": "gpt-4o-mini"}
    return decoded(AssistantObject, sent | fields)


def message_file(id: str = "file-1", **fields: object) -> MessageFileObject:
    return decoded(MessageFileObject, {"id": id, "created_at": CREATED_AT} | fields)


def file(id: str = "file-1", **fields: object) -> FileObject:
    sent = {"id": id, "created_at": CREATED_AT, "object": "file", "filename": f"{id}.txt", "bytes": 7}
    return decoded(FileObject, sent | {"purpose": "assistants"} | fields)


# ---- whole objects, with every field that a query can show; each value of an open set stands only once ----

_FUNCTION_CALL = {
    "id": "call_function",
    "type": "function",
    "function": {"name": "call-name", "arguments": '{"call":1}', "output": "call-output"},
}
_CODE_CALL = {
    "id": "call_code",
    "type": "code_interpreter",
    "code_interpreter": {
        "input": "code-input",
        "outputs": [{"type": "logs", "logs": "code-logs"}, {"type": "image", "image": {"file_id": "file-code-image"}}],
    },
}
_SEARCH_CALL = {
    "id": "call_search",
    "type": "file_search",
    "file_search": {
        "ranking_options": {"ranker": "search-ranker", "score_threshold": 0.125},
        "results": [
            {
                "file_id": "file-search",
                "file_name": "search-name",
                "score": 0.375,
                "attributes": {"search-attribute": "search-attribute-value"},
                "content": [{"type": "text", "text": "search-text"}],
            }
        ],
    },
}
_TOOLS = [
    {"type": "code_interpreter"},
    {
        "type": "file_search",
        "file_search": {
            "max_num_results": 7001,
            "ranking_options": {"ranker": "default_2024_08_21", "score_threshold": 0.625},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "tool-name",
            "description": "tool-description",
            "parameters": {"tool-parameter": 7002},
            "strict": True,
        },
    },
]
_ANNOTATIONS = [
    {
        "type": "file_citation",
        "text": "cited-span",
        "start_index": 7011,
        "end_index": 7012,
        "file_citation": {"file_id": "file-cited", "quote": "cited-quote"},
    },
    {
        "type": "file_path",
        "text": "path-span",
        "start_index": 7013,
        "end_index": 7014,
        "file_path": {"file_id": "file-path"},
    },
]
_CONTENT = [
    {"type": "text", "text": {"value": "text-value", "annotations": _ANNOTATIONS}},
    {"type": "image_file", "image_file": {"file_id": "file-image", "detail": "low"}},
    {"type": "image_url", "image_url": {"url": "https://image-url.test", "detail": "high"}},
    {"type": "refusal", "refusal": "refusal-text"},
]
_USAGE = {
    "prompt_tokens": 7021,
    "completion_tokens": 7022,
    "total_tokens": 7023,
    "prompt_token_details": {"cached_tokens": 7024},
    "completion_tokens_details": {"reasoning_tokens": 7025},
}
_TIMES = ("expires_at", "started_at", "cancelled_at", "failed_at", "completed_at")
_ERROR = {"code": "error-code", "message": "error-message"}

WHOLE_THREAD: dict[str, Any] = {
    "id": "thread_1",
    "object": "thread",
    "created_at": CREATED_AT,
    "metadata": {"thread-key": "thread-value"},
    "tool_resources": {
        "code_interpreter": {"file_ids": ["file-resource"]},
        "file_search": {"vector_store_ids": ["store-resource"]},
        "azure_ai_search": {"indexes": ["index-resource"]},
    },
}
WHOLE_MESSAGE: dict[str, Any] = {
    "id": "msg_b",
    "object": "thread.message",
    "created_at": CREATED_AT,
    "role": "assistant",
    "status": "incomplete",
    "incomplete_details": {"reason": "message-reason"},
    "completed_at": CREATED_AT + 1,
    "incomplete_at": CREATED_AT + 2,
    "content": _CONTENT,
    "attachments": [
        {"file_id": "file-attached", "tools": [{"type": "file_search"}]},
        {"data_source": {"type": "uri_asset", "uri": "source-uri"}, "tools": [{"type": "file_search"}]},
    ],
    "assistant_id": "asst_1",
    "run_id": "run_b",
    "metadata": {"message-key": "message-value"},
}
WHOLE_RUN: dict[str, Any] = {
    "id": "run_b",
    "object": "thread.run",
    "created_at": CREATED_AT,
    "thread_id": "thread_1",
    "assistant_id": "asst_1",
    "status": "requires_action",
    "required_action": {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {"tool_calls": [_FUNCTION_CALL]},
    },
    "last_error": _ERROR,
    "incomplete_details": {"reason": "run-reason"},
    **{name: CREATED_AT + number for number, name in enumerate(_TIMES)},
    "model": "run-model",
    "instructions": "run-instructions",
    "tools": _TOOLS,
    "tool_resources": WHOLE_THREAD["tool_resources"],
    "reasoning_effort": "high",
    "temperature": 0.25,
    "top_p": 0.5,
    "max_prompt_tokens": 7031,
    "max_completion_tokens": 7032,
    "truncation_strategy": {"type": "last_messages", "last_messages": 7033},
    "tool_choice": {"type": "function", "function": {"name": "chosen-name"}},
    "parallel_tool_calls": True,
    "response_format": {"type": "json_schema", "json_schema": {"name": "format-name"}},
    "usage": _USAGE,
    "metadata": {"run-key": "run-value"},
}
WHOLE_APPROVAL: dict[str, Any] = {
    "type": "submit_tool_approval",
    "submit_tool_approval": {
        "tool_calls": [
            {
                "id": "call_mcp",
                "type": "mcp",
                "name": "mcp-name",
                "arguments": '{"mcp":1}',
                "server_label": "mcp-server",
            }
        ]
    },
}
WHOLE_STEP: dict[str, Any] = {
    "id": "step_b",
    "object": "thread.run.step",
    "created_at": CREATED_AT,
    "assistant_id": "asst_1",
    "type": "tool_calls",
    "status": "failed",
    "step_details": {"type": "tool_calls", "tool_calls": [_FUNCTION_CALL, _CODE_CALL, _SEARCH_CALL]},
    "last_error": _ERROR,
    **{name: CREATED_AT + number for number, name in enumerate(("expires_at", "expired_at", *_TIMES[2:]))},
    "usage": _USAGE,
    "metadata": {"step-key": "step-value"},
}
WHOLE_WRITING_STEP = WHOLE_STEP | {
    "type": "message_creation",
    "step_details": {"type": "message_creation", "message_creation": {"message_id": "msg_written"}},
}
WHOLE_ASSISTANT: dict[str, Any] = {
    "id": "asst_b",
    "object": "assistant",
    "created_at": CREATED_AT,
    "name": "assistant-name",
    "description": "assistant-description",
    "model": "assistant-model",
    "instructions": "assistant-instructions",
    "tools": _TOOLS,
    "tool_resources": WHOLE_THREAD["tool_resources"],
    "reasoning_effort": "high",
    "temperature": 0.25,
    "top_p": 0.5,
    "response_format": {"type": "json_schema", "json_schema": {"name": "format-name"}},
    "metadata": {"assistant-key": "assistant-value"},
}
WHOLE_MESSAGE_FILE: dict[str, Any] = {
    "id": "file-b",
    "object": "thread.message.file",
    "created_at": CREATED_AT,
    "message_id": "msg_b",
}


WHOLE_FILE: dict[str, Any] = {
    "id": "file-b",
    "object": "file",
    "created_at": CREATED_AT,
    "filename": "b.csv",
    "bytes": 1234,
    "purpose": "assistants_output",
}


def in_version_1(whole: dict[str, Any]) -> dict[str, Any]:
    """Return an object with the fields that it had in version 1 of the API."""
    foreign = {
        "attachments",
        "tool_resources",
        "reasoning_effort",
        "response_format",
        "parallel_tool_calls",
        "truncation_strategy",
    }
    sent = {name: value for name, value in whole.items() if name not in foreign}
    if "tools" in sent:
        sent["tools"] = [{"type": "retrieval"}, _TOOLS[2]]
    if sent["object"] in {"thread.message", "thread.run", "assistant"}:
        sent["file_ids"] = ["file-version-1"]
    if sent.get("type") == "tool_calls":
        calls = [{"id": "call_retrieval", "type": "retrieval", "retrieval": {"retrieval-key": 7041}}, _FUNCTION_CALL]
        sent["step_details"] = {"type": "tool_calls", "tool_calls": calls}
    return sent
