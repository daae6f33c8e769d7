from typing import Any

import pytest

from gateway.cache.policy import (
    ABSENT,
    BRIEF,
    EDITABLE,
    RECENT_SECONDS,
    SETTLED,
    Answer,
    Lifetime,
    is_closed,
    lifetime_of,
)
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.paging import Window
from schema.contract.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey
from schema.contract.run_events import TERMINAL_STATUSES
from schema.contract.wire import Page
from tests.gateway.cache.upstream import ANSWER, ASSISTANT, ENDED, FILE, STEP, THREAD, T
from tests.support.fake_threads_api import Key
from tests.support.wire_samples import assistant, message, message_file, run, run_step, thread

MADE = 1_699_009_709
NOW = MADE + 2 * RECENT_SECONDS


def nobody(_: RunKey) -> bool:
    return False


def everybody(_: RunKey) -> bool:
    return True


@pytest.mark.parametrize("status", sorted(TERMINAL_STATUSES))
def test_a_terminal_run_is_kept_long(status: str) -> None:
    assert lifetime_of(ENDED, run(status=status), nobody, NOW) == SETTLED


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action", "cancelling", "thinking", ""])
def test_a_run_that_may_change_is_not_kept_even_when_it_was_thought_to_be_over(status: str) -> None:
    assert lifetime_of(ENDED, run(status=status), everybody, NOW) is None


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
def test_a_step_is_kept_when_it_is_final(status: str, lifetime: Lifetime | None) -> None:
    assert lifetime_of(STEP, run_step(status=status), everybody, NOW) == lifetime


@pytest.mark.parametrize(
    ("fields", "run_is_over", "lifetime"),
    [
        ({"role": "user"}, False, SETTLED),
        ({"role": "user", "run_id": "run_1"}, False, SETTLED),
        ({"role": "assistant"}, False, SETTLED),
        ({"role": "assistant", "run_id": "run_1"}, False, BRIEF),
        ({"role": "assistant", "run_id": "run_1"}, True, SETTLED),
        ({"role": "assistant", "run_id": "run_1", "status": "completed"}, False, SETTLED),
        ({"role": "assistant", "run_id": "run_1", "status": "incomplete"}, False, SETTLED),
        ({"role": "assistant", "run_id": "run_1", "status": "in_progress"}, True, None),
        ({"role": "user", "status": "in_progress"}, False, None),
        ({"role": "user", "status": "unheard of"}, True, BRIEF),
    ],
)
def test_a_message_is_kept_as_long_as_it_is_known_to_be_whole(
    fields: dict[str, Any], run_is_over: bool, lifetime: Lifetime | None
) -> None:
    assert lifetime_of(ANSWER, message(**fields), lambda _: run_is_over, NOW) == lifetime


def test_the_run_of_a_message_is_looked_for_in_its_own_thread() -> None:
    answer = message(role="assistant", run_id="run_9")
    assert lifetime_of(ANSWER, answer, lambda key: key == RunKey(T, "run_9"), NOW) == SETTLED


@pytest.mark.parametrize(("key", "value"), [(THREAD, thread()), (ASSISTANT, assistant()), (FILE, message_file())])
def test_what_anybody_may_edit_is_kept_for_a_minute(key: Key, value: Answer) -> None:
    assert lifetime_of(key, value, nobody, NOW) == EDITABLE


@pytest.mark.parametrize("code", ErrorCode)
def test_of_all_errors_only_not_found_is_kept(code: ErrorCode) -> None:
    assert lifetime_of(THREAD, GatewayError(code, "No."), everybody, NOW) == (ABSENT if code == "NOT_FOUND" else None)


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
def test_a_page_is_closed_when_nothing_new_can_enter_it(window: Window, page: Page[Any], closed: bool) -> None:
    key = MessagePageKey(T, None, window)
    assert is_closed(key, page, nobody) is closed
    if page.data or closed:
        assert lifetime_of(key, page, nobody, NOW) == (SETTLED if closed else BRIEF)


def test_what_a_run_that_is_over_has_written_is_whole() -> None:
    window = Window(20, "asc")
    steps, messages = RunStepPageKey(T, "run_1", window), MessagePageKey(T, "run_1", window)
    assert lifetime_of(steps, Page([run_step()]), nobody, NOW) == BRIEF
    assert lifetime_of(steps, Page([run_step()]), everybody, NOW) == SETTLED
    assert lifetime_of(messages, Page([message(role="assistant", run_id="run_1")]), everybody, NOW) == SETTLED
    assert lifetime_of(MessagePageKey(T, None, window), Page([ONE]), everybody, NOW) == BRIEF


def test_a_page_is_kept_no_longer_than_what_it_holds() -> None:
    closed = Window(2, "asc")
    assert lifetime_of(RunPageKey(T, closed), Page([run(), run(status="queued")], has_more=True), nobody, NOW) is None
    unsure = Page([ONE, message(role="assistant", run_id="run_1")], has_more=True)
    assert lifetime_of(MessagePageKey(T, None, closed), unsure, nobody, NOW) == BRIEF
    assistants = Page([assistant(), assistant()], has_more=True)
    kept = lifetime_of(AssistantPageKey(closed), assistants, nobody, NOW)
    assert kept is not None
    assert kept.fresh_seconds == EDITABLE.fresh_seconds
    assert lifetime_of(MessageFilePageKey(T, "m", Window(9, "asc")), Page([message_file()]), nobody, NOW) == BRIEF


def test_an_object_is_no_page() -> None:
    assert not is_closed(THREAD, Page([]), everybody)


def test_what_a_run_may_be_at_work_on_is_not_kept_so_that_its_end_is_never_seen_before_its_work() -> None:
    head = Window(9, "desc")
    writing = message(role="assistant", run_id="run_1", created_at=MADE)
    pages: list[tuple[Key, Page[Any]]] = [
        (MessagePageKey(T, None, head), Page([message(created_at=MADE)])),
        (MessagePageKey(T, "run_1", head), Page([])),
        (RunStepPageKey(T, "run_1", head), Page([run_step(created_at=MADE)])),
        (RunStepPageKey(T, "run_1", head), Page([])),
    ]
    for later, lifetime in ((RECENT_SECONDS - 1, None), (RECENT_SECONDS, BRIEF)):
        assert lifetime_of(ANSWER, writing, nobody, MADE + later) == lifetime
        assert lifetime_of(*pages[0], nobody, MADE + later) == lifetime
        assert lifetime_of(*pages[2], nobody, MADE + later) == lifetime
    assert lifetime_of(*pages[1], nobody, NOW) is None
    assert lifetime_of(*pages[3], nobody, NOW) is None
    assert lifetime_of(*pages[1], everybody, MADE) == SETTLED
    assert lifetime_of(ANSWER, writing, everybody, MADE) == SETTLED
