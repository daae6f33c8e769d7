"""Uses the API like a program of early 2024, with openai 1.20.0: `use_emulator.py URL KEY JOURNEY` prints JSON.

Every object is checked against the SDK's own models; the SDK does not do that itself.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import openai
import pydantic

# Messages read over REST have no status. A run without instructions has null there. Source: recorded traffic of
# https://api.openai.com/v1, and the SDK's own list of codes.
KNOWN_FAULTS = {("Message", "status", "missing"), ("Run", "instructions", "string_type")}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def checked(model: Any) -> Any:
    """Return the object as plain data. Raises if it differs from its model."""
    kind = type(model)
    sent = model.to_dict()
    try:
        kind.model_validate(sent)
    except pydantic.ValidationError as error:
        found = {(kind.__name__, ".".join(map(str, fault["loc"])), fault["type"]) for fault in error.errors()}
        if found - KNOWN_FAULTS:
            raise
    return sent


def walk_pages(page: Any) -> list[list[Any]]:
    """Return the objects of each page while the SDK walks on from the first.

    This version ignores `has_more`: it walks on until a page is empty.
    """
    *full, last = [[checked(item) for item in one.data] for one in page.iter_pages()]
    assert last == []
    return full


def ids_by_page(page: Any) -> list[list[str]]:
    return [[item["id"] for item in one] for one in walk_pages(page)]


def assistants(client: Any) -> Any:
    beta = client.beta.assistants
    tools = [{"type": "retrieval"}, {"type": "code_interpreter"}, WEATHER]
    made = beta.create(model="gpt-4", name="Reader", tools=tools, file_ids=["file-handbook"], metadata={"team": "a"})
    attached = beta.files.create(made.id, file_id="file-prices")
    changed = beta.update(made.id, name="Writer", tools=[{"type": "retrieval"}])
    files = walk_pages(beta.files.list(made.id, order="asc", limit=1))
    detached = beta.files.delete("file-prices", assistant_id=made.id)
    return {
        "made": checked(made),
        "attached": checked(attached),
        "changed": checked(changed),
        "read": checked(beta.retrieve(made.id)),
        "files": files,
        "detached": checked(detached),
        "listed": ids_by_page(beta.list()),
        "deleted": checked(beta.delete(made.id)),
        "left": ids_by_page(beta.list()),
    }


def threads_and_messages(client: Any) -> Any:
    threads = client.beta.threads
    first = {"role": "user", "content": "Read these.", "file_ids": ["file-a", "file-b", "file-c"]}
    thread = threads.create(messages=[first], metadata={"customer": "42"})
    (opening,) = threads.messages.list(thread.id).data
    second = threads.messages.create(thread.id, role="user", content="And this.", file_ids=["file-d"])
    files = threads.messages.files
    return {
        "thread": checked(thread),
        "opening": checked(opening),
        "second": checked(second),
        "read": checked(threads.messages.retrieve(second.id, thread_id=thread.id)),
        "modified": checked(threads.messages.update(second.id, thread_id=thread.id, metadata={"seen": "yes"})),
        "files": walk_pages(files.list(opening.id, thread_id=thread.id, order="asc", limit=2)),
        "file": checked(files.retrieve("file-d", thread_id=thread.id, message_id=second.id)),
        "updated": checked(threads.update(thread.id, metadata={"customer": "43"})),
        "thread read": checked(threads.retrieve(thread.id)),
        "deleted": checked(threads.delete(thread.id)),
    }


def run_with_functions(client: Any) -> Any:
    threads = client.beta.threads
    assistant = client.beta.assistants.create(model="gpt-4", instructions="Be brief.", tools=[WEATHER])
    thread = threads.create(messages=[{"role": "user", "content": "How is the weather in Oslo?"}])
    waiting = threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=0)
    calls = waiting.required_action.submit_tool_outputs.tool_calls
    done = threads.runs.submit_tool_outputs_and_poll(
        run_id=waiting.id,
        thread_id=thread.id,
        tool_outputs=[{"tool_call_id": call.id, "output": "4 degrees"} for call in calls],
        poll_interval_ms=0,
    )
    steps = threads.runs.steps
    listed = walk_pages(steps.list(done.id, thread_id=thread.id, order="asc", limit=1))
    return {
        "waiting": checked(waiting),
        "done": checked(done),
        "steps": listed,
        "step": checked(steps.retrieve(listed[0][0]["id"], thread_id=thread.id, run_id=done.id)),
        "messages": walk_pages(threads.messages.list(thread.id, order="asc")),
        "runs": walk_pages(threads.runs.list(thread.id)),
    }


def run_with_retrieval(client: Any) -> Any:
    threads = client.beta.threads
    assistant = client.beta.assistants.create(model="gpt-4", tools=[{"type": "retrieval"}], file_ids=["file-handbook"])
    made = threads.create_and_run(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "How many days of leave?"}]}
    )
    done = threads.runs.poll(made.id, thread_id=made.thread_id, poll_interval_ms=0)
    return {
        "made": checked(made),
        "done": checked(done),
        "steps": walk_pages(threads.runs.steps.list(done.id, thread_id=done.thread_id, order="asc")),
        "messages": walk_pages(threads.messages.list(done.thread_id, order="asc")),
    }


def cancelled_run(client: Any) -> Any:
    threads = client.beta.threads
    assistant = client.beta.assistants.create(model="gpt-4")
    made = threads.create_and_run(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "Hello"}]},
        metadata={"emulator": "slow"},
    )
    cancelling = threads.runs.cancel(made.id, thread_id=made.thread_id)
    cancelled = threads.runs.poll(made.id, thread_id=made.thread_id, poll_interval_ms=0)
    try:
        threads.runs.cancel(made.id, thread_id=made.thread_id)
    except openai.BadRequestError as error:
        refusal = error.message
    modified = threads.runs.update(made.id, thread_id=made.thread_id, metadata={"why": "slow"})
    return {
        "made": checked(made),
        "cancelling": checked(cancelling),
        "cancelled": checked(cancelled),
        "refusal": refusal,
        "modified": checked(modified),
    }


def paging(client: Any) -> Any:
    threads = client.beta.threads
    thread = threads.create()
    made = [threads.messages.create(thread.id, role="user", content=f"Message {number}").id for number in range(10)]
    walked_back, cursor = [], made[-1]
    while cursor is not None:
        page = threads.messages.list(thread.id, order="asc", limit=4, before=cursor)
        walked_back.append([message.id for message in page.data])
        cursor = page.data[0].id if page.model_extra["has_more"] else None
    return {
        "made": made,
        "asc": ids_by_page(threads.messages.list(thread.id, order="asc", limit=4)),
        "desc": ids_by_page(threads.messages.list(thread.id, order="desc", limit=4)),
        "after": ids_by_page(threads.messages.list(thread.id, order="asc", limit=4, after=made[2])),
        "before": walked_back,
    }


def errors(client: Any) -> Any:
    stranger = client.with_options(api_key="sk-invalid-key")
    attempts: list[Callable[[], Any]] = [
        lambda: client.beta.threads.retrieve("thread_" + "0" * 24),
        lambda: client.beta.threads.retrieve("1234"),
        stranger.beta.threads.create,
        # Version 2 added the deletion of messages.
        lambda: client.delete(
            "/threads/thread_a/messages/msg_a",
            cast_to=object,
            options={"headers": {"OpenAI-Beta": "assistants=v1"}},
        ),
    ]
    raised = []
    for attempt in attempts:
        try:
            attempt()
        except openai.APIStatusError as error:
            raised.append([type(error).__name__, error.status_code, error.code])
    return raised


JOURNEYS: dict[str, Callable[[Any], Any]] = {
    "assistants": assistants,
    "threads_and_messages": threads_and_messages,
    "run_with_functions": run_with_functions,
    "run_with_retrieval": run_with_retrieval,
    "cancelled_run": cancelled_run,
    "paging": paging,
    "errors": errors,
}


def main(url: str, key: str, journey: str) -> None:
    with (
        openai.DefaultHttpxClient(trust_env=False) as http_client,
        openai.OpenAI(api_key=key, base_url=url, max_retries=0, http_client=http_client) as client,
    ):
        json.dump({"version": openai.__version__, "seen": JOURNEYS[journey](client)}, sys.stdout)


main(*sys.argv[1:])
