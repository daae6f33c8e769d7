import pytest

from gateway.upstream.rate_limit_pauses import MAX_PAUSE_SECONDS, RateLimitPauses
from tests.support.upstream_client import RecordedSleeps


@pytest.fixture
def clock() -> RecordedSleeps:
    return RecordedSleeps()


@pytest.fixture
def pauses(clock: RecordedSleeps) -> RateLimitPauses:
    return RateLimitPauses(clock.now, max_credentials=3)


def test_a_pause_ends_after_its_time_and_holds_for_its_credential_alone(
    pauses: RateLimitPauses, clock: RecordedSleeps
) -> None:
    pauses.begin_pause("a", 3)
    clock.advance(2)
    assert (pauses.remaining_seconds("a"), pauses.remaining_seconds("b"), pauses.remaining_seconds(None)) == (1, 0, 0)
    clock.advance(0.9995)
    assert pauses.remaining_seconds("a") == 0


def test_a_pause_is_prolonged_and_never_shortened(pauses: RateLimitPauses) -> None:
    for seconds, remaining in ((3, 3), (1, 3), (0, 3), (5, 5)):
        pauses.begin_pause(None, seconds)
        assert pauses.remaining_seconds(None) == remaining


def test_a_pause_is_capped(pauses: RateLimitPauses) -> None:
    pauses.begin_pause("a", 86_400)
    assert pauses.remaining_seconds("a") == MAX_PAUSE_SECONDS


def test_the_oldest_pause_makes_room(pauses: RateLimitPauses) -> None:
    for credential in "abcad":
        pauses.begin_pause(credential, 3)
    assert [pauses.remaining_seconds(credential) for credential in "abcd"] == [3, 0, 3, 3]
