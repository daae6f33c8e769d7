from gateway.files.client_pace import MIN_BYTES_PER_SECOND, ClientPace


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def seconds_until_given_up(byte_count: int, every_seconds: float, limit: float = 10_000.0) -> float:
    """Return after how many seconds a client is given up that sends so many bytes every so many seconds."""
    clock = Clock()
    pace = ClientPace(10.0, clock)
    while clock.seconds < 100.0 + limit:
        if every_seconds > pace.seconds_left:
            return clock.seconds + pace.seconds_left - 100.0
        pace.begin_wait()
        clock.seconds += every_seconds
        pace.end_wait(byte_count)
    return limit


def test_a_client_that_sends_nothing_is_given_up_after_all_of_the_patience() -> None:
    assert ClientPace(10.0, Clock()).seconds_left == 10.0


def test_a_client_that_keeps_the_slowest_pace_is_waited_for() -> None:
    assert seconds_until_given_up(MIN_BYTES_PER_SECOND, 1.0) == 10_000
    assert seconds_until_given_up(9 * MIN_BYTES_PER_SECOND, 9.0) == 10_000


def test_a_byte_now_and_then_does_not_hold_a_place() -> None:
    assert seconds_until_given_up(1, 0.3) < 11
    assert seconds_until_given_up(MIN_BYTES_PER_SECOND // 2, 1.0) < 21


def test_what_was_sent_fast_does_not_buy_a_long_silence() -> None:
    clock = Clock()
    pace = ClientPace(10.0, clock)
    pace.begin_wait()
    pace.end_wait(100 << 20)
    assert pace.seconds_left == 10.0


def test_the_time_in_which_nothing_is_awaited_costs_nothing() -> None:
    clock = Clock()
    pace = ClientPace(10.0, clock)
    clock.seconds += 1000  # the upstream takes its time
    pace.begin_wait()
    clock.seconds += 2
    pace.end_wait(0)
    assert pace.seconds_left == 8.0
