from typing import Any

import pytest

from gateway.cache.policy import (
    EDITABLE,
    NOT_FOUND,
    RECENT_SECONDS,
    SETTLED,
    SHORT,
    Lifetime,
    Result,
    choose_lifetime,
    is_page_closed,
)
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.kinds import AssistantPageKey, Key, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey
from schema.contract.paging import Window
from schema.contract.statuses import TERMINAL_STATUSES
from schema.contract.wire import Page
from tests.gateway.cache.upstream import ASSISTANT, ASSISTANT_MESSAGE, ENDED, FILE, MESSAGE_FILE, STEP, THREAD, T
from tests.support.wire_samples import assistant, file, message, message_file, run, run_step, thread

CREATED = 1_699_009_709
NOW = CREATED + 2 * RECENT_SECONDS


def no_run(_: RunKey) -> bool:
    return False


def every_run(_: RunKey) -> bool:
    return True


@pytest.mark.parametrize("status", sorted(TERMINAL_STATUSES))
def test_a_terminal_run_is_settled(status: str) -> None:
    assert choose_lifetime(ENDED, run(status=status), no_run, NOW) == SETTLED


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action", "cancelling", "thinking", ""])
def test_a_run_that_may_change_is_not_stored_even_if_it_was_recorded_as_ended(status: str) -> None:
    assert choose_lifetime(ENDED, run(status=status), every_run, NOW) is None


@pytest.mark.parametrize(
    ("status", "lifetime"),
    [
        ("completed", SETTLED),
        ("failed", SETTLED),
        ("cancelled", SETTLED),
        ("expired", SETTLED),
        ("in_progress", None),
        ("new", None),
    ],
)
def test_a_step_is_stored_if_it_is_final(status: str, lifetime: Lifetime | None) -> None:
    assert choose_lifetime(STEP, run_step(status=status), every_run, NOW) == lifetime


@pytest.mark.parametrize(
    ("fields", "run_has_ended", "lifetime"),
    [
        ({"role": "user"}, False, SETTLED),
        ({"role": "user", "run_id": "run_1"}, False, SETTLED),
        ({"role": "assistant"}, False, SETTLED),
        ({"role": "assistant", "run_id": "run_1"}, False, SHORT),
        ({"role": "assistant", "run_id": "run_1"}, True, SETTLED),
        ({"role": "assistant", "run_id": "run_1", "status": "completed"}, False, SETTLED),
        ({"role": "assistant", "run_id": "run_1", "status": "incomplete"}, False, SETTLED),
        ({"role": "assistant", "run_id": "run_1", "status": "in_progress"}, True, None),
        ({"role": "user", "status": "in_progress"}, False, None),
        ({"role": "user", "status": "unheard of"}, True, SHORT),
    ],
)
def test_the_lifetime_of_a_message_depends_on_whether_it_is_complete(
    fields: dict[str, Any], run_has_ended: bool, lifetime: Lifetime | None
) -> None:
    assert choose_lifetime(ASSISTANT_MESSAGE, message(**fields), lambda _: run_has_ended, NOW) == lifetime


def test_the_run_of_a_message_is_looked_up_in_its_own_thread() -> None:
    value = message(role="assistant", run_id="run_9")
    assert choose_lifetime(ASSISTANT_MESSAGE, value, lambda key: key == RunKey(T, "run_9"), NOW) == SETTLED


@pytest.mark.parametrize(
    ("key", "value"), [(THREAD, thread()), (ASSISTANT, assistant()), (MESSAGE_FILE, message_file())]
)
def test_objects_that_can_be_edited_are_fresh_for_a_minute(key: Key, value: Result) -> None:
    assert choose_lifetime(key, value, no_run, NOW) == EDITABLE


def test_a_file_never_changes() -> None:
    assert choose_lifetime(FILE, file(), no_run, NOW) == SETTLED


@pytest.mark.parametrize("code", ErrorCode)
def test_of_all_errors_only_not_found_is_stored(code: ErrorCode) -> None:
    assert choose_lifetime(THREAD, GatewayError(code, "No."), every_run, NOW) == (
        NOT_FOUND if code == "NOT_FOUND" else None
    )


ONE, TWO = message("msg_1"), message("msg_2")


@pytest.mark.parametrize(
    ("window", "page", "closed"),
    [
        (Window(2, "asc"), Page([ONE, TWO], has_more=True), True),
        (Window(2, "asc"), Page([ONE, TWO], has_more=False), False),
        (Window(3, "asc"), Page([ONE, TWO], has_more=True), False),
        (Window(2, "asc", "msg_0"), Page([ONE, TWO], has_more=True), True),
        (Window(2, "asc", "msg_0"), Page([ONE], has_more=False), False),
        (Window(2, "asc"), Page([]), False),
        (Window(2, "desc"), Page([TWO, ONE], has_more=True), False),
        (Window(2, "desc", "msg_3"), Page([TWO, ONE], has_more=True), True),
        (Window(2, "desc", "msg_3"), Page([TWO]), True),
        (Window(2, "desc", "msg_3"), Page([]), True),
    ],
)
def test_a_page_is_closed_when_no_new_object_can_enter_it(window: Window, page: Page[Any], closed: bool) -> None:
    key = MessagePageKey(T, None, window)
    assert is_page_closed(key, page, no_run) is closed
    if page.data or closed:
        assert choose_lifetime(key, page, no_run, NOW) == (SETTLED if closed else SHORT)


def test_pages_of_an_ended_run_are_closed() -> None:
    window = Window(20, "asc")
    steps, messages = RunStepPageKey(T, "run_1", window), MessagePageKey(T, "run_1", window)
    assert choose_lifetime(steps, Page([run_step()]), no_run, NOW) == SHORT
    assert choose_lifetime(steps, Page([run_step()]), every_run, NOW) == SETTLED
    assert choose_lifetime(messages, Page([message(role="assistant", run_id="run_1")]), every_run, NOW) == SETTLED
    assert choose_lifetime(MessagePageKey(T, None, window), Page([ONE]), every_run, NOW) == SHORT


def test_a_page_is_stored_no_longer_than_its_objects() -> None:
    closed = Window(2, "asc")
    assert (
        choose_lifetime(RunPageKey(T, closed), Page([run(), run(status="queued")], has_more=True), no_run, NOW) is None
    )
    unsure = Page([ONE, message(role="assistant", run_id="run_1")], has_more=True)
    assert choose_lifetime(MessagePageKey(T, None, closed), unsure, no_run, NOW) == SHORT
    assistants = Page([assistant(), assistant()], has_more=True)
    lifetime = choose_lifetime(AssistantPageKey(closed), assistants, no_run, NOW)
    assert lifetime is not None
    assert lifetime.fresh_seconds == EDITABLE.fresh_seconds
    assert choose_lifetime(MessageFilePageKey(T, "m", Window(9, "asc")), Page([message_file()]), no_run, NOW) == SHORT


def test_the_key_of_an_object_has_no_closed_page() -> None:
    assert not is_page_closed(THREAD, Page([]), every_run)


def test_objects_that_a_run_may_be_writing_are_not_stored_so_that_its_end_is_not_seen_before_its_work() -> None:
    head = Window(9, "desc")
    writing = message(role="assistant", run_id="run_1", created_at=CREATED)
    pages: list[tuple[Key, Page[Any]]] = [
        (MessagePageKey(T, None, head), Page([message(created_at=CREATED)])),
        (MessagePageKey(T, "run_1", head), Page([])),
        (RunStepPageKey(T, "run_1", head), Page([run_step(created_at=CREATED)])),
        (RunStepPageKey(T, "run_1", head), Page([])),
    ]
    for later, lifetime in ((RECENT_SECONDS - 1, None), (RECENT_SECONDS, SHORT)):
        assert choose_lifetime(ASSISTANT_MESSAGE, writing, no_run, CREATED + later) == lifetime
        assert choose_lifetime(*pages[0], no_run, CREATED + later) == lifetime
        assert choose_lifetime(*pages[2], no_run, CREATED + later) == lifetime
    assert choose_lifetime(*pages[1], no_run, NOW) is None
    assert choose_lifetime(*pages[3], no_run, NOW) is None
    assert choose_lifetime(*pages[1], every_run, CREATED) == SETTLED
    assert choose_lifetime(ASSISTANT_MESSAGE, writing, every_run, CREATED) == SETTLED


def test_a_message_that_does_not_say_its_run_is_not_stored_while_one_may_be_writing_it() -> None:
    for later, lifetime in ((RECENT_SECONDS - 1, None), (RECENT_SECONDS, SETTLED)):
        written = message(role="assistant", created_at=CREATED)
        assert choose_lifetime(ASSISTANT_MESSAGE, written, no_run, CREATED + later) == lifetime
        asked = message(role="user", created_at=CREATED)
        assert choose_lifetime(ASSISTANT_MESSAGE, asked, no_run, CREATED + later) == SETTLED
