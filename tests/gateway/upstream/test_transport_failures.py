import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from gateway.upstream.transport_failures import BodyTooLargeError, failure_from_exception
from schema.contract.errors import ErrorCode

HOST = ConnectionKey(
    host="upstream.internal", port=8443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)
OS_ERROR = OSError(111, "upstream.internal says no")
INFO = aiohttp.RequestInfo(URL("https://upstream.internal"), "GET", headers=None, real_url=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "transient"),
    [
        (BodyTooLargeError(5), ErrorCode.UPSTREAM_INVALID_RESPONSE, False),
        (aiohttp.ClientPayloadError("upstream.internal"), ErrorCode.UPSTREAM_INVALID_RESPONSE, True),
        (aiohttp.ClientResponseError(INFO, ()), ErrorCode.UPSTREAM_INVALID_RESPONSE, False),
        (aiohttp.ClientConnectorSSLError(HOST, OS_ERROR), ErrorCode.UPSTREAM_UNREACHABLE, False),
        (
            aiohttp.ClientConnectorCertificateError(HOST, ssl.CertificateError("upstream.internal")),
            ErrorCode.UPSTREAM_UNREACHABLE,
            False,
        ),
        (ssl.SSLError("upstream.internal"), ErrorCode.UPSTREAM_UNREACHABLE, False),
        (aiohttp.ClientConnectorDNSError(HOST, OS_ERROR), ErrorCode.UPSTREAM_UNREACHABLE, True),
        (aiohttp.ConnectionTimeoutError("upstream.internal"), ErrorCode.UPSTREAM_UNREACHABLE, False),
        (aiohttp.ClientConnectorError(HOST, OS_ERROR), ErrorCode.UPSTREAM_UNREACHABLE, True),
        (aiohttp.ClientOSError(104, "upstream.internal"), ErrorCode.UPSTREAM_UNREACHABLE, True),
        (aiohttp.ServerDisconnectedError("upstream.internal"), ErrorCode.UPSTREAM_UNREACHABLE, True),
        (ConnectionResetError("upstream.internal"), ErrorCode.UPSTREAM_UNREACHABLE, True),
        (RuntimeError("upstream.internal"), ErrorCode.INTERNAL, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_exception_has_its_code_and_names_no_address(error: Exception, code: ErrorCode, transient: bool) -> None:
    failure = failure_from_exception(error, "getThread")
    assert (failure.error.code, failure.transient) == (code, transient)
    assert "upstream.internal" not in failure.error.message
