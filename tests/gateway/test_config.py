import pytest
from pydantic import ValidationError

from gateway import config
from gateway.config import BadSettingsError, Settings, check_chains_kept, check_url_secret_shared, load_settings
from gateway.upstream.dialects import DIALECTS, Dialect

BAD_VALUES = {
    "gateway_rate_limit_calls": ("0", "an integer from 1 to 1000000"),
    "gateway_rate_limit_operations": ("many", "an integer from 1 to 1000000"),
    "gateway_rate_limit_runs": ("1000001", "an integer from 1 to 1000000"),
    "gateway_rate_limit_seconds": ("0.5", "a whole number of seconds from 1 to 86400"),
    "gateway_jwt_issuer": ("a b", "the issuer of the tokens, as https://login.example.com"),
    "gateway_jwt_audience": ("a b", "the audience of the tokens, without spaces"),
    "gateway_jwt_jwks_url": ("ftp://keys", "an http(s) URL without credentials or fragment"),
    "gateway_jwt_public_key_file": ("", "the path of a PEM file"),
    "gateway_jwt_algorithms": (
        "RS256,HS256",
        "signature algorithms with a public key, as RS256,ES256 (HS256 would need a shared secret)",
    ),
    "gateway_jwt_tenant_claim": ("", "a claim, or a path of claims as realm.roles"),
    "gateway_jwt_roles_claim": (" ", "a claim, or a path of claims as realm.roles"),
    "gateway_jwt_admin_role": ("", "the name of a role"),
    "gateway_run_overrides": ("maybe", "true or false"),
    "gateway_show_instructions": ("maybe", "true or false"),
    "gateway_ledger_text": ("some", "all or titles"),
    "gateway_ledger_deadline_seconds": ("0", "a number of seconds above 0, at most 3600"),
    "upstream_api_key_file": ("", "the path of a file, and no UPSTREAM_API_KEY"),
    "gateway_host": ("a b", "a host name or an IP address"),
    "gateway_port": ("65536", "a port from 0 (any free one) to 65535"),
    "gateway_metrics_host": ("a b", "a host name or an IP address"),
    "gateway_metrics_port": ("65536", "a port from 0 (any free one) to 65535"),
    "gateway_workers": ("0", "an integer from 1 to 64"),
    "gateway_profile": ("staging", "development, with the next four settings on, or production"),
    "gateway_introspection": ("maybe", "true or false"),
    "gateway_suggestions": ("maybe", "true or false"),
    "gateway_get_queries": ("maybe", "true or false"),
    "gateway_documents": ("", "the path of a file or a folder"),
    "gateway_documents_only": ("on", "off, log, or on with GATEWAY_DOCUMENTS"),
    "gateway_engine": ("jit", "compiled, or graphql-core"),
    "gateway_graphiql": ("maybe", "true or false"),
    "gateway_allowed_origins": (
        "https://app.example.com/",
        "origins as https://app.example.com or http://localhost:*, separated by commas",
    ),
    "gateway_max_file_bytes": ("25 MiB", "a number of bytes from 1 to 1073741824"),
    "gateway_public_url": ("https://api.example.com/?a=b", "an http(s) URL as https://api.example.com"),
    "gateway_file_url_seconds": ("9", "a whole number of seconds from 10 to 86400"),
    "gateway_max_body_bytes": ("1 MiB", "a number of bytes from 1 to 1073741824"),
    "gateway_body_timeout_seconds": ("0", "a number of seconds above 0, at most 3600"),
    "gateway_max_page_size": ("0", "an integer from 1 to 10000"),
    "gateway_max_query_depth": ("-1", "an integer from 1 to 10000"),
    "gateway_max_query_tokens": ("many", "an integer from 1 to 1000000"),
    "gateway_max_upstream_calls": ("0", "an integer from 1 to 1000000"),
    "gateway_query_timeout_seconds": ("0", "a number of seconds above 0, at most 3600"),
    "gateway_max_objects": ("0", "an integer from 1 to 1000000"),
    "gateway_max_answer_bytes": ("0", "a number of bytes from 1 to 1073741824"),
    "gateway_cost": ("maybe", "true or false"),
    "gateway_shutdown_seconds": ("nan", "a number of seconds from 0 to 3600"),
    "gateway_log_format": ("xml", "auto, json or text"),
    "gateway_log_level": ("loud", "debug, info, warning or error"),
    "upstream_url": ("ftp://host", "an http(s) URL without credentials or fragment"),
    "upstream_api_version": (
        "2025-04-01",
        "a version as 2025-04-01-preview, with an azure dialect and none in UPSTREAM_URL",
    ),
    "upstream_dialect": (
        "v3",
        (
            "openai-v1, openai-v2, azure-openai, azure-foundry, lenient, openai-responses, foundry-responses or "
            "lenient-responses"
        ),
    ),
    "upstream_anonymous": ("2", "true or false"),
    "upstream_organization": ("two words", "visible ASCII characters without spaces"),
    "upstream_project": ("ü", "visible ASCII characters without spaces"),
    "upstream_pool_size": ("1.5", "an integer from 1 to 10000"),
    "upstream_concurrency": ("0", "an integer from 1 to 10000"),
    "upstream_concurrency_per_principal": ("0", "an integer from 1 to 10000"),
    "gateway_max_sockets": ("0", "an integer from 1 to 1000000"),
    "gateway_max_uninitialised_sockets": ("0", "an integer from 1 to 1000000"),
    "gateway_socket_init_seconds": ("0", "a number of seconds above 0, at most 3600"),
    "gateway_max_operations_per_socket": ("0", "an integer from 1 to 1000000"),
    "gateway_max_subscriptions_per_principal": ("many", "an integer from 1 to 1000000"),
    "gateway_run_expiry_seconds": ("4000", "a number of seconds above 0, at most 3600"),
    "gateway_run_lease_seconds": ("0", "a number of seconds above 0, at most 3600"),
    "gateway_run_log_entries": ("99", "an integer from 100 to 1000000"),
    "gateway_run_log_bytes": ("none", "a number of bytes from 1 to 1073741824"),
    "gateway_run_log_seconds": ("0.5", "a number of seconds from 1 to 604800"),
    "gateway_run_polls_per_second": ("0", "an integer from 1 to 10000"),
    "gateway_heartbeat_seconds": ("0", "a number of seconds above 0, at most 3600"),
    "gateway_stalled_client_seconds": ("-1", "a number of seconds above 0, at most 3600"),
    "gateway_drain_seconds": ("-1", "a number of seconds from 0 to 3600"),
    "gateway_cache": ("perhaps", "true or false"),
    "gateway_cache_bytes": ("0", "a number of bytes from 1 to 1073741824"),
    "redis_cluster": ("perhaps", "true or false"),
    "redis_deadline_seconds": ("0", "a number of seconds above 0, at most 3600"),
    "upstream_connect_timeout_seconds": ("inf", "a number of seconds above 0, at most 3600"),
    "upstream_timeout_seconds": ("abc", "a number of seconds above 0, at most 3600"),
    "upstream_max_response_bytes": ("0", "a number of bytes from 1 to 1073741824"),
    "upstream_max_streams": ("0", "an integer from 1 to 10000"),
    "upstream_stream_idle_seconds": ("0", "a number of seconds above 0, at most 3600"),
    "target_url": ("ftp://host", "an http(s) URL without credentials or fragment"),
    "target_api_version": (
        "2025-04-01",
        "a version as 2025-04-01-preview, with an azure dialect and none in TARGET_URL",
    ),
    "target_dialect": (
        "v3",
        (
            "openai-v1, openai-v2, azure-openai, azure-foundry, lenient, openai-responses, foundry-responses or "
            "lenient-responses"
        ),
    ),
    "target_api_key_file": ("", "the path of a file, and no TARGET_API_KEY"),
    "target_organization": ("two words", "visible ASCII characters without spaces"),
    "target_project": ("ü", "visible ASCII characters without spaces"),
    "emulator_host": ("", "a host name or an IP address"),
    "emulator_port": ("-1", "a port from 0 (any free one) to 65535"),
    "emulator_database": ("", "the path of a SQLite file, or :memory:"),
    "emulator_faults": (
        "createRun",
        "fault rules as createRun:503:first=2,list*:latency=500ms,*:429:every=10:retry_after=3",
    ),
    "emulator_fault_control": ("perhaps", "true or false"),
    "emulator_model_url": ("ftp://host", "an http(s) URL without credentials or fragment"),
    "emulator_model": ("two words", "visible ASCII characters without spaces"),
    "emulator_model_timeout_seconds": ("0", "a number of seconds above 0, at most 3600"),
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_every_setting_that_has_a_flag_has_a_bad_value_here() -> None:
    assert set(BAD_VALUES) == {name for name in Settings.model_fields if not config.is_secret(name)}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_bad_value_is_refused_with_what_was_expected_and_what_came(name: str) -> None:
    value, expected = BAD_VALUES[name]
    with pytest.raises(BadSettingsError) as refused:
        load_settings({name: value})
    assert refused.value.faults == [f"{name.upper()} or {config.flag_name(name)}: expected {expected}, got {value!r}"]


def test_a_key_and_a_file_with_a_key_are_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", "sk-secret")
    with pytest.raises(BadSettingsError) as refused:
        load_settings({"upstream_api_key_file": "/run/secrets/key"})
    (fault,) = refused.value.faults
    assert fault == (
        "UPSTREAM_API_KEY_FILE or --upstream-api-key-file: expected the path of a file, and no UPSTREAM_API_KEY, "
        "got '/run/secrets/key'"
    )
    monkeypatch.setenv("UPSTREAM_API_KEY", "")
    assert load_settings({"upstream_api_key_file": "/run/secrets/key"}).upstream_api_key is None


def test_all_bad_values_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "x")
    with pytest.raises(BadSettingsError) as refused:
        load_settings({"gateway_host": "a b", "gateway_log_level": "loud"})
    assert [line.split()[0] for line in refused.value.faults] == ["GATEWAY_HOST", "GATEWAY_LOG_LEVEL", "GATEWAY_PORT"]


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", "secret with spaces")
    with pytest.raises(BadSettingsError) as refused:
        load_settings()
    assert "secret with" not in str(refused.value)
    assert str(refused.value).startswith("UPSTREAM_API_KEY: expected a key")
    monkeypatch.setenv("UPSTREAM_API_KEY", "sk-secret")
    assert "sk-secret" not in repr(load_settings())


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@host/v1",
        "http://secret@host",
        "http://host/#x",
        "host/v1",
        "http://",
        "http://host:port",
        "http://ho st",
        "http://[::1",
    ],
)
def test_an_upstream_url_is_checked_and_its_password_is_not_shown(url: str) -> None:
    with pytest.raises(BadSettingsError, match="UPSTREAM_URL or --upstream-url: expected an http") as refused:
        load_settings({"upstream_url": url})
    assert "secret@" not in str(refused.value)


def test_an_upstream_url_loses_its_last_slash() -> None:
    assert load_settings({"upstream_url": "https://host:8443/v1/"}).upstream_url == "https://host:8443/v1"


def test_an_upstream_url_may_carry_a_query() -> None:
    url = "https://host/api/?api-version=v1"
    assert load_settings({"upstream_url": url}).upstream_url == url


def test_flags_win_over_variables_and_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "9000")
    monkeypatch.setenv("GATEWAY_HOST", "")
    assert load_settings().gateway_port == 9000
    assert load_settings({"gateway_port": "9001"}).gateway_port == 9001
    assert load_settings().gateway_host == "127.0.0.1"


def test_a_log_level_may_be_written_in_capitals() -> None:
    assert load_settings({"gateway_log_level": "INFO"}).gateway_log_level == "info"


def test_no_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    with open(".env", "w") as file:  # noqa: PTH123 - a relative path, where a file would be read
        file.write("GATEWAY_PORT=9000\n")
    assert load_settings().gateway_port == 8000


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings().gateway_port = 1  # type: ignore[misc]


def test_a_long_value_is_cut() -> None:
    with pytest.raises(BadSettingsError) as refused:
        load_settings({"gateway_port": "9" * 500})
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({"upstream_dialect": "azure-openai"}, True),
        ({"upstream_dialect": "azure-foundry", "upstream_url": "https://host/x"}, True),
        ({"upstream_dialect": "azure-openai", "upstream_url": "https://host/openai?api-version=2"}, False),
        ({"upstream_dialect": "lenient"}, False),
        ({}, False),
    ],
)
def test_an_api_version_needs_an_azure_dialect_and_stands_in_one_place(settings: dict[str, str], taken: bool) -> None:
    flags = settings | {"upstream_api_version": "2025-03-01-preview"}
    if taken:
        assert load_settings(flags).upstream_api_version == "2025-03-01-preview"
        return
    with pytest.raises(BadSettingsError, match=r"UPSTREAM_API_VERSION .* with an azure dialect"):
        load_settings(flags)


def test_a_models_key_has_a_variable_only_and_its_urls_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.flag_name("emulator_model_key") is None
    monkeypatch.setenv("EMULATOR_MODEL_KEY", "sk-secret")
    assert "sk-secret" not in repr(load_settings())
    with pytest.raises(BadSettingsError, match="EMULATOR_MODEL_URL or --emulator-model-url") as refused:
        load_settings({"emulator_model_url": "http://user:secret@host/v1"})
    assert "secret@" not in str(refused.value)


def test_the_emulators_keys_have_a_variable_only_and_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.flag_name("emulator_keys") is None
    monkeypatch.setenv("EMULATOR_KEYS", "sk-secret,sk-other")
    assert "sk-secret" not in repr(load_settings())
    for keys in ("sk-secret, sk-other", "sk-secret,", "sk-sécret"):
        monkeypatch.setenv("EMULATOR_KEYS", keys)
        with pytest.raises(BadSettingsError, match="EMULATOR_KEYS: expected keys of visible ASCII") as refused:
            load_settings()
        assert "sk-s" not in str(refused.value)


@pytest.mark.parametrize("secret", ["too short", "a" * 40])
def test_a_secret_that_can_be_guessed_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("GATEWAY_URL_SECRET", secret)
    with pytest.raises(BadSettingsError) as refused:
        load_settings()
    (fault,) = refused.value.faults
    assert fault == (
        "GATEWAY_URL_SECRET: expected at least 32 random characters, "
        "got something else (not shown: it may hold a secret)"
    )


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_an_upstream_with_responses_needs_a_database(monkeypatch: pytest.MonkeyPatch, dialect: Dialect) -> None:
    monkeypatch.setenv("UPSTREAM_DIALECT", dialect.name)
    if dialect.family == "responses":
        expected = (
            "GATEWAY_DATABASE_URL: expected a database, where the gateway keeps the assistants and runs of the "
            f"dialect {dialect.name}, got none"
        )
        with pytest.raises(BadSettingsError) as refused:
            check_chains_kept(load_settings())
        assert refused.value.faults == [expected]
        monkeypatch.setenv("GATEWAY_DATABASE_URL", "sqlite:////tmp/ledger.db")
    check_chains_kept(load_settings())


def test_gateways_that_share_a_redis_share_the_secret_of_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://valkey:6379/0")
    with pytest.raises(BadSettingsError, match="GATEWAY_URL_SECRET: expected the same secret for all gateways"):
        check_url_secret_shared(load_settings())
    monkeypatch.setenv("GATEWAY_URL_SECRET", "0123456789abcdef0123456789abcdef")
    check_url_secret_shared(load_settings())
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.delenv("GATEWAY_URL_SECRET")
    check_url_secret_shared(load_settings())
