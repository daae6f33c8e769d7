import pytest

from gateway.server.live.ping_limit import BURST_PINGS, PINGS_PER_SECOND, PingLimit

FLOOD_SECONDS = 5.0


class Client:
    """A client that sends its next ping when the last one was answered, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self._limit = PingLimit(FLOOD_SECONDS, lambda: self.now)

    def ping(self, count: int, *, every: float = 0.0) -> float | None:
        """Send pings. Returns the seconds until the last one is answered, or None if it is one too many."""
        began = self.now
        for _ in range(count):
            if (delay := self._limit.count()) is None:
                return None
            self.now += delay + every
        return self.now - began


def test_usual_pings_are_answered_at_once() -> None:
    client = Client()
    assert client.ping(BURST_PINGS) == 0
    client.now += 60
    assert client.ping(BURST_PINGS) == 0
    client.now += 60
    assert client.ping(1_000, every=2 / PINGS_PER_SECOND) == pytest.approx(1_000 * 2 / PINGS_PER_SECOND)


def test_many_pings_are_answered_at_a_steady_rate() -> None:
    client = Client()
    client.ping(BURST_PINGS)
    answered = client.ping(PINGS_PER_SECOND)
    assert answered == pytest.approx(1)


def test_a_flood_of_some_seconds_is_too_many() -> None:
    client = Client()
    client.ping(BURST_PINGS)
    assert client.ping(int(FLOOD_SECONDS * PINGS_PER_SECOND)) is not None
    assert client.ping(2) is None


def test_a_pause_ends_a_flood() -> None:
    client = Client()
    client.ping(BURST_PINGS)
    for _ in range(10):
        assert client.ping(int(FLOOD_SECONDS * PINGS_PER_SECOND) - 1) is not None
        client.now += 1
