from collections.abc import Sequence
from typing import Any

import pytest

from gateway.emulator.model.model_request import chat_messages, chat_request, estimate_prompt_tokens, remaining_tokens
from gateway.emulator.objects import (
    ContentPart,
    FunctionCall,
    ImageFilePart,
    ImageUrlPart,
    Message,
    RefusalPart,
    Role,
    Step,
    TextPart,
    Usage,
)
from gateway.emulator.runs.progress import Progress
from tests.gateway.emulator.api_client import START, WEATHER_TOOL, a_run

FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {}, "strict": False}}
CALL = FunctionCall(id="call_1", name="f", arguments="{bad", output="out")


def a_message(role: Role, *content: ContentPart | str, id: str = "msg_1") -> Message:
    parts = tuple(TextPart(value=part) if isinstance(part, str) else part for part in content)
    return Message(id=id, thread_id="thread_1", created_at=START, role=role, content=parts)


def a_step(id: str, **fields: Any) -> Step:
    return Step(
        id=id, run_id="run_1", thread_id="thread_1", assistant_id="asst_1", created_at=START, expires_at=START, **fields
    )


def progress_with(*steps: Step, messages: tuple[Message, ...] = (), **fields: Any) -> Progress:
    return Progress(a_run(**fields), {step.id: step for step in steps}, {message.id: message for message in messages})


def request_for(progress: Progress, messages: Sequence[Message], model: str | None = None) -> Any:
    return chat_request(progress, chat_messages(messages), model)


CALLED = a_step("step_1", tool_calls=(CALL,), status="completed", usage=Usage(9, 200))


def test_a_plain_run_sends_no_options() -> None:
    assert request_for(progress_with(temperature=None, top_p=None), [a_message("user", "Hi")]) == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_another_model_may_be_named() -> None:
    assert request_for(progress_with(), [], "llama3.1")["model"] == "llama3.1"


def test_instructions_come_first_and_messages_in_their_order() -> None:
    body = request_for(
        progress_with(instructions="Be brief."),
        [
            a_message("user", "One", "Two"),
            a_message("assistant", "Three"),
            a_message("assistant", RefusalPart(refusal="No.")),
        ],
    )
    assert [(one["role"], one["content"]) for one in body["messages"]] == [
        ("system", "Be brief."),
        ("user", "One\nTwo"),
        ("assistant", "Three"),
        ("assistant", "No."),
    ]


def test_images_are_sent_by_url_and_files_are_omitted() -> None:
    image = ImageUrlPart(url="https://x.test/a.png", detail="low")
    body = request_for(
        progress_with(),
        [
            a_message("user", "What is this?", image, ImageFilePart(file_id="file-1")),
            a_message("user", ImageFilePart(file_id="file-1")),
            a_message("assistant", "A heron", image),
        ],
    )
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
            ],
        },
        {"role": "assistant", "content": "A heron"},
    ]


def test_the_runs_options_are_passed_on() -> None:
    format_ = {"type": "json_object"}
    body = request_for(
        progress_with(
            temperature=0.2, top_p=0.5, reasoning_effort="low", response_format=format_, max_completion_tokens=300
        ),
        [],
    )
    options = ("temperature", "top_p", "reasoning_effort", "response_format", "max_completion_tokens")
    assert [body[name] for name in options] == [0.2, 0.5, "low", format_, 300]


def test_only_function_tools_are_offered() -> None:
    tools = ({"type": "code_interpreter"}, FUNCTION, {"type": "file_search"}, WEATHER_TOOL)
    body = request_for(progress_with(tools=tools, parallel_tool_calls=False), [])
    assert body["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {}}}, WEATHER_TOOL]
    assert body["parallel_tool_calls"] is False
    assert "tool_choice" not in body
    without = request_for(progress_with(tools=tools[:1], tool_choice="required", parallel_tool_calls=False), [])
    assert {"tools", "tool_choice", "parallel_tool_calls"} & without.keys() == set()


NAMED = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("choice", "first", "later"),
    [
        ("auto", None, None),
        ("none", "none", "none"),
        ("required", "required", None),
        (NAMED, NAMED, None),
        ({"type": "file_search"}, None, None),
    ],
)
def test_a_call_is_required_only_once(choice: Any, first: Any, later: Any) -> None:
    assert request_for(progress_with(tools=(FUNCTION,), tool_choice=choice), []).get("tool_choice") == first
    assert request_for(progress_with(CALLED, tools=(FUNCTION,), tool_choice=choice), []).get("tool_choice") == later


def test_outputs_follow_the_calls_and_the_text_before_them() -> None:
    spoken = a_message("assistant", "Let me see.", id="msg_9")
    body = request_for(
        progress_with(
            a_step("step_0", message_id="msg_9"),
            a_step("step_d", message_id="msg_deleted"),
            CALLED,
            a_step("step_2", message_id="msg_9"),
            messages=(spoken,),
        ),
        [a_message("user", "Hi")],
    )
    called = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{bad"}}
    assert body["messages"][1:] == [
        {"role": "assistant", "content": "Let me see.", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "out"},
        {"role": "assistant", "content": "Let me see."},
    ]
    assert request_for(progress_with(CALLED), [])["messages"][0]["content"] is None


def test_the_limit_of_tokens_is_for_all_answers_of_a_run() -> None:
    assert remaining_tokens(progress_with(CALLED)) is None
    assert remaining_tokens(progress_with(max_completion_tokens=300)) == 300
    assert remaining_tokens(progress_with(CALLED, a_step("step_2"), max_completion_tokens=300)) == 100


def test_the_estimate_counts_all_parts_of_the_request() -> None:
    plain = estimate_prompt_tokens(progress_with(), 11)
    assert plain == 11 + 1
    more = progress_with(CALLED, instructions="y" * 40, tools=(FUNCTION, {"type": "code_interpreter"}))
    assert estimate_prompt_tokens(more, 11) > plain + 10
