"""The reasons why a model did not answer, as texts for a run's `last_error`.

The texts name no address, no key and no data of the model's server: a user who may read a run may read them, even one
who may not know the model's configuration.
"""

from http import HTTPStatus

from gateway.emulator.objects import Failure


class ModelFailedError(Exception):
    """The model gives no (further) answer. `failure` is the error of the run."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def unreachable() -> ModelFailedError:
    """Report that no connection could be made, or that it was lost before an answer."""
    return _server_error("The model could not be reached.")


def refused(status: int) -> ModelFailedError:
    """Report a response status other than 200."""
    match status:
        case HTTPStatus.TOO_MANY_REQUESTS:
            message = "The model takes no more requests for now, please try again later (status 429)."
            return ModelFailedError(Failure("rate_limit_exceeded", message))
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return _server_error(f"The model refused the emulator's own key (status {status}).")
        case HTTPStatus.NOT_FOUND:
            return _server_error("There is no such model, or its base URL is not right (status 404).")
        case _:
            return _server_error(f"The model answered with status {status}.")


def garbled() -> ModelFailedError:
    """Report an answer that does not follow the chat-completions API."""
    return _server_error("The model's answer could not be read.")


def reported() -> ModelFailedError:
    """Report an error message in the middle of an answer."""
    return _server_error("The model failed in the middle of its answer.")


def cut_off() -> ModelFailedError:
    """Report an answer without an end."""
    return _server_error("The model's answer broke off.")


def too_large(limit_bytes: int) -> ModelFailedError:
    """Report an answer above the size limit."""
    return _server_error(f"The model's answer is too large: expected at most {limit_bytes} bytes.")


def too_slow(seconds: float) -> ModelFailedError:
    """Report a timeout of the next piece."""
    return _server_error(f"The model did not answer within {seconds:g} seconds.")


def too_many_waiting() -> ModelFailedError:
    """Report that too many runs wait for the model already."""
    message = "Too many runs wait for the model, please try again later."
    return ModelFailedError(Failure("rate_limit_exceeded", message))


def restarted() -> ModelFailedError:
    """Report that the emulator stopped during a request to the model."""
    return _server_error("The emulator was restarted before the model had answered.")


def unexpected() -> ModelFailedError:
    """Report an error of the emulator itself, without its details."""
    return _server_error("Sorry, something went wrong.")


def _server_error(message: str) -> ModelFailedError:
    return ModelFailedError(Failure("server_error", message))
