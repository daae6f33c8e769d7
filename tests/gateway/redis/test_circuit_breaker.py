from gateway.redis.circuit_breaker import CircuitBreaker
from tests.gateway.cache.processes import Clock


def test_closed_it_allows_every_request() -> None:
    breaker = CircuitBreaker(Clock(), open_seconds=1)
    assert [breaker.allow_request() for _ in range(3)] == [True, True, True]
    assert breaker.is_closed


def test_a_failure_opens_it_and_after_the_pause_it_allows_one_probe() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock, open_seconds=1)
    breaker.record_failure()
    assert not breaker.is_closed
    assert not breaker.allow_request()
    clock.now += 1
    assert [breaker.allow_request() for _ in range(3)] == [True, False, False]


def test_the_success_of_the_probe_closes_it() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock, open_seconds=1)
    breaker.record_failure()
    clock.now += 1
    assert breaker.allow_request()
    breaker.record_success()
    assert breaker.is_closed
    assert [breaker.allow_request() for _ in range(2)] == [True, True]


def test_the_failure_of_the_probe_opens_it_again() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock, open_seconds=1)
    breaker.record_failure()
    clock.now += 1
    assert breaker.allow_request()
    breaker.record_failure()
    assert not breaker.allow_request()
    clock.now += 1
    assert breaker.allow_request()


def test_after_an_abandoned_probe_the_next_request_is_the_probe() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock, open_seconds=1)
    breaker.record_failure()
    clock.now += 1
    assert breaker.allow_request()
    breaker.record_abandoned()
    assert breaker.allow_request()
