import os
from pathlib import Path

import pytest

from gateway.identity.principal import Owner
from gateway.ledger.import_file import ImportFileError, count_ids, read_import_file

NOBODY = Owner("https://i", "")


def read(directory: Path, content: str | bytes, default_owner: Owner = NOBODY) -> list[tuple[str, Owner]]:
    path = directory / "threads.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_import_file(path, default_owner))


@pytest.mark.parametrize(
    ("content", "owners"),
    [
        ("thread_1,alice", [("thread_1", Owner("https://i", "alice"))]),
        ("\ufeffthread_1,alice\r\n", [("thread_1", Owner("https://i", "alice"))]),
        (" thread_1 , alice , acme ", [("thread_1", Owner("https://i", "alice", "acme"))]),
        ("thread_1,alice,,https://j", [("thread_1", Owner("https://j", "alice"))]),
        ('thread_1,"a, ""b"""', [("thread_1", Owner("https://i", 'a, "b"'))]),
        ("id,issuer,subject\nthread_1,https://j,alice", [("thread_1", Owner("https://j", "alice"))]),
        ("subject,id\nalice,thread_1", [("thread_1", Owner("https://i", "alice"))]),
        ('{"id": "thread_1", "subject": "alice"}', [("thread_1", Owner("https://i", "alice"))]),
        ("", []),
    ],
)
def test_lines_are_csv_or_json(tmp_path: Path, content: str, owners: list[tuple[str, Owner]]) -> None:
    assert read(tmp_path, content) == owners


def test_what_a_line_leaves_out_is_as_by_default(tmp_path: Path) -> None:
    default = Owner("https://i", "alice", "acme")
    assert read(tmp_path, "thread_1\nthread_2,bob,other\n", default) == [
        ("thread_1", default),
        ("thread_2", Owner("https://i", "bob", "other")),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("thread_1", "line 1: expected a subject of 1 to 255 characters, got an empty one"),
        ("thread_1,alice\n../x,alice", 'line 2: expected an id of the upstream, got "../x"'),
        (",alice", 'line 1: expected an id of the upstream, got ""'),
        ("thread_1,alice,acme,https://i,more", "line 1: expected at most id, subject, tenant, issuer"),
        ("id,name\nthread_1,alice", "line 1: expected columns among id, subject, tenant, issuer"),
        ('{"id": "thread_1"', "line 1: expected a JSON object"),
        ('{"id": 1, "subject": "alice"}', "line 1: expected texts in id, subject, tenant, issuer"),
        ('{"id": "thread_1", "owner": "alice"}', "line 1: expected texts in id, subject, tenant, issuer"),
        ("subject,tenant\nalice,thread_1", "line 1: expected columns among id, subject, tenant, issuer, and id"),
        (f"thread_1,{'x' * 256}", "line 1: expected a subject of at most 255 characters, got 256"),
        (f"thread_1,alice,{'x' * 256}", "line 1: expected a tenant of at most 255 characters, got 256"),
        ('{"id": "thread_1", "subject": "a\\u0000"}', "line 1: expected a subject of Unicode characters without NUL"),
        ('{"id": "thread_1", "subject": "a\\ud800"}', "line 1: expected a subject of Unicode characters without NUL"),
        (b"thread_1,\xff", "expected text in UTF-8"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(ImportFileError) as refused:
        read(tmp_path, content)
    assert reason in str(refused.value)


def test_an_issuer_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="line 1: expected an issuer"):
        read(tmp_path, "thread_1,alice", Owner("", ""))


def test_a_tenant_is_needed_where_tokens_have_one(tmp_path: Path) -> None:
    path = tmp_path / "threads.csv"
    path.write_text("thread_1,alice,acme\nthread_2,alice\n")
    assert count_ids(path, NOBODY) == 2
    with pytest.raises(ImportFileError, match="line 2: expected a tenant, since GATEWAY_JWT_TENANT_CLAIM is set"):
        count_ids(path, NOBODY, needs_tenant=True)


@pytest.mark.parametrize("other", ["bob", "alice,acme", "alice,,https://j"])
def test_a_thread_with_two_owners_is_named_however_far_apart_its_lines_are(tmp_path: Path, other: str) -> None:
    path = tmp_path / "threads.csv"
    between = "".join(f"thread_{number},alice\n" for number in range(2, 2000))
    path.write_text(f"thread_1,alice\n{between}thread_1,alice\n")
    assert count_ids(path, NOBODY) == 1999
    path.write_text(f"thread_1,alice\n{between}thread_1,{other}\n")
    with pytest.raises(ImportFileError, match=r"threads\.csv: expected one owner of each id, got two of thread_1$"):
        count_ids(path, NOBODY)


def test_a_pipe_is_refused_since_it_can_be_read_but_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ImportFileError, match="expected a file, since it is read twice"):
        count_ids(pipe, NOBODY)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=r"none\.csv: No such file"):
        list(read_import_file(tmp_path / "none.csv", NOBODY))
