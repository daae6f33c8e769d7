"""Uploads over real sockets: the file that arrives upstream, the callers who may send it, and its limits."""

import json

import pytest

from schema.contract.keys import FileKey, to_global_id
from tests.support.emulator import KEY, Emulator, running_emulator
from tests.support.file_client import error_of, upload, uploaded
from tests.support.file_samples import CSV, PNG, form
from tests.support.gateway import Gateway, running_gateway
from tests.support.log_lines import collected_lines

AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


async def content(emulator: Emulator, file_id: str) -> bytes:
    url = f"{emulator.url}/files/{file_id}/content"
    async with emulator.session.get(url, headers=AUTHORIZED) as response:
        return await response.read()


async def stored(emulator: Emulator) -> list[str]:
    return [file["filename"] for file in (await emulator.get("/files"))["data"] if file["created_at"] > 0]


async def test_a_file_arrives_upstream_as_it_was_sent(gateway: Gateway, emulator: Emulator) -> None:
    table = CSV * 10_000
    made = await uploaded(gateway, table, "sales.csv", purpose="assistants")
    assert made["id"] == to_global_id(FileKey(made["upstreamId"]))
    assert (made["filename"], made["bytes"], made["purpose"]) == ("sales.csv", len(table), "assistants")
    assert await content(emulator, made["upstreamId"]) == table
    found = await emulator.get(f"/files/{made['upstreamId']}")
    assert (found["filename"], found["bytes"], found["purpose"]) == ("sales.csv", len(table), "assistants")


async def test_without_a_purpose_images_are_for_vision_and_all_else_for_assistants(
    gateway: Gateway, emulator: Emulator
) -> None:
    for sent, name, purpose in ((PNG, "a.png", "vision"), (CSV, "a.png", "assistants"), (CSV, "a.csv", "assistants")):
        assert (await uploaded(gateway, sent, name))["purpose"] == purpose


async def test_the_purpose_may_come_after_the_file(gateway: Gateway) -> None:
    sent = form(CSV, "a.csv")
    sent.add_field("purpose", "user_data")
    reply = await gateway.send("POST", "/files", data=sent, headers=AUTHORIZED)
    assert reply.json["purpose"] == "user_data"


async def test_a_purpose_that_the_upstream_does_not_know_is_refused_in_its_own_words(
    gateway: Gateway, emulator: Emulator
) -> None:
    reply = await upload(gateway, CSV, "a.csv", purpose="world-domination")
    status, code, message = error_of(reply)
    assert (status, code) == (400, "BAD_USER_INPUT")
    assert "world-domination" in message
    assert await stored(emulator) == []


async def test_the_largest_file_is_taken_and_one_more_byte_is_not(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_max_file_bytes=100_000) as gateway:
        assert (await uploaded(gateway, b"x" * 100_000))["bytes"] == 100_000
        refused = await upload(gateway, b"x" * 100_001)
        expected = "Expected a file of at most 100000 bytes (GATEWAY_MAX_FILE_BYTES), got more."
        assert error_of(refused) == (413, "BAD_USER_INPUT", expected)
        assert refused.headers["Connection"] == "close"
        assert error_of(await upload(gateway, b"x" * 200_000)) == (413, "BAD_USER_INPUT", expected)
    assert await stored(emulator) == ["a.bin"]


async def test_other_methods_are_refused(gateway: Gateway) -> None:
    for method in ("GET", "PUT", "DELETE"):
        reply = await gateway.send(method, "/files", headers=AUTHORIZED)
        assert (error_of(reply)[0], reply.headers["Allow"]) == (405, "POST")


PLAIN_FORM = "Expected an Authorization header, or the header GraphQL-Require-Preflight: 1, got a plain form."
UNASKED_PAGE = (
    "Expected the header GraphQL-Require-Preflight: 1, or a page that GATEWAY_ALLOWED_ORIGINS names, got the plain "
    "form of another."
)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}, 403),
        # A password that the browser stores for the gateway goes with the form of any page.
        ({"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site", "Authorization": "Basic eDp5"}, 403),
        ({"GraphQL-Require-Preflight": "1"}, 201),
        ({"Origin": "{own}", "Sec-Fetch-Site": "same-origin", "GraphQL-Require-Preflight": "1"}, 201),
        ({"Origin": "{own}", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site", **AUTHORIZED}, 201),
        # With the header, the origin rules of the gateway's own key decide.
        ({"Origin": "https://elsewhere.example", "GraphQL-Require-Preflight": "1"}, 401),
        ({"Host": "rebound.example", "GraphQL-Require-Preflight": "1"}, 401),
    ],
)
async def test_a_form_that_any_page_could_send_is_refused(
    emulator: Emulator, headers: dict[str, str], expected: int
) -> None:
    options = {"upstream_api_key": KEY, "gateway_allowed_origins": "https://app.example"}
    async with running_gateway(emulator.url, **options) as gateway:
        sent = {name: value.replace("{own}", gateway.url) for name, value in headers.items()}
        reply = await upload(gateway, CSV, headers=sent)
        assert reply.status == expected, reply.json
        if expected == 403:
            _, code, message = error_of(reply)
            assert (code, message) == ("FORBIDDEN", UNASKED_PAGE if "Authorization" in headers else PLAIN_FORM)
    assert len(await stored(emulator)) == (expected == 201)


async def test_a_page_asks_before_it_sends_a_file(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_allowed_origins="https://app.example") as gateway:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "graphql-require-preflight"}
        allowed = await gateway.send("OPTIONS", "/files", headers={"Origin": "https://app.example", **asked})
        assert (allowed.status, allowed.headers["Access-Control-Allow-Origin"]) == (204, "https://app.example")
        assert allowed.headers["Access-Control-Allow-Headers"] == "graphql-require-preflight"
        refused = await gateway.send("OPTIONS", "/files", headers={"Origin": "https://elsewhere.example", **asked})
        assert (refused.status, "Access-Control-Allow-Origin" in refused.headers) == (403, False)


async def test_a_key_that_the_upstream_refuses_is_the_callers_affair() -> None:
    async with running_emulator(keys=(KEY,)) as emulator, running_gateway(emulator.url) as gateway:
        reply = await upload(gateway, CSV, headers={"Authorization": "Bearer sk-another-key-of-somebody"})
        status, code, message = error_of(reply)
        assert (status, code) == (401, "UNAUTHENTICATED")
        assert "sk-another-key-of-somebody" not in message


async def test_an_upload_takes_one_call_of_the_rate_limit(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, upstream_api_key=KEY, gateway_rate_limit_calls=2) as gateway:
        for _ in range(2):
            assert (await upload(gateway, CSV, headers={"GraphQL-Require-Preflight": "1"})).status == 201
        refused = await upload(gateway, CSV, headers={"GraphQL-Require-Preflight": "1"})
        assert error_of(refused)[:2] == (429, "RATE_LIMITED")
        assert int(refused.headers["Retry-After"]) > 0
    assert len(await stored(emulator)) == 2


async def test_an_upload_has_its_lines_in_the_log_and_its_request_id_upstream(
    gateway: Gateway, emulator: Emulator
) -> None:
    with collected_lines() as lines:
        reply = await upload(gateway, CSV, "secret name.csv", headers={**AUTHORIZED, "X-Request-ID": "req-1"})
        (line,) = lines.operations
        (audit,) = lines.audit
    assert (line["kind"], line["outcome"], line["upstream_calls"], line["request_id"]) == ("upload", "ok", 1, "req-1")
    assert (audit["mutation"], audit["object"], audit["outcome"]) == ("uploadFile", "File", "ok")
    assert (audit["ids"], audit["request_id"]) == ([reply.json["upstreamId"]], "req-1")
    assert emulator.counts.log[-1].client_request_id == "req-1"
    assert "secret name" not in json.dumps(lines.all)
