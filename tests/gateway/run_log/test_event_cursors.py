import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.run_log.event_cursors import position_from_cursor, to_cursor
from gateway.run_log.store.event_log import LogPosition, new_epoch
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey, to_global_id, to_opaque

RUN = RunKey("thread_1", "run_1")
THREAD = ThreadKey("thread_1")
KEYS = st.builds(RunKey, st.text(), st.text()) | st.builds(ThreadKey, st.text())
EPOCHS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@given(KEYS, EPOCHS, st.integers(1, 10**15 - 1))
def test_a_position_survives_its_cursor_unchanged(key: RunKey | ThreadKey, epoch: str, number: int) -> None:
    assert position_from_cursor(to_cursor(key, LogPosition(epoch, number)), key) == LogPosition(epoch, number)


def test_a_new_epoch_fits_into_a_cursor() -> None:
    epoch = new_epoch()
    assert position_from_cursor(to_cursor(RUN, LogPosition(epoch, 1)), RUN).epoch == epoch


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "é",
        "\ud800",
        "MQ",
        to_global_id(RUN),
        to_opaque("event"),
        to_opaque("event", "Run", *RUN, "epoch"),
        to_opaque("event", "Run", *RUN, "epoch", "1", "2"),
        to_opaque("message", "Run", *RUN, "epoch", "1"),
        to_cursor(RunKey("thread_1", "run_2"), LogPosition("epoch", 1)),
        to_cursor(RunKey("thread_2", "run_1"), LogPosition("epoch", 1)),
        to_cursor(THREAD, LogPosition("epoch", 1)),
        to_cursor(RUN, LogPosition("epoch", 1))[:-1],
    ],
)
def test_a_text_that_is_no_cursor_of_the_run_is_refused(text: str) -> None:
    with pytest.raises(GatewayError) as refused:
        position_from_cursor(text, RUN)
    assert refused.value.code is ErrorCode.BAD_USER_INPUT
    assert refused.value.argument == "after"
    assert "expected a cursor made by this gateway for this run, got " in refused.value.message


def test_a_cursor_of_a_run_is_refused_for_its_thread() -> None:
    with pytest.raises(GatewayError, match="made by this gateway for this thread, got "):
        position_from_cursor(to_cursor(RUN, LogPosition("epoch", 1)), THREAD)


@pytest.mark.parametrize(
    "number", ["", "0", "-1", "+1", "01", "1.0", " 1", "1_0", "\uff11", "\u0663", "1\n", "9" * 16, "1e3"]
)
def test_an_invalid_entry_number_is_refused(number: str) -> None:
    with pytest.raises(GatewayError):
        position_from_cursor(to_opaque("event", "Run", *RUN, "epoch", number), RUN)


@pytest.mark.parametrize("epoch", ["", "a b", "a\n", "é", "a" * 65])
def test_an_invalid_epoch_is_refused(epoch: str) -> None:
    with pytest.raises(GatewayError):
        position_from_cursor(to_opaque("event", "Run", *RUN, epoch, "1"), RUN)
