"""Tests of traces: their spans, the parent of each, and the texts that none may hold."""

import asyncio
import json
import os
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gateway.telemetry.metrics import GatewayMetrics
from gateway.telemetry.operation_observer import OperationObserver
from gateway.telemetry.tracing import Tracing, TracingSettingsError, is_tracing_configured
from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.file_client import target, uploaded
from tests.support.file_samples import PNG
from tests.support.gateway import Gateway, running_command, running_gateway, url_in
from tests.support.mutations import assistant, thread_with_question
from tests.support.subscription_clients import open_socket

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
DEMO = ("demo", "--port", "0", "--emulator-port", "0")
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"


class Spans:
    """The spans that have ended, by name."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def one(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.ended if span.name == name]
        return span

    def text(self) -> str:
        return "".join(span.to_json() for span in self.ended)


@asynccontextmanager
async def traced_gateway(emulator: Emulator, **settings: Any) -> AsyncIterator[tuple[Gateway, Spans]]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    observer = OperationObserver(GatewayMetrics(), Tracing(provider))
    async with running_gateway(emulator.url, observer=observer, **settings) as gateway:
        yield gateway, Spans(exporter)


def parent_id(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


def span_id(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"{context.span_id:016x}"


def trace_id(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}"


async def test_an_upload_and_a_download_have_a_trace_without_an_address(emulator: Emulator) -> None:
    async with traced_gateway(emulator) as (gateway, spans):
        made = await uploaded(gateway, PNG, "a secret name.png")
        assert (await gateway.send("GET", target(made["contentUrl"]))).status == 200
    for kind, call in (("upload", "createFile"), ("download", "downloadFile")):
        assert parent_id(spans.one(call)) == span_id(spans.one(kind))
        sent = {one.operation: one.traceparent for one in emulator.counts.log}
        assert str(sent[call]).startswith(f"00-{trace_id(spans.one(call))}-{span_id(spans.one(call))}-")
    assert made["contentUrl"].partition("token=")[2][:40] not in spans.text()
    assert "a secret name" not in spans.text()


async def test_a_trace_leads_from_a_browser_through_the_gateway_to_the_upstream(emulator: Emulator) -> None:
    thread_id = await thread_with_question(emulator)
    document = "query ReadThread($id: ID!) { thread(id: $id) { metadata messages(first: 5) { nodes { text } } } }"
    async with traced_gateway(emulator) as (gateway, spans):
        await gateway.execute(document, {"id": thread_id}, {"traceparent": TRACEPARENT, "tracestate": "a=b"})
    operation, thread, messages = spans.one("query ReadThread"), spans.one("getThread"), spans.one("listMessages")
    assert {trace_id(span) for span in spans.ended} == {TRACE_ID}
    assert parent_id(operation) == PARENT_ID
    assert parent_id(thread) == parent_id(messages) == span_id(operation)
    sent = {one.operation: one.traceparent for one in emulator.counts.log[-2:]}
    assert sent == {name: f"00-{TRACE_ID}-{span_id(spans.one(name))}-01" for name in ("getThread", "listMessages")}
    assert (operation.kind, thread.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert operation.attributes is not None
    assert operation.attributes["graphql.operation.type"] == "query"
    assert operation.attributes["threads_gateway.outcome"] == "ok"
    assert operation.attributes["threads_gateway.upstream_calls"] == 2
    assert thread.attributes is not None
    assert dict(thread.attributes) == {"http.request.method": "GET", "http.response.status_code": 200}


async def test_operations_without_a_trace_begin_one_each(emulator: Emulator) -> None:
    async with traced_gateway(emulator) as (gateway, spans):
        await gateway.data("query A { __typename }")
        await gateway.execute("query B { __typename }", headers={"traceparent": "no trace"})
    assert spans.one("query A").parent is spans.one("query B").parent is None
    assert trace_id(spans.one("query A")) != trace_id(spans.one("query B"))


async def test_failures_are_marked_and_no_span_holds_what_was_said(emulator: Emulator) -> None:
    secret = "a very secret text"
    async with traced_gateway(emulator) as (gateway, spans):
        await gateway.data(
            "mutation Write($text: String!) { createThread(input: {messages: [{content: [{text: $text}]}]}) "
            "{ thread { id upstreamId } } }",
            {"text": secret},
        )
        thread_id = await thread_with_question(emulator)
        emulator.misbehave("getThread:503")
        await gateway.execute("query Fail($id: ID!) { thread(id: $id) { metadata } }", {"id": thread_id})
    assert spans.one("mutation Write").status.status_code is StatusCode.UNSET
    failed = spans.one("query Fail")
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes is not None
    assert failed.attributes["threads_gateway.codes"] == ("UPSTREAM_FAILED",)
    retried = [span for span in spans.ended if span.name == "getThread"]
    assert len(retried) > 1
    assert all(span.status.status_code is StatusCode.ERROR for span in retried)
    for hidden in (secret, thread_id, AUTHORIZATION.split()[-1]):
        assert hidden not in spans.text()


async def test_each_operation_of_a_socket_has_its_span_and_events_are_linked_to_the_run_that_made_them(
    emulator: Emulator,
) -> None:
    thread_id, assistant_id = await thread_with_question(emulator), await assistant(emulator)
    create = """mutation Start($thread: ID!, $assistant: ID!) {
        createRun(input: {threadId: $thread, assistantId: $assistant}) { run { upstreamId } }
    }"""
    follow = """subscription Follow($id: ID!) {
        runEvents(runId: $id) { type: __typename ... on RunStatusChange { status } }
    }"""
    async with traced_gateway(emulator) as (gateway, spans), open_socket(gateway) as socket:
        started = await gateway.data(create, {"thread": thread_id, "assistant": assistant_id})
        run_id = to_global_id(RunKey(thread_id, started["createRun"]["run"]["upstreamId"]))
        reader = await socket.subscribe(follow, id=run_id)
        emulator.clock.advance(60)
        await reader.wait_for_completion()
    creator, subscription = spans.one("mutation Start"), spans.one("subscription Follow")
    assert trace_id(creator) != trace_id(subscription)
    events = [span for span in spans.ended if span.name in {"event Status", "event Snapshot"}]
    assert events
    for event in events:
        (link,) = event.links
        assert f"{link.context.span_id:016x}" == span_id(creator)
    assert not any(span.name == "event TextDelta" for span in spans.ended)


def ask_demo(query: str, **variables: str) -> None:
    """Run the demo, send it a query, and end it."""
    with running_command(*DEMO, log=Path(os.devnull), program=None, **variables) as (_, printed):
        body = json.dumps({"query": query}).encode()
        request = urllib.request.Request(  # noqa: S310 - ours
            f"{url_in(printed, 'GraphiQL')}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - ours
            assert "errors" not in json.loads(response.read())


async def test_the_program_exports_to_a_collector_that_the_standard_variables_name() -> None:
    received: list[ExportTraceServiceRequest] = []

    async def collect(request: web.Request) -> web.Response:
        export = ExportTraceServiceRequest()
        export.ParseFromString(await request.read())
        received.append(export)
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", collect)
    async with TestServer(app) as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": str(collector.make_url("")), "OTEL_SERVICE_NAME": "our-gateway"}
        await asyncio.to_thread(ask_demo, "query Q { assistants { nodes { name } } }", **variables)
    resources = [resource for export in received for resource in export.resource_spans]
    names = {span.name for resource in resources for scope in resource.scope_spans for span in scope.spans}
    assert {"query Q", "listAssistants"} <= names
    attributes = {pair.key: pair.value.string_value for pair in resources[0].resource.attributes}
    assert attributes["service.name"] == "our-gateway"


@pytest.mark.parametrize(
    ("environment", "configured"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),
    ],
)
def test_the_standard_variables_turn_traces_on_and_off(environment: dict[str, str], configured: bool) -> None:
    assert is_tracing_configured(environment) is configured


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER: expected otlp or none, got 'zipkin'"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf, got 'grpc'",
        ),
    ],
)
def test_an_exporter_that_is_not_there_is_refused(environment: dict[str, str], expected: str) -> None:
    with pytest.raises(TracingSettingsError, match=expected):
        is_tracing_configured(environment)
