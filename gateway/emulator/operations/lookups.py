"""Lookups of the objects that a path or a cursor names. A missing object raises `ApiError` (404)."""

from collections.abc import Callable

from gateway.emulator.bodies.api_errors import ApiError, not_found
from gateway.emulator.bodies.list_query import ListPosition, ListQuery, parse_list_query
from gateway.emulator.objects import Assistant, Message, Run, Thread
from gateway.emulator.operations.api_call import ApiCall, checked_id
from gateway.emulator.state.run_timelines import apply_due_events
from gateway.emulator.state.store import ObjectTable, Stored

SEARCH_CONTENT = "step_details.tool_calls[*].file_search.results[*].content"


def find_thread(call: ApiCall) -> Thread:
    """Return the thread of the path, after the due events of its runs are applied."""
    thread_id = call.path_id("thread_id")
    thread = call.store.threads.get(call.partition, thread_id)
    if thread is None:
        raise not_found("thread", thread_id)
    apply_due_events(call.store, call.partition, thread_id, call.now)
    return thread


def find_message(call: ApiCall) -> Message:
    """Return the message of the path."""
    message_id = call.path_id("message_id")
    thread = find_thread(call)
    message = call.store.messages.get(call.partition, message_id, parent_id=thread.id)
    if message is None:
        raise not_found("message", message_id)
    return message


def find_run(call: ApiCall) -> Run:
    """Return the run of the path, as it is now."""
    run_id = call.path_id("run_id")
    thread = find_thread(call)
    run = call.store.runs.get(call.partition, run_id, parent_id=thread.id)
    if run is None:
        raise not_found("run", run_id)
    return run


def find_assistant(call: ApiCall, assistant_id: str) -> Assistant:
    """Return the assistant with this id, from the path or from a body."""
    checked_id("assistant_id", assistant_id, "asst")
    assistant = call.store.assistants.get(call.partition, assistant_id)
    if assistant is None:
        raise not_found("assistant", assistant_id)
    return assistant


def find_page(
    call: ApiCall,
    table: ObjectTable[Stored],
    parent_id: str | None,
    prefix: str,
    noun: str,
    run_id: str | None = None,
    refuse: Callable[[str, str], ApiError] = not_found,
) -> tuple[list[Stored], bool]:
    """Return the page that the query string asks for, and whether more objects lie in its direction.

    A cursor to a missing or deleted object is refused like an unknown object (assumed). The kinds of objects that are
    no kind of their own in the ids (items) have an empty `prefix`.
    """
    query = parse_list_query(call.query)

    def find_position(name: str, cursor: str | None) -> ListPosition | None:
        if cursor is None:
            return None
        position = table.position(call.partition, checked_id(name, cursor, prefix) if prefix else cursor, parent_id)
        if position is None:
            raise refuse(noun, cursor)
        return position

    bounds = query.bounds(find_position("after", query.after), find_position("before", query.before))
    return table.page(call.partition, parent_id, query, bounds, run_id)


def checked_cursors(query: ListQuery, known: list[str], noun: str) -> ListQuery:
    """Return the query of a short list if its cursors are in that list. Otherwise refuse it (assumed)."""
    for cursor in (query.after, query.before):
        if cursor is not None and cursor not in known:
            raise not_found(noun, cursor)
    return query
