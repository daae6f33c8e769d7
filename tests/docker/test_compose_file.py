"""Tests that the compose file follows the schema of the specification, and that everything it names exists."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from gateway.config import COMMAND_SETTINGS, Settings, is_secret, variable_name

DOCKER = Path(__file__).parents[2] / "docker"
PATH = DOCKER / "compose.yaml"
DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")
# The variables without a default, as the file names them, with a value.
NEEDED = {
    "${GATEWAY_URL_SECRET:?set it to at least 32 random characters}": "0123456789abcdef" * 4,
    "${POSTGRES_PASSWORD:?set it to random letters and digits}": "fedcba9876543210",
    "${POSTGRES_PASSWORD}": "fedcba9876543210",
}
GATEWAYS = ("gateway-1", "gateway-2", "gateway-3")


def with_defaults(text: str) -> str:
    """Return the text as an engine reads it if only the variables are set that have no default."""
    for needed, value in NEEDED.items():
        assert needed in text
        text = text.replace(needed, value)
    filled = DEFAULT.sub(lambda found: found[2], text)
    assert "$" not in filled, f"expected a default for every variable, got {re.findall(r'.*[$].*', filled)}"
    return filled


FILE: dict[str, Any] = yaml.safe_load(with_defaults(PATH.read_text()))
SERVICES: dict[str, dict[str, Any]] = FILE["services"]


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.mark.parametrize("filled", [False, True])
def test_the_file_follows_the_schema_of_the_compose_specification(tmp_path: Path, filled: bool) -> None:
    path = PATH
    if filled:
        path = tmp_path / "compose.json"
        path.write_text(json.dumps(FILE))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_service_is_confined_and_restarted_and_limited() -> None:
    assert set(SERVICES) == {"proxy", *GATEWAYS, "emulator", "valkey", "postgresql", "prometheus"}
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}, name


def test_every_image_is_built_from_here_or_has_a_version() -> None:
    for name, service in SERVICES.items():
        if build := service.get("build"):
            context = DOCKER / build["context"]
            assert (context / build["dockerfile"]).is_file(), name
            arguments = re.findall(r"^ARG (\w+)=(.*)$", (context / build["dockerfile"]).read_text(), re.MULTILINE)
            assert set(build["args"].items()) == set(arguments), name
        else:
            assert re.fullmatch(r"[a-z/]+:v?\d[\w.-]*", service["image"]), name


def test_only_the_ports_of_proxy_and_prometheus_are_published_and_on_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"proxy": ["127.0.0.1:8000:8080"], "prometheus": ["127.0.0.1:9090:9090"]}
    assert "listen 8080 " in (DOCKER / "nginx.conf").read_text()
    assert all("network_mode" not in service for service in SERVICES.values())


def test_every_bound_file_and_every_volume_and_network_exists() -> None:
    for name, service in SERVICES.items():
        for mount in service.get("volumes", ()):
            if mount["type"] == "bind":
                assert (DOCKER / mount["source"]).is_file(), name
                assert mount["read_only"] is True
            else:
                assert mount["source"] in FILE["volumes"], name
        assert set(service["networks"]) <= set(FILE["networks"]), name


@pytest.mark.parametrize(("service", "command"), [*((name, "serve") for name in GATEWAYS), ("emulator", "emulator")])
def test_every_variable_is_a_setting_of_its_command_with_a_good_value(service: str, command: str) -> None:
    assert SERVICES[service]["command"] == [command]
    taken = {variable_name(name): name for name in COMMAND_SETTINGS[command]}
    values = {taken[variable]: value for variable, value in SERVICES[service]["environment"].items() if value != ""}
    Settings(**values)  # raises for a bad value
    # The address of a store without a password is no secret, though the setting may hold one.
    assert {name for name in values if is_secret(name)} <= {"redis_url", "gateway_url_secret", "gateway_database_url"}


def test_the_file_holds_no_secret() -> None:
    text = PATH.read_text().replace("=`openssl rand -hex 32`", "")
    for needed in NEEDED:
        text = text.replace(needed, "")
    assert not re.search(r"(?i)(password|secret|token|_key)\s*[:=] *\S", text)
    assert not re.search(r"://[^/\s]*:[^/\s]+@", text)


def test_the_three_gateways_differ_only_in_their_address() -> None:
    addresses = {name: SERVICES[name]["networks"]["front"]["ipv4_address"] for name in GATEWAYS}
    rest = [json.dumps({**SERVICES[name], "networks": None}, sort_keys=True) for name in GATEWAYS]
    assert len(set(rest)) == 1
    assert dict(host.split(":") for host in SERVICES["proxy"]["extra_hosts"]) == addresses
    (subnet,) = FILE["networks"]["front"]["ipam"]["config"]
    assert {f"{address.rpartition('.')[0]}.0/24" for address in addresses.values()} == {subnet["subnet"]}
    servers = set(re.findall(r"server (gateway-\d):8000", (DOCKER / "nginx.conf").read_text()))
    assert servers == set(GATEWAYS)
    assert Settings.model_fields["gateway_port"].default == 8000


def test_each_service_waits_for_the_health_of_its_dependencies() -> None:
    healthy = {"condition": "service_healthy"}
    assert SERVICES["proxy"]["depends_on"] == dict.fromkeys(GATEWAYS, healthy)
    for name in GATEWAYS:
        assert SERVICES[name]["depends_on"] == {"emulator": healthy, "postgresql": healthy, "valkey": healthy}
    # The image defines the health check of the gateways.
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == set(GATEWAYS)


def test_every_service_gets_more_time_to_stop_than_it_needs() -> None:
    for name in (*GATEWAYS, "emulator"):
        environment = SERVICES[name]["environment"]
        needed = float(environment["GATEWAY_SHUTDOWN_SECONDS"]) + float(environment.get("GATEWAY_DRAIN_SECONDS", 0))
        assert seconds(SERVICES[name]["stop_grace_period"]) > needed + 3
    worker = re.search(r"worker_shutdown_timeout (\d+s);", (DOCKER / "nginx.conf").read_text())
    assert worker
    assert seconds(SERVICES["proxy"]["stop_grace_period"]) > seconds(worker[1])


def test_a_load_balancer_has_time_to_notice_that_a_gateway_stops() -> None:
    assert {SERVICES[name]["environment"]["GATEWAY_DRAIN_SECONDS"] for name in GATEWAYS} == {"5"}
    assert Settings.model_fields["gateway_drain_seconds"].default == 0


def test_gateways_and_proxy_agree_on_the_largest_body() -> None:
    most = {SERVICES[name]["environment"]["GATEWAY_MAX_BODY_BYTES"] for name in GATEWAYS}
    limit = re.search(r"client_max_body_size (\d+);", (DOCKER / "nginx.conf").read_text())
    assert limit
    assert most == {limit[1]}


def test_the_emulators_data_are_in_its_volume_and_its_health_check_uses_its_address() -> None:
    emulator = SERVICES["emulator"]
    (mount,) = emulator["volumes"]
    assert emulator["environment"]["EMULATOR_DATABASE"].startswith(f"{mount['target']}/")
    port = Settings.model_fields["emulator_port"].default
    assert f"'127.0.0.1', {port}," in emulator["healthcheck"]["test"][-1]
    assert SERVICES["gateway-1"]["environment"]["UPSTREAM_URL"] == f"http://emulator:{port}/v1"
    assert FILE["networks"]["back"]["internal"] is True


def test_the_gateways_use_the_database_of_the_file_whose_data_are_in_its_volume() -> None:
    postgresql = SERVICES["postgresql"]
    url = urlsplit(SERVICES["gateway-1"]["environment"]["GATEWAY_DATABASE_URL"])
    made = postgresql["environment"]
    assert url.hostname == "postgresql"
    assert (url.username, url.password) == (made["POSTGRES_USER"], made["POSTGRES_PASSWORD"])
    assert url.path == f"/{made['POSTGRES_DB']}"
    assert [mount["target"] for mount in postgresql["volumes"]] == ["/var/lib/postgresql"]
    assert postgresql["networks"] == ["back"]
