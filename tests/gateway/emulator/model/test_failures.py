import pytest

from gateway.emulator.model import failures


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (429, "rate_limit_exceeded", "try again later"),
        (401, "server_error", "refused the emulator's own key"),
        (403, "server_error", "refused the emulator's own key"),
        (404, "server_error", "no such model"),
        (302, "server_error", "status 302"),
        (500, "server_error", "status 500"),
    ],
)
def test_a_refused_request_becomes_the_error_of_the_run(status: int, code: str, words: str) -> None:
    failure = failures.refused(status).failure
    assert failure.code == code
    assert words in failure.message
    assert str(status) in failure.message


def test_other_failures_are_server_errors_except_too_many_runs() -> None:
    assert failures.too_many_waiting().failure.code == "rate_limit_exceeded"
    assert failures.too_slow(60.0).failure.message == "The model did not answer within 60 seconds."
    for made in (
        failures.unreachable(),
        failures.garbled(),
        failures.reported(),
        failures.cut_off(),
        failures.too_large(5),
        failures.restarted(),
        failures.unexpected(),
    ):
        assert made.failure.code == "server_error"
        assert str(made) == made.failure.message
