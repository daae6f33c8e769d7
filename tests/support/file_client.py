"""A client for uploads and downloads, as small as a frontend's."""

from typing import Any
from urllib.parse import urlsplit

from tests.support.file_samples import form
from tests.support.gateway import Gateway
from tests.support.graphql import Reply


async def upload(
    gateway: Gateway, content: bytes, filename: str = "a.bin", *, headers: dict[str, str] | None = None, **fields: str
) -> Reply:
    """Send a file, by default with the test's own credential."""
    authorization = {"Authorization": gateway.credential} if headers is None else headers
    return await gateway.send("POST", "/files", data=form(content, filename, **fields), headers=authorization)


async def uploaded(gateway: Gateway, content: bytes, filename: str = "a.bin", **fields: str) -> dict[str, Any]:
    """Send a file that must be taken, and return the answer."""
    reply = await upload(gateway, content, filename, headers=None, **fields)
    assert reply.status == 201, reply
    made: dict[str, Any] = reply.json
    return made


def target(address: str) -> str:
    """Return the path and the query of an address."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


def error_of(reply: Reply) -> tuple[int, str, str]:
    """Return the status, code and message of a refusal."""
    (error,) = reply.json["errors"]
    assert error["extensions"]["requestId"] == reply.headers["X-Request-ID"]
    return reply.status, error["extensions"]["code"], error["message"]
