import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.identity import key_fetch
from gateway.identity.key_fetch import DISCOVERY_PATH, MAX_DOCUMENT_BYTES, IssuerKeys
from gateway.identity.verification_keys import BadKeysError
from gateway.server.app import listening
from tests.gateway.identity.tokens import signing_key
from tests.support.oidc_server import running_oidc_server

JWKS = {"keys": [signing_key().public_jwk()]}


@asynccontextmanager
async def serving(*responses: web.Response) -> AsyncIterator[str]:
    """Serve these responses, one after the other, on every path."""
    remaining = list(responses)

    async def respond(_: web.Request) -> web.Response:
        return remaining.pop(0)

    app = web.Application()
    app.router.add_get("/{path:.*}", respond)
    async with listening(app, "127.0.0.1", 0) as url:
        yield url


async def test_the_address_of_the_keys_is_discovered_once_and_again_after_a_failure() -> None:
    async with running_oidc_server() as server:
        keys = IssuerKeys(server.issuer, None)
        assert [key.id for key in await keys.fetch()] == [server.keys[0].kid]
        await keys.fetch()
        assert (server.counts[DISCOVERY_PATH], server.count(server.jwks_url)) == (1, 2)
        server.unavailable = {"/jwks"}
        with pytest.raises(BadKeysError, match=r"expected http://\S+/jwks to answer with 200, got 503"):
            await keys.fetch()
        server.unavailable = set()
        await keys.fetch()
        assert (server.counts[DISCOVERY_PATH], server.count(server.jwks_url)) == (2, 4)


async def test_a_given_address_needs_no_discovery() -> None:
    async with running_oidc_server() as server:
        await IssuerKeys("any issuer", server.jwks_url).fetch()
        assert server.counts[DISCOVERY_PATH] == 0


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"issuer": "https://other.test", "jwks_uri": "http://127.0.0.1/jwks"}, "to name the issuer of GATEWAY_JWT"),
        ({"issuer": "URL/", "jwks_uri": "http://127.0.0.1/jwks"}, "to name the issuer of GATEWAY_JWT"),
        ([], "to name the issuer of GATEWAY_JWT"),
        ({"issuer": "URL"}, "to have a jwks_uri"),
        ({"issuer": "URL", "jwks_uri": "file:///etc/passwd"}, "to have a jwks_uri"),
        ({"issuer": "URL", "jwks_uri": "http://user@127.0.0.1/jwks"}, "to have a jwks_uri"),
        ({"issuer": "URL", "jwks_uri": "http://[/"}, "to have a jwks_uri"),
        ({"issuer": "URL", "jwks_uri": 5}, "to have a jwks_uri"),
    ],
)
async def test_a_discovery_document_of_another_issuer_or_without_keys_is_refused(
    document: object, expected: str
) -> None:
    body: list[object] = []
    app = web.Application()

    async def respond(_: web.Request) -> web.Response:
        return web.json_response(body[0])

    app.router.add_get(DISCOVERY_PATH, respond)
    async with listening(app, "127.0.0.1", 0) as url:
        named = {"URL": url, "URL/": f"{url}/"}
        issuer = document.get("issuer", "") if isinstance(document, dict) else ""
        body.append({**document, "issuer": named.get(issuer, issuer)} if isinstance(document, dict) else document)
        with pytest.raises(BadKeysError, match=expected):
            await IssuerKeys(url, None).fetch()


async def test_an_issuer_by_https_names_its_keys_by_https() -> None:
    assert key_fetch.is_url("https://keys.test/jwks", {"https"})
    assert not key_fetch.is_url("http://keys.test/jwks", {"https"})


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "to answer with 200, got 302"),
        (web.Response(text="<html>"), "to be JSON"),
        (web.Response(body=b" " * (MAX_DOCUMENT_BYTES + 1)), f"at most {MAX_DOCUMENT_BYTES} bytes"),
        (web.json_response({"keys": []}), "expected a public key for signatures"),
    ],
)
async def test_a_document_that_cannot_be_used_is_refused(response: web.Response, expected: str) -> None:
    async with serving(response, web.json_response(JWKS)) as url:
        keys = IssuerKeys("any issuer", f"{url}/jwks?secret=1")
        with pytest.raises(BadKeysError, match=expected) as refused:
            await keys.fetch()
        assert "secret" not in str(refused.value)
        assert len(await keys.fetch()) == 1


async def test_a_server_that_does_not_answer_in_time_or_at_all_is_given_up() -> None:
    asked, hanging = asyncio.Event(), asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        asked.set()
        await hanging.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/jwks", hang)
    async with listening(app, "127.0.0.1", 0) as url:
        keys = IssuerKeys("any issuer", f"{url}/jwks", timeout_seconds=0.5)
        with pytest.raises(BadKeysError, match="to answer in time, but it did not"):
            await keys.fetch()
        assert asked.is_set()
        hanging.set()
    with pytest.raises(BadKeysError, match="to answer, but it failed"):
        await keys.fetch()
