import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.key_file import CHECK_SECONDS, MAX_FILE_BYTES, KeyFile, KeyFileError
from gateway.settings.setting_checks import MAX_KEY_LENGTH


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("sk-first\n")
    return path


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


def test_white_space_around_the_key_does_not_count(path: Path) -> None:
    path.write_text("\n \t sk-first \r\n\n")
    assert KeyFile(path).read_credential() == "Bearer sk-first"


def test_a_changed_file_is_read_after_a_second_at_the_latest(path: Path) -> None:
    key_file = KeyFile(path, now=(clock := Clock()))
    path.write_text("sk-second")
    assert key_file.read_credential() == "Bearer sk-first"
    clock.seconds += CHECK_SECONDS
    assert key_file.read_credential() == "Bearer sk-second"


def test_the_file_is_looked_at_once_a_second_and_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file = KeyFile(path, now=(clock := Clock()))
    looks: list[Path] = []
    look = Path.stat

    def counted_look(path: Path) -> os.stat_result:
        looks.append(path)
        return look(path)

    monkeypatch.setattr(Path, "stat", counted_look)
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("the file has not changed"))
    for _ in range(100):
        clock.seconds += CHECK_SECONDS / 10
        key_file.read_credential()
    monkeypatch.undo()
    assert 9 <= len(looks) <= 11


def test_a_file_that_a_link_leads_to_may_be_replaced(tmp_path: Path) -> None:
    """Kubernetes replaces the link `..data` behind the file of a mounted secret."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(f"sk-{name}")
    link = tmp_path / "..data"
    link.symlink_to("old")
    path = tmp_path / "key"
    path.symlink_to("..data/key")
    key_file = KeyFile(path, now=(clock := Clock()))
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").rename(link)
    clock.seconds += CHECK_SECONDS
    assert key_file.read_credential() == "Bearer sk-new"


def test_a_file_of_the_same_size_and_time_is_noticed(path: Path) -> None:
    key_file = KeyFile(path, now=(clock := Clock()))
    times = path.stat()
    path.write_text("sk-third\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    clock.seconds += CHECK_SECONDS
    assert key_file.read_credential() == "Bearer sk-third"


@pytest.mark.parametrize("content", [None, "", " \n", "two keys", "sk-ключ", "sk-\x00", "x" * (MAX_KEY_LENGTH + 1)])
def test_a_missing_or_bad_file_keeps_the_last_key_and_is_logged_once(
    path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    key_file = KeyFile(path, now=(clock := Clock()))
    path.unlink() if content is None else path.write_text(content)
    for _ in range(3):
        clock.seconds += CHECK_SECONDS
        assert key_file.read_credential() == "Bearer sk-first"
    (line,) = errors_in(caplog)
    assert line.startswith("UPSTREAM_API_KEY_FILE cannot be used, so the last key stays: expected a file with a key")
    assert not content or len(content.strip()) < 3 or content.strip() not in line
    path.write_text("sk-second")
    clock.seconds += CHECK_SECONDS
    assert key_file.read_credential() == "Bearer sk-second"
    path.unlink()
    clock.seconds += CHECK_SECONDS
    key_file.read_credential()
    assert len(errors_in(caplog)) == 2, "a second failure is another one"


def test_a_file_that_becomes_usable_again_without_a_change_of_its_version_is_read(path: Path) -> None:
    key_file = KeyFile(path, now=(clock := Clock()))
    path.write_text("sk-second")
    away = path.rename(path.with_name("away"))
    clock.seconds += CHECK_SECONDS
    assert key_file.read_credential() == "Bearer sk-first"
    away.rename(path)
    clock.seconds += CHECK_SECONDS
    assert key_file.read_credential() == "Bearer sk-second"


@pytest.mark.parametrize("content", ["", "sk with spaces", "x" * (MAX_FILE_BYTES + 1)])
def test_a_first_key_is_needed(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(KeyFileError, match="expected a file with a key of visible ASCII characters") as raised:
        KeyFile(path)
    assert not content or content[:10] not in str(raised.value)


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to would wait forever."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(KeyFileError, match="got something other than a regular file"):
            KeyFile(path)
    with pytest.raises(KeyFileError, match="got No such file or directory"):
        KeyFile(tmp_path / "missing")


def test_the_key_is_never_shown(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    key_file = KeyFile(path, now=(clock := Clock()))
    path.write_text("sk-second")
    clock.seconds += CHECK_SECONDS
    key_file.read_credential()
    assert [record.getMessage() for record in caplog.records] == ["read a new key from UPSTREAM_API_KEY_FILE"]
    assert "sk-" not in repr(key_file)


@given(st.lists(st.none() | st.text("abc-_ \n\té", max_size=6), max_size=8))
def test_the_key_is_always_that_of_the_last_usable_content(
    tmp_path_factory: pytest.TempPathFactory, contents: list[str | None]
) -> None:
    path = tmp_path_factory.mktemp("keys") / "key"
    path.write_text("sk-first")
    key_file, expected = KeyFile(path, now=(clock := Clock())), "sk-first"
    for content in contents:
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(content)
        word = (content or "").strip()
        if word and word.isascii() and not any(character.isspace() for character in word):
            expected = word
        clock.seconds += CHECK_SECONDS
        assert key_file.read_credential() == f"Bearer {expected}"
