"""Tests of the metrics as Prometheus reads them: of a real gateway, after real operations."""

import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from gateway.identity.principal import UpstreamIdentity
from gateway.telemetry.metrics import render_metrics_table
from gateway.telemetry.metrics_site import METRICS, serving_metrics
from schema.contract.errors import ErrorCode
from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import KEY, Emulator
from tests.support.file_client import target, uploaded
from tests.support.file_samples import PNG
from tests.support.gateway import Gateway, running_command, running_gateway, url_in
from tests.support.mutations import assistant, thread_with_question
from tests.support.pages import table_text
from tests.support.postgresql import running_postgresql
from tests.support.signed_in import NamedUsers
from tests.support.subscription_clients import open_socket
from tests.support.valkey import Valkey

ERRORS = "threads_gateway_operation_errors"
OPENMETRICS = "application/openmetrics-text"


class Scrape:
    """The samples of one scrape, by name and labels."""

    def __init__(self, text: str) -> None:
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples whose labels include these; 0 without any."""
        wanted = set(labels.items())
        found = [
            number
            for (sample, has), number in self.samples.items()
            if sample == f"threads_gateway_{name}" and wanted <= has
        ]
        return sum(found)

    def label_values(self, label: str) -> set[str]:
        return {text for _, labels in self.samples for name, text in labels if name == label}


@asynccontextmanager
async def scraped(gateway: Gateway) -> AsyncIterator[Any]:
    """Serve the metrics of a gateway. Yields a function that scrapes them."""
    async with serving_metrics(gateway.app[METRICS], "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:

        async def scrape(headers: Mapping[str, str] | None = None) -> str:
            async with session.get(url, headers=headers) as response:
                assert response.status == 200
                return await response.text()

        yield scrape


async def test_operations_calls_and_the_cache_are_counted(emulator: Emulator, valkey: Valkey) -> None:
    thread_id = await thread_with_question(emulator)
    document = "query ReadThread($id: ID!) { thread(id: $id) { metadata } }"
    lists = "query ReadList($id: ID!) { thread(id: $id) { messages(first: 5) { nodes { text } } } }"
    options: dict[str, Any] = {"gateway_cache": True, "redis_url": valkey.url, "gateway_metrics_port": 0}
    async with (
        running_gateway(emulator.url, **options) as one,
        running_gateway(emulator.url, **options) as other,
        scraped(one) as scrape_one,
        scraped(other) as scrape_other,
    ):
        await one.data(document, {"id": thread_id})
        await one.data("query ReadAgain($id: ID!) { thread(id: $id) { metadata id } }", {"id": thread_id})
        await one.data(lists, {"id": thread_id})
        await one.data(document, {"id": thread_id})
        await one.execute("query Wrong { nonsense }")
        await other.data(document, {"id": thread_id})
        first, second = Scrape(await scrape_one()), Scrape(await scrape_other())
    assert first.value("operations_total", operation="ReadThread", kind="query", outcome="ok") == 2
    assert first.value("operation_duration_seconds_count", operation="ReadThread") == 2
    assert first.value("operations_total", operation="other", outcome="refused") == 1
    assert first.value("operation_errors_total", code="GRAPHQL_VALIDATION_FAILED") == 1
    assert first.value("upstream_calls_total", call="getThread", status="200") == 1
    assert first.value("upstream_calls_total", call="listMessages", status="200") == 1
    assert first.value("upstream_call_duration_seconds_count", call="listMessages") == 1
    assert first.value("upstream_slot_wait_seconds_count") == 2
    assert first.value("operation_calls_total", operation="ReadThread") == 1
    assert first.value("predicted_calls_total", operation="ReadList") >= 1
    assert first.value("operation_objects_total", operation="ReadList") == 2
    assert first.value("predicted_objects_total", operation="ReadList") >= 2
    assert first.value("cache_reads_total", keys="Thread", found="upstream") == 1
    assert first.value("cache_reads_total", keys="Thread", found="memory") == 1
    assert first.value("response_cache_reads_total", found="yes") == 1
    assert first.value("loader_batch_keys_count", kind="threads") == 2
    assert first.value("store_request_duration_seconds_count", store="redis_cache") > 0
    assert second.value("cache_reads_total", keys="Thread", found="redis") == 1
    assert second.value("upstream_calls_total") == 0
    assert first.value("build_info") == 1


async def test_failures_retries_and_refusals_are_counted(emulator: Emulator) -> None:
    thread_id = await thread_with_question(emulator)
    emulator.misbehave("getThread:503")
    options: dict[str, Any] = {"gateway_metrics_port": 0, "gateway_rate_limit_operations": 13}
    document = "query Q($id: ID!) { thread(id: $id) { metadata } }"
    async with running_gateway(emulator.url, **options) as gateway, scraped(gateway) as scrape:
        await gateway.data("{ assistants { nodes { id } } }")  # so that the upstream has accepted the credential
        for _ in range(13):
            await gateway.execute(document, {"id": thread_id})
        found = Scrape(await scrape())
    assert found.value("upstream_retries_total", call="getThread") > 0
    assert found.value("upstream_calls_total", call="getThread", status="503") >= 10
    assert found.value("upstream_refused_calls_total", call="getThread", code="UPSTREAM_FAILED") > 0
    assert found.value("upstream_breakers_open", call="getThread") == 1
    assert found.value("operations_total", operation="other", outcome="errors") == 12
    assert found.value("operation_errors_total", code="RATE_LIMITED") == 1


async def test_uploads_and_downloads_are_counted_with_their_calls(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_metrics_port=0) as gateway, scraped(gateway) as scrape:
        made = await uploaded(gateway, PNG, "a.png")
        for _ in range(2):
            assert (await gateway.send("GET", target(made["contentUrl"]))).status == 200
        assert (await gateway.send("GET", target(made["contentUrl"])[:-9])).status == 403
        text = await scrape()
    found = Scrape(text)
    assert found.value("operations_total", kind="upload", outcome="ok") == 1
    assert found.value("operations_total", kind="download", outcome="ok") == 2
    assert found.value("operations_total", kind="download", outcome="refused") == 1
    assert found.value("upstream_calls_total", call="createFile", status="200") == 1
    assert found.value("upstream_calls_total", call="downloadFile", status="200") == 2
    assert URL(made["contentUrl"]).query["token"] not in text


async def test_live_runs_are_counted(emulator: Emulator) -> None:
    thread_id = await thread_with_question(emulator)
    run = await emulator.post(f"/threads/{thread_id}/runs", {"assistant_id": await assistant(emulator)})
    run_id = to_global_id(RunKey(thread_id, run["id"]))
    document = """subscription Follow($id: ID!, $after: String) {
        runEvents(runId: $id, after: $after) { type: __typename ... on RunLogEvent { cursor } }
    }"""
    async with (
        running_gateway(emulator.url, gateway_metrics_port=0) as gateway,
        scraped(gateway) as scrape,
        open_socket(gateway) as socket,
    ):
        reader = await socket.subscribe(document, id=run_id)
        await reader.wait_until(lambda reader: reader.events)
        during = Scrape(await scrape())
        resumed = await socket.subscribe(document, id=run_id, after=reader.events[0]["cursor"])
        emulator.clock.advance(60)
        await reader.wait_for_completion()
        await resumed.wait_for_completion()
        after = Scrape(await scrape())
    assert during.value("live_connections") == 1
    assert during.value("subscriptions") == 1
    assert during.value("run_logs") == during.value("run_log_readers") == 1
    assert during.value("upstream_readers", by="poll") == 1
    assert after.value("subscriptions") == 0
    assert after.value("events_delivered_total") == len(reader.events) + len(resumed.events)
    assert after.value("events_delivered_total", event="Snapshot") == 1
    assert after.value("run_log_resumes_total", outcome="complete") == 1
    assert after.value("operations_total", operation="Follow", kind="subscription", outcome="ok") == 2


async def test_the_first_error_of_a_code_is_an_increase(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_metrics_port=0) as gateway, scraped(gateway) as scrape:
        before = Scrape(await scrape())
    codes = {dict(labels)["code"] for name, labels in before.samples if name == f"{ERRORS}_total"}
    assert codes == set(ErrorCode)
    assert before.value("operation_errors_total") == 0


async def test_the_ledger_is_measured(emulator: Emulator) -> None:
    upstream = UpstreamIdentity(emulator.url, dialect="openai-v2")
    mutation, headers = "mutation { createThread(input: {}) { thread { id } } }", {"Authorization": "Bearer ann"}
    with running_postgresql() as database:
        options: dict[str, Any] = {
            "authenticator": NamedUsers(upstream),
            "upstream_api_key": KEY,
            "gateway_database_url": database.create_database(),
            "gateway_metrics_port": 0,
        }
        async with running_gateway(emulator.url, **options) as gateway, scraped(gateway) as scrape:
            assert "errors" not in await gateway.execute(mutation, headers=headers)
            answered = Scrape(await scrape())
            await asyncio.to_thread(database.kill)
            await gateway.execute(mutation, headers=headers)
            failed = Scrape(await scrape())
    assert answered.value("store_request_duration_seconds_count", store="ledger") >= 2
    ledger = ("threads_gateway_store_errors_total", frozenset({("store", "ledger")}))
    assert answered.samples[ledger] == 0, "expected a zero before the first error"
    assert failed.value("store_errors_total", store="ledger") > 0
    assert failed.value("operation_errors_total", code="LEDGER_UNAVAILABLE") == 1


async def test_callers_cannot_fill_the_labels(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_metrics_port=0) as gateway, scraped(gateway) as scrape:
        for number in range(110):
            await gateway.execute(f"query Name{number} {{ __typename }}")
        await gateway.execute('query Text { thread(id: "thread_secret") { metadata } }')
        text = await scrape()
    names = {name for name in Scrape(text).label_values("operation") if name.startswith("Name")}
    assert len(names) == 100
    assert "thread_secret" not in text
    assert "Text" not in Scrape(text).label_values("operation")


async def test_prometheus_gets_either_of_its_formats(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_metrics_port=0) as gateway, scraped(gateway) as scrape:
        await gateway.data("query Q { __typename }")
        plain, openmetrics = await scrape(), await scrape({"Accept": OPENMETRICS})
    for text, parse in ((plain, text_string_to_metric_families), (openmetrics, parse_openmetrics)):
        names = {family.name for family in parse(text)}
        assert "threads_gateway_operations" in names
        assert all(family.documentation for family in parse(text) if family.name.startswith("threads_gateway_"))


def test_the_program_serves_them_on_their_own_address_and_never_on_its_main_port() -> None:
    arguments = ("demo", "--port", "0", "--emulator-port", "0", "--metrics-port", "0")
    with running_command(*arguments) as (_, printed):
        metrics, gateway = url_in(printed, "Metrics"), url_in(printed, "GraphiQL")
        assert metrics != gateway
        assert fetch_status(f"{gateway}/metrics")[0] == 404
        status, text = fetch_status(f"{metrics}/metrics")
        assert status == 200
        assert re.search(r"^threads_gateway_event_loop_lag_seconds_count \d", text, re.MULTILINE)
        assert "process_resident_memory_bytes" in text


def fetch_status(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - ours
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


async def test_the_documentation_lists_exactly_these_metrics(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_metrics_port=0) as gateway, scraped(gateway) as scrape:
        metrics = gateway.app[METRICS]
        assert table_text("metrics").strip() == render_metrics_table(metrics.descriptions).strip()
        scraped_names = {family.name for family in text_string_to_metric_families(await scrape())}
    described = {described.name for described in metrics.descriptions}
    assert {name for name in scraped_names if name.startswith("threads_gateway_")} == described


async def test_nothing_is_measured_without_a_port(gateway: Gateway) -> None:
    assert METRICS not in gateway.app
