"""Why a model gave no answer, in words for ``last_error``: they name no address, no key and nothing that it sent.

Whoever may read a run reads them, and that need not be the person who set up the model.
"""

from http import HTTPStatus

from gateway.emulator.objects import Failure


class ModelFailedError(Exception):
    """There is no (further) answer; ``failure`` is what the run fails with."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def unreachable() -> ModelFailedError:
    """Tell that no connection could be made, or that it was lost before an answer."""
    return _server_error("The model could not be reached.")


def refused(status: int) -> ModelFailedError:
    """Tell that the model's server answered with another status than 200."""
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
    """Tell that the answer is none of the chat-completions API."""
    return _server_error("The model's answer could not be read.")


def reported() -> ModelFailedError:
    """Tell that the model's server reported an error in the middle of its answer."""
    return _server_error("The model failed in the middle of its answer.")


def cut_off() -> ModelFailedError:
    """Tell that the answer has no end."""
    return _server_error("The model's answer broke off.")


def too_large(limit_bytes: int) -> ModelFailedError:
    """Tell that the answer is larger than the emulator takes."""
    return _server_error(f"The model's answer is too large: expected at most {limit_bytes} bytes.")


def too_slow(seconds: float) -> ModelFailedError:
    """Tell that nothing came for too long."""
    return _server_error(f"The model did not answer within {seconds:g} seconds.")


def too_many_waiting() -> ModelFailedError:
    """Tell that too many runs wait for the model already."""
    message = "Too many runs wait for the model, please try again later."
    return ModelFailedError(Failure("rate_limit_exceeded", message))


def restarted() -> ModelFailedError:
    """Tell that the emulator stopped while the model was being asked."""
    return _server_error("The emulator was restarted before the model had answered.")


def unexpected() -> ModelFailedError:
    """Tell of a fault of the emulator itself, without its details."""
    return _server_error("Sorry, something went wrong.")


def _server_error(message: str) -> ModelFailedError:
    return ModelFailedError(Failure("server_error", message))
