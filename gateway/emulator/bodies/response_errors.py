"""The refusals of the operations on conversations and responses, in the API's own words.

Source: reports of developers. Words that were found in none are marked "assumed".
"""

from gateway.emulator.bodies.api_errors import ApiError


def nothing_with_id(noun: str, object_id: str) -> ApiError:
    """Refuse an unknown id of this partition."""
    return ApiError(f"{noun} with id '{object_id}' not found.", status=404)


def previous_response_missing(response_id: str) -> ApiError:
    """Refuse to continue an unknown response."""
    return ApiError(
        f"Previous response with id '{response_id}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def conversation_locked() -> ApiError:
    """Refuse a write to a conversation that has a response under way. That items are refused too is assumed."""
    return ApiError(
        "Another process is currently operating on this conversation. Please retry in a few seconds.",
        param="conversation",
        code="conversation_locked",
    )


def two_contexts() -> ApiError:
    """Refuse a conversation together with a previous response (words assumed)."""
    return ApiError(
        "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure you are only providing one "
        "of: 'previous_response_id' or 'conversation'.",
        code="mutually_exclusive_parameters",
    )


def call_without_output(call_id: str) -> ApiError:
    """Refuse a response after a function call that nobody answered."""
    return ApiError(f"No tool output found for function call {call_id}.", param="input")


def output_without_call(call_id: str) -> ApiError:
    """Refuse the output of a function call that the context does not hold."""
    return ApiError(f"No tool call found for function call output with call_id {call_id}.", param="input")


def synchronous_response() -> ApiError:
    """Refuse to cancel a response in the foreground."""
    return ApiError("Cannot cancel a synchronous response.")


def not_streamed() -> ApiError:
    """Refuse to read a response as a stream that was not created as one in the background (words assumed)."""
    return ApiError(
        "You can only start a new stream from a background response if it was created with stream=true.",
        param="stream",
    )


def background_refused() -> ApiError:
    """Refuse a response in the background, as some servers do (words assumed)."""
    return ApiError("Background responses are not supported.", param="background", code="unsupported_parameter")
