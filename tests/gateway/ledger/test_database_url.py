from pathlib import Path

import pytest

from gateway.ledger.database_url import DatabaseUrlError, PostgresqlServer, SqliteFile, parse_database_url


def test_a_path_of_sqlite_is_taken_as_written() -> None:
    assert parse_database_url("sqlite:////var/lib/a%20b/ledger.db") == SqliteFile(Path("/var/lib/a%20b/ledger.db"))


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgresql://u:p@h:5433/db", "postgresql://u:p@h:5433/db"),
        ("postgres://u@h/db?sslmode=require", "postgresql://u@h/db?sslmode=require"),
        ("postgresql:///db?host=/run/postgresql&user=u", "postgresql:///db?host=/run/postgresql&user=u"),
        ("postgresql://h/db?sslmode=require&channel_binding=prefer", "postgresql://h/db?sslmode=require"),
        ("postgresql://h1:1,h2:2/db?target_session_attrs=primary",) * 2,
        ("postgresql://h/db?gssencmode=disable&client_encoding=UTF8&connect_timeout=3", "postgresql://h/db"),
    ],
)
def test_a_url_of_postgresql_goes_to_the_driver(url: str, dsn: str) -> None:
    server = parse_database_url(url)
    assert isinstance(server, PostgresqlServer)
    assert server.dsn == dsn


@pytest.mark.parametrize(("seconds", "expected"), [("3", 3.0), ("0", None)])
def test_the_time_to_connect_may_be_given(seconds: str, expected: float | None) -> None:
    server = parse_database_url(f"postgresql://h/db?connect_timeout={seconds}")
    assert isinstance(server, PostgresqlServer)
    assert server.connect_timeout_seconds == expected


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////ledger.db?mode=ro", "expected sqlite:////path/ledger.db without options"),
        ("postgresql://u:secret@h/db?pool_size=3", "got 'pool_size'"),
        ("postgresql://u:secret@h/db?channel_binding=require", "expected disable or prefer"),
        ("postgresql://u:secret@h/db?connect_timeout=soon", "expected a number of seconds, got 'soon'"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_refused(url: str, reason: str) -> None:
    with pytest.raises(DatabaseUrlError, match=reason) as refused:
        parse_database_url(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["postgresql://u:hunter%202@h/db", "postgresql://u@h/db?password=hunter%202"])
def test_the_password_is_known_and_not_shown(url: str) -> None:
    server = parse_database_url(url)
    assert isinstance(server, PostgresqlServer)
    assert server.password == "hunter 2"
    assert "hunter" not in repr(server)
