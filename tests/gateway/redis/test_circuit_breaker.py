from gateway.redis.circuit_breaker import CircuitBreaker
from tests.gateway.cache.test_memory_tier import Clock


def test_it_admits_all_until_one_fails() -> None:
    breaker = CircuitBreaker(Clock(), open_seconds=1)
    assert [breaker.admits() for _ in range(3)] == [True, True, True]
    assert breaker.is_closed


def test_after_a_failure_nobody_tries_for_a_while_then_one_does() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock, open_seconds=1)
    breaker.failed()
    assert not breaker.is_closed
    assert not breaker.admits()
    clock.now += 1
    assert [breaker.admits() for _ in range(3)] == [True, False, False]


def test_one_success_admits_all_again() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock, open_seconds=1)
    breaker.failed()
    clock.now += 1
    assert breaker.admits()
    breaker.succeeded()
    assert breaker.is_closed
    assert [breaker.admits() for _ in range(2)] == [True, True]


def test_a_probe_that_fails_begins_another_pause() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock, open_seconds=1)
    breaker.failed()
    clock.now += 1
    assert breaker.admits()
    breaker.failed()
    assert not breaker.admits()
    clock.now += 1
    assert breaker.admits()


def test_a_probe_that_is_given_up_is_the_next_ones() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock, open_seconds=1)
    breaker.failed()
    clock.now += 1
    assert breaker.admits()
    breaker.gave_up()
    assert breaker.admits()
