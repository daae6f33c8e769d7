import logging

import pytest

from gateway.upstream.call_sender import CallSender
from gateway.upstream.rest_operations import GETS, WRITES
from gateway.upstream.retry import CallFailure
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import MessageKey
from schema.contract.kinds import THREADS
from schema.contract.wire import ThreadObject
from schema.contract.writes import DELETE_MESSAGE
from tests.support.scripted_upstream import ScriptedUpstream, response
from tests.support.upstream_client import CREDENTIAL, T1, WHOLE, ClientMaker


async def test_a_call_is_sent_once_and_its_response_is_read(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    sender = CallSender(make_client(), CREDENTIAL)
    upstream.queue_responses(response(200, WHOLE), response(503, b"busy"))
    call = sender.prepare_call(GETS[THREADS], T1)
    got = await sender.send_call(call)
    assert isinstance(got, ThreadObject)
    failed = await sender.send_call(call)
    assert isinstance(failed, CallFailure)
    assert failed.error.code is ErrorCode.UPSTREAM_FAILED
    assert len(upstream.requests) == 2
    assert all(request.headers["authorization"] == CREDENTIAL for request in upstream.requests)


async def test_an_operation_that_the_dialect_does_not_have_is_not_sent(make_client: ClientMaker) -> None:
    sender = CallSender(make_client(dialect_name="openai-v1"), None)
    with pytest.raises(GatewayError, match="has no operation deleteMessage"):
        sender.prepare_call(WRITES[DELETE_MESSAGE], MessageKey("t", "m"))


async def test_an_unexpected_exception_is_logged_and_masked(
    make_client: ClientMaker, caplog: pytest.LogCaptureFixture
) -> None:
    sender = CallSender(make_client(), CREDENTIAL)
    with caplog.at_level(logging.ERROR):
        failed = sender.to_failure(sender.prepare_call(GETS[THREADS], T1), ZeroDivisionError("secret"))
    assert failed.error.message == "The upstream could not be asked."
    assert "getThread failed unexpectedly" in caplog.text
