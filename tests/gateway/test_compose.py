import json
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway import compose_options
from gateway.compose import DEMO_KEY, build_emulator_app, build_gateway_app, demo_key
from gateway.compose_options import run_log_options, upstream_options
from gateway.compose_upstream import LEDGER_LOCK_SECONDS, make_upstream_client
from gateway.config import Settings
from gateway.emulator.model.model_client import ModelOptions
from gateway.emulator.model.model_runs import MODEL_RUNS
from gateway.ledger.ledger_store import CannotOpenError
from gateway.ledger.memory_kept_records import make_memory_records
from gateway.ledger.ownership import BorrowedLedger
from gateway.run_log.run_log_options import RunLogOptions
from gateway.server.app import CONNECTION_LIMITS, listening
from gateway.server.http.request_limits import SubscriptionLimits
from gateway.server.live.fan_out import FanOut
from gateway.server.live.live_connections import LiveConnections
from gateway.upstream.responses.responses_client import ResponsesClient
from gateway.upstream.upstream_options import UpstreamOptions
from tests.support.emulator import Emulator
from tests.support.gateway import running_gateway
from tests.support.pages import PAGES
from tests.support.upstream_client import replace_pauses


async def test_a_gateway_needs_an_upstream() -> None:
    with pytest.raises(ValueError, match="expected settings with an upstream_url"):
        build_gateway_app(Settings(upstream_url=None))


@pytest.mark.parametrize(("max_files", "max_sockets", "told"), [(65_536, 10_000, 0), (256, 96, 1)])
async def test_sockets_are_lowered_to_the_files_that_may_be_open_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, max_files: int, max_sockets: int, told: int
) -> None:
    seen: list[SubscriptionLimits] = []
    init = LiveConnections.__init__

    def recording(self: LiveConnections, limits: SubscriptionLimits, fan_out: FanOut) -> None:
        seen.append(limits)
        init(self, limits, fan_out)

    monkeypatch.setattr(LiveConnections, "__init__", recording)
    monkeypatch.setattr(compose_options, "read_file_limit", lambda: max_files)
    app = build_gateway_app(Settings(upstream_url="http://127.0.0.1:1/v1", gateway_stalled_client_seconds=7))
    async with listening(app, "127.0.0.1", 0):
        pass
    assert [limits.max_sockets for limits in seen] == [max_sockets]
    limits = app[CONNECTION_LIMITS]
    assert max_sockets < limits.max_connections < max_files
    assert limits.stalled_client_seconds == 7
    warnings = [record.getMessage() for record in caplog.records if "GATEWAY_MAX_SOCKETS" in record.getMessage()]
    assert len(warnings) == told
    assert all("is 10000, but only 96 fit into the 256 files" in warning for warning in warnings)


async def test_a_models_defaults_are_those_of_the_emulator() -> None:
    assert Settings().emulator_model_timeout_seconds == ModelOptions("http://model.test").timeout_seconds
    app = build_emulator_app(Settings(emulator_model="m", emulator_model_key=SecretStr("k")))
    async with listening(app, "127.0.0.1", 0):  # an application that never runs never closes its database
        assert MODEL_RUNS not in app


def test_the_defaults_are_those_of_the_client() -> None:
    options, settings = UpstreamOptions("http://upstream.test"), Settings()
    assert settings.upstream_pool_size == options.pool_size
    assert settings.upstream_concurrency == options.max_concurrency_per_operation
    assert settings.upstream_connect_timeout_seconds == options.connect_timeout_seconds
    assert settings.upstream_timeout_seconds == options.timeout_seconds
    assert settings.upstream_max_response_bytes == options.max_response_bytes


async def test_the_settings_take_effect(emulator: Emulator) -> None:
    async with running_gateway(
        emulator.url,
        upstream_dialect="openai-v1",
        gateway_max_page_size=2,
        gateway_max_query_depth=3,
        gateway_max_query_tokens=20,
        gateway_max_upstream_calls=1,
        gateway_cost=True,
        gateway_graphiql=False,
    ) as gateway:
        assert await gateway.data("{ upstream { version } }") == {"upstream": {"version": "V1"}}
        page = await gateway.execute("{ assistants(first: 3) { nodes { id } } }")
        assert "1 to 2" in page["errors"][0]["message"]
        deep = await gateway.execute("{ assistants { edges { node { id } } } }")
        assert "at most 3" in deep["errors"][0]["message"]
        dear = await gateway.execute('{ threadsByIds(ids: ["x", "y"]) { metadata } }')
        assert "expected at most 1" in dear["errors"][0]["message"]
        assert dear["extensions"]["cost"]["predictedCalls"] == 2
        long = await gateway.execute("{" + " __typename" * 30 + "}")
        assert "more than 20 tokens" in long["errors"][0]["message"]
        assert (await gateway.get("/graphiql/assets/x/graphiql.js")).status == 404


def test_a_short_log_has_frequent_snapshots_and_a_short_lease_is_checked_often() -> None:
    usual, options = RunLogOptions(), run_log_options(Settings())
    assert (options.snapshot_every_entries, options.follow_seconds) == (1000, usual.follow_seconds)
    short = run_log_options(Settings(gateway_run_log_entries=100, gateway_run_lease_seconds=0.3))
    assert short.snapshot_every_entries == 25
    assert short.follow_seconds == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("redis_url", "lease_seconds", "expected"),
    [("redis://127.0.0.1:1", 3.0, 3.0), (None, 3.0, LEDGER_LOCK_SECONDS), (None, 45.0, 45.0)],
)
async def test_leases_on_threads_are_longer_where_each_renewal_writes_to_the_database(
    redis_url: str | None, lease_seconds: float, expected: float
) -> None:
    options = {"upstream_url": "http://127.0.0.1:1/v1", "upstream_dialect": "openai-responses"}
    settings = Settings(
        redis_url=redis_url and SecretStr(redis_url),
        gateway_run_lease_seconds=lease_seconds,
        gateway_run_expiry_seconds=77.0,
        **options,  # type: ignore[arg-type]  # pydantic converts the texts
    )
    client = make_upstream_client(settings, upstream_options(settings), make_memory_records())
    assert isinstance(client, ResponsesClient)
    assert (client.streams.options.lock_seconds, client.streams.options.expiry_seconds) == (expected, 77.0)
    await client.close()


class _LostLedger(BorrowedLedger):
    """A ledger that does not answer."""

    async def check(self) -> bool:  # type: ignore[override]  # one that another opens tells nothing
        return False


@pytest.mark.parametrize(("dialect", "status"), [("openai-v2", 200), ("openai-responses", 503)])
async def test_a_gateway_over_responses_is_not_ready_without_its_ledger(
    emulator: Emulator, dialect: str, status: int
) -> None:
    ledger = _LostLedger(None, kept=make_memory_records())
    async with running_gateway(emulator.url, upstream_dialect=dialect, ledger=ledger) as gateway:
        reply = await gateway.get("/readyz")
    assert (reply.status, reply.json["checks"]["upstream"]) == (status, "ok")
    assert reply.json["checks"]["ledger"] != "ok"


async def test_an_upstream_with_responses_needs_what_is_kept_of_it() -> None:
    options = UpstreamOptions("http://127.0.0.1:1/v1", "openai-responses")
    with pytest.raises(ValueError, match="expected a database for the dialect openai-responses, got none"):
        make_upstream_client(Settings(), options, None)


async def test_the_emulator_has_the_demos_data_under_its_key() -> None:
    async with (
        listening(build_emulator_app(Settings()), "127.0.0.1", 0) as url,
        running_gateway(f"{url}/v1", upstream_api_key=DEMO_KEY) as gateway,
    ):
        reply = await gateway.post({"query": "{ assistants { nodes { name } } }"})
        assert reply.json["data"]["assistants"]["nodes"]


async def test_the_fault_rules_of_the_documentation_work_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = replace_pauses(monkeypatch)
    page = PAGES["gateway/README.md"].text
    (text,) = re.findall(r"demo --emulator-faults '([^']+)'", page)
    (rules,) = re.findall(r"faults -d '([^']+)'", page)
    settings = Settings(emulator_faults=text, emulator_fault_control=True)
    async with (
        listening(build_emulator_app(settings), "127.0.0.1", 0) as url,
        running_gateway(f"{url}/v1", upstream_api_key=DEMO_KEY) as gateway,
    ):
        query = {"query": "{ assistants(first: 1) { nodes { name } } }"}
        (error,) = (await gateway.post(query)).json["errors"]
        assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("UPSTREAM_FAILED", True)
        async with gateway.session.put(f"{url}/_emulator/faults", json=json.loads(rules)) as reply:
            assert (await reply.json())["rules"][0]["struck"] == 0
        (error,) = (await gateway.post(query)).json["errors"]
        assert (error["extensions"]["code"], error["extensions"]["retryAfterMs"]) == ("RATE_LIMITED", 30_000)
        async with gateway.session.delete(f"{url}/_emulator/faults") as reply:
            assert await reply.json() == {"rules": []}
        pauses.advance(30)
        assert (await gateway.post(query)).json["data"]["assistants"]["nodes"]


async def test_the_emulator_has_no_faults_and_no_fault_control_by_default(emulator: Emulator) -> None:
    async with (
        listening(build_emulator_app(Settings()), "127.0.0.1", 0) as url,
        emulator.session.get(f"{url}/_emulator/faults") as reply,
    ):
        assert reply.status == 404


async def test_the_emulator_takes_only_the_keys_that_it_is_given() -> None:
    settings = Settings(emulator_keys=SecretStr("sk-first,sk-second"))
    async with (
        listening(build_emulator_app(settings), "127.0.0.1", 0) as url,
        running_gateway(f"{url}/v1", upstream_api_key=demo_key(settings)) as gateway,
    ):
        query = "{ assistants(first: 100) { nodes { name } } }"
        of_demo = await gateway.execute(query, headers={"Authorization": "Bearer sk-first"})
        assert len(of_demo["data"]["assistants"]["nodes"]) == 4
        of_second = await gateway.execute(query, headers={"Authorization": "Bearer sk-second"})
        assert of_second["data"]["assistants"]["nodes"] == []
        for key in ("sk-third", DEMO_KEY):
            refused = await gateway.execute(query, headers={"Authorization": f"Bearer {key}"})
            assert [error["extensions"]["code"] for error in refused["errors"]] == ["UNAUTHENTICATED"]


@pytest.mark.parametrize(
    ("database", "redis", "told"),
    [
        ("sqlite:///{}/ledger.db", "redis://127.0.0.1:1", True),
        ("sqlite:///{}/ledger.db", None, False),
        (None, "redis://127.0.0.1:1", False),
    ],
)
async def test_a_sqlite_file_beside_redis_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, database: str | None, redis: str | None, told: bool
) -> None:
    url = database.format(tmp_path) if database else None
    async with running_gateway("http://127.0.0.1:1/v1", gateway_database_url=url, redis_url=redis):
        pass
    assert ("gateways on other machines do not see it" in caplog.text) is told


async def test_a_gateway_whose_database_cannot_be_used_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(CannotOpenError, match="No such file or directory"):
        async with running_gateway(
            "http://127.0.0.1:1/v1", gateway_database_url=f"sqlite:///{tmp_path}/none/ledger.db"
        ):
            pass
