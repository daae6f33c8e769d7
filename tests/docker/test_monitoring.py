"""Tests that alerts and dashboard name only what a real gateway exports, and that `promtool` accepts them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.cache import redis_link
from gateway.ledger import ledger_link
from gateway.run_log.store import redis_connection
from gateway.telemetry.metrics import NO_STATUS
from gateway.telemetry.metrics_site import METRICS, serving_metrics
from gateway.telemetry.operation_record import Outcome
from schema.contract.errors import ErrorCode
from tests.support.emulator import Emulator
from tests.support.gateway import running_gateway
from tests.support.pages import PAGES
from tests.support.promtool import run_promtool

DOCKER = Path(__file__).parents[2] / "docker"
CONFIGURATION: dict[str, Any] = yaml.safe_load((DOCKER / "prometheus.yml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((DOCKER / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
PANELS: list[dict[str, Any]] = json.loads((DOCKER / "grafana-dashboard.json").read_text())["panels"]
QUERIES: list[tuple[str, str]] = [
    (target["expr"], target["legendFormat"]) for panel in PANELS for target in panel["targets"]
]
EXPRESSIONS = [*(rule["expr"] for rule in RULES), *(query for query, _ in QUERIES)]

METRIC = re.compile(r"\b(up|(?:threads_gateway|process)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)=~?"([^"]*)"')
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
OF_PROMETHEUS = {"instance", "job"}
KNOWN_VALUES: dict[str, set[str]] = {
    "code": set(ErrorCode),
    "kind": {"query", "mutation", "subscription"},
    "outcome": {*Outcome, "complete", "expired"},
    "status": {"200", "429", "500", "503", NO_STATUS},
    "store": {redis_link.STORE_NAME, redis_connection.STORE_NAME, ledger_link.STORE_NAME},
    "job": {CONFIGURATION["scrape_configs"][0]["job_name"]},
}

# For each alert, a minute in each number: series with which it fires, and others with which nothing does.
CALLS = "threads_gateway_upstream_calls_total"
ERRORS = "threads_gateway_operation_errors_total"
TIMES = "threads_gateway_operation_duration_seconds_bucket"
WAITS = "threads_gateway_upstream_slot_wait_seconds_bucket"
LAGS = "threads_gateway_event_loop_lag_seconds_bucket"
STORE_ERRORS, STORE_COUNT = "threads_gateway_store_errors_total", "threads_gateway_store_request_duration_seconds_count"
RESUMES = "threads_gateway_run_log_resumes_total"
HERE = 'job="threads-gateway",instance="gateway-1:9464"'
Series = Mapping[str, str]
CASES: dict[str, tuple[Series, Series]] = {
    "GatewayDown": ({f"up{{{HERE}}}": "1x10 0x30"}, {f"up{{{HERE}}}": "1x40"}),
    "GatewayRestarts": (
        {f"process_start_time_seconds{{{HERE}}}": "100x10 200x5 300x5 400x20"},
        {f"process_start_time_seconds{{{HERE}}}": "100x10 200x30"},
    ),
    "InternalErrors": ({f'{ERRORS}{{code="INTERNAL"}}': "0x35 1x5"}, {f'{ERRORS}{{code="NOT_FOUND"}}': "0+9x40"}),
    "OperationsSlow": (
        {f'{TIMES}{{kind="query",le="5.0"}}': "0+1x40", f'{TIMES}{{kind="query",le="10.0"}}': "0+2x40",
         f'{TIMES}{{kind="query",le="+Inf"}}': "0+2x40"},
        {f'{TIMES}{{kind="subscription",le="5.0"}}': "0+1x40", f'{TIMES}{{kind="subscription",le="10.0"}}': "0+2x40",
         f'{TIMES}{{kind="subscription",le="+Inf"}}': "0+2x40"},
    ),
    "UpstreamFails": (
        {f'{CALLS}{{status="200"}}': "0+9x40", f'{CALLS}{{status="none"}}': "0+1x40"},
        {f'{CALLS}{{status="200"}}': "0+99x40", f'{CALLS}{{status="503"}}': "0+1x40"},
    ),
    "UpstreamBreakerOpen": (
        {'threads_gateway_upstream_breakers_open{call="getThread"}': "_x30 1x9"},
        {'threads_gateway_upstream_breakers_open{call="getThread"}': "_x39 1"},
    ),
    "UpstreamRefuses": (
        {f'{ERRORS}{{code="UPSTREAM_REFUSED"}}': "0+1x40"},
        {f'{ERRORS}{{code="UPSTREAM_REFUSED"}}': "0x35 1x5"},
    ),
    "UpstreamLimits": (
        {f'{CALLS}{{status="200"}}': "0+9x40", f'{CALLS}{{status="429"}}': "0+1x40"},
        {f'{CALLS}{{status="200"}}': "0+99x40", f'{CALLS}{{status="429"}}': "0+1x40"},
    ),
    "CallsWait": (
        {f'{WAITS}{{le="0.25"}}': "0+1x40", f'{WAITS}{{le="0.5"}}': "0+2x40", f'{WAITS}{{le="+Inf"}}': "0+2x40"},
        {f'{WAITS}{{le="0.25"}}': "0+99x40", f'{WAITS}{{le="0.5"}}': "0+100x40", f'{WAITS}{{le="+Inf"}}': "0+100x40"},
    ),
    "DatabaseFails": (
        {f'{STORE_COUNT}{{store="ledger"}}': "0+9x40", f'{STORE_ERRORS}{{store="ledger"}}': "0+9x40"},
        {f'{STORE_COUNT}{{store="ledger"}}': "0+9x40", f'{STORE_ERRORS}{{store="ledger"}}': "0x40"},
    ),
    "RedisFails": (
        {f'{STORE_COUNT}{{store="redis_cache"}}': "0+9x40", f'{STORE_ERRORS}{{store="redis_cache"}}': "0+1x40"},
        {f'{STORE_COUNT}{{store="redis_cache"}}': "0+99x40", f'{STORE_ERRORS}{{store="redis_cache"}}': "0+1x40"},
    ),
    "SignInFails": (
        {f'{ERRORS}{{code="SIGN_IN_UNAVAILABLE"}}': "0+1x40"},
        {f'{ERRORS}{{code="UNAUTHENTICATED"}}': "0+1x40"},
    ),
    "ResumesExpire": (
        {f'{RESUMES}{{outcome="complete"}}': "0+3x40", f'{RESUMES}{{outcome="expired"}}': "0+1x40"},
        {f'{RESUMES}{{outcome="complete"}}': "0+30x40", f'{RESUMES}{{outcome="expired"}}': "0+1x40"},
    ),
    "EventLoopLags": (
        {f'{LAGS}{{{HERE},le="0.1"}}': "0+1x40", f'{LAGS}{{{HERE},le="0.25"}}': "0+2x40",
         f'{LAGS}{{{HERE},le="+Inf"}}': "0+2x40"},
        {f'{LAGS}{{{HERE},le="0.1"}}': "0+1x40", f'{LAGS}{{{HERE},le="+Inf"}}': "0+1x40"},
    ),
    "MemoryHigh": (
        {f'process_resident_memory_bytes{{{HERE},worker="{number}"}}': "250000000x40" for number in (0, 1)},
        {f"process_resident_memory_bytes{{{HERE}}}": "250000000x40"},
    ),
    "OpenFilesHigh": (
        {f"process_open_fds{{{HERE}}}": "900x40", f"process_max_fds{{{HERE}}}": "1000x40"},
        {f"process_open_fds{{{HERE}}}": "90x40", f"process_max_fds{{{HERE}}}": "1000x40"},
    ),
}  # fmt: skip


@pytest.fixture
async def scrape(emulator: Emulator) -> tuple[str, dict[str, set[str]]]:
    """The text that a gateway exports after an operation, and the labels of each of its samples by their name."""
    async with running_gateway(emulator.url, gateway_metrics_port=0) as gateway:
        await gateway.data("query Q { assistants { nodes { id } } }")
        metrics = gateway.app[METRICS]
        async with (
            serving_metrics(metrics, "127.0.0.1", 0) as url,
            aiohttp.ClientSession() as session,
            session.get(url) as response,
        ):
            text = await response.text()
    declared = {described.name: set(described.labels) for described in metrics.descriptions}
    return text, {
        family.name + suffix: declared.get(family.name, {"worker"}) | ({"le"} if suffix == "_bucket" else set())
        for family in text_string_to_metric_families(text)
        for suffix in SUFFIXES[family.type]
    }


async def test_each_metric_and_label_of_alerts_and_dashboard_is_exported(
    scrape: tuple[str, dict[str, set[str]]],
) -> None:
    exported = {**scrape[1], "up": set()}
    for expression in EXPRESSIONS:
        metrics = METRIC.findall(expression)
        assert metrics, expression
        labels = {name: exported[name] | OF_PROMETHEUS for name, _ in metrics}  # a KeyError names what is not exported
        for name, matchers in metrics:
            for label, pattern in MATCHER.findall(matchers):
                assert label in labels[name], expression
                for part in pattern.split("|"):
                    assert any(re.fullmatch(part, value) for value in KNOWN_VALUES[label]), (expression, part)
        for group in re.findall(r"\bby \(([^)]*)\)", expression):
            assert set(group.split(", ")) <= set.union(*labels.values()), expression


def test_each_label_that_a_legend_or_a_summary_shows_is_left_by_its_expression() -> None:
    shown = [(rule["expr"], rule["annotations"]["summary"].replace("$labels.", "")) for rule in RULES]
    for expression, text in [*QUERIES, *shown]:
        for label in set(re.findall(r"\{\{ ?(\w+) ?\}\}", text)):
            grouped = re.search(r"\bby \(([^)]*)\)", expression)
            left = OF_PROMETHEUS if grouped is None else set(grouped[1].split(", "))
            assert label in left, (expression, text)
            assert "sum(" not in expression, (expression, text)


@pytest.mark.promtool
async def test_promtool_takes_what_a_gateway_exports(scrape: tuple[str, dict[str, set[str]]]) -> None:
    assert run_promtool("check", "metrics", stdin=scrape[0]) == ""


@pytest.mark.promtool
def test_promtool_takes_the_configuration_and_every_expression(tmp_path: Path) -> None:
    assert f"{len(RULES)} rules found" in run_promtool("check", "config", str(DOCKER / "prometheus.yml"))
    rules = [{"record": f"panel:{number}", "expr": query} for number, (query, _) in enumerate(QUERIES)]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    run_promtool("check", "rules", str(path))


@pytest.mark.promtool
def test_each_alert_fires_for_its_reason_and_no_other_does(tmp_path: Path) -> None:
    assert CASES.keys() == {rule["alert"] for rule in RULES}

    def case(series: Series, firing: list[str]) -> dict[str, Any]:
        expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing]
        query = 'count by (alertname) (ALERTS{alertstate="firing"})'
        return {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": query, "eval_time": "40m", "exp_samples": expected}],
        }

    tests = [case(*pair) for name, (bad, good) in CASES.items() for pair in ((bad, [name]), (good, []))]
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(DOCKER / "alerts.yml")], "tests": tests}))
    assert "SUCCESS" in run_promtool("test", "rules", str(path))


def test_the_runbook_has_a_heading_for_each_alert() -> None:
    headings = re.findall(r"^### `(\w+)`$", PAGES["docker/README.md"].text, re.MULTILINE)
    assert headings == [rule["alert"] for rule in RULES]
    assert {rule["labels"]["severity"] for rule in RULES} == {"page", "ticket"}


def test_every_gateway_is_scraped_on_the_inner_network_alone() -> None:
    services = COMPOSE["services"]
    gateways = {name: service for name, service in services.items() if name.startswith("gateway-")}
    (port,) = {service["environment"]["GATEWAY_METRICS_PORT"] for service in gateways.values()}
    (scraping,) = CONFIGURATION["scrape_configs"]
    (targets,) = scraping["static_configs"]
    assert targets["targets"] == [f"{name}:{port}" for name in gateways]
    assert set(services["prometheus"]["networks"]) & set(services["gateway-1"]["networks"]) == {"back"}
    assert all("ports" not in service for service in gateways.values())
    assert port not in (DOCKER / "nginx.conf").read_text()


def test_the_alert_for_memory_fires_at_four_fifths_of_a_gateways_limit() -> None:
    limit = COMPOSE["services"]["gateway-1"]["deploy"]["resources"]["limits"]["memory"]
    (rule,) = (rule for rule in RULES if rule["alert"] == "MemoryHigh")
    assert int(rule["expr"].rpartition("> ")[2]) == int(limit.removesuffix("M")) * 2**20 * 4 // 5
