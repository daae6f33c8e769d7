"""Trusted documents are read again when their files change; files that cannot be used change nothing."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from gateway.server.documents.document_files import MAX_REPORTED, POLL_SECONDS, DocumentFiles
from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.documents.manifest import ManifestError
from tests.support.subscription_gateway import until


class Pins:
    """Pins documents, but for those of `left_out`. Counts the times."""

    def __init__(self) -> None:
        self.left_out: dict[str, Exception | None] = {}
        self.pinned: list[list[str]] = []
        self.failure: Exception | None = None

    async def pin(self, texts: Iterable[str]) -> Mapping[str, Exception | None]:
        self.pinned.append(list(texts))
        if self.failure is not None:
            raise self.failure
        return self.left_out


class Sleeps:
    """A sleep that ends when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self._end = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        assert seconds == POLL_SECONDS
        self.begun += 1
        await self._end.wait()
        self._end.clear()

    async def end(self) -> None:
        """End this sleep, and wait for the next one."""
        before = self.begun
        self._end.set()
        await until(lambda: self.begun > before)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "documents.json"
    write(path, '{"a": "{ a }"}')
    return path


def write(file: Path, text: str) -> None:
    file.write_text(text)


def remove(file: Path) -> None:
    file.unlink()


def texts(policy: DocumentPolicy) -> Mapping[str, str]:
    return policy.documents.texts_by_id


async def test_a_changed_file_is_read_again_and_a_bad_one_keeps_the_former_documents(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy, pins, sleeps = DocumentPolicy(), Pins(), Sleeps()
    files = DocumentFiles(file, policy, pins.pin, sleep=sleeps)
    await files.start()
    await until(lambda: sleeps.begun == 1)
    assert texts(policy) == {"a": "{ a }"}
    await sleeps.end()
    assert pins.pinned == [["{ a }"]]
    write(file, '{"b": "{ bb }", "a": "{ a }"}')
    await sleeps.end()
    assert texts(policy) == {"b": "{ bb }", "a": "{ a }"}
    write(file, '{"b": ')
    for _ in range(3):
        await sleeps.end()
    assert texts(policy) == {"b": "{ bb }", "a": "{ a }"}
    assert pins.pinned == [["{ a }"], ["{ a }", "{ bb }"]]
    (error,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert error.startswith("the documents were not read again, the former 2 stay: Expected JSON in documents.json")
    remove(file)
    await sleeps.end()
    assert texts(policy) == {"b": "{ bb }", "a": "{ a }"}
    write(file, '{"c": "{ c }"}')
    await sleeps.end()
    assert texts(policy) == {"c": "{ c }"}
    await files.aclose()


async def test_a_request_reads_the_files_again(file: Path) -> None:
    policy, pins = DocumentPolicy(), Pins()
    files = DocumentFiles(file, policy, pins.pin, sleep=Sleeps())
    await files.start()
    files.request_reload()
    await until(lambda: len(pins.pinned) == 2)
    await files.aclose()


async def test_documents_that_are_not_pinned_are_told_with_their_ids(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(file, "{" + ", ".join(f'"id{n}": "{{ a{n} }}"' for n in range(MAX_REPORTED + 5)) + "}")
    policy, pins = DocumentPolicy(), Pins()
    pins.left_out = {f"{{ a{n} }}": ValueError("refused") if n else None for n in range(MAX_REPORTED + 5)}
    files = DocumentFiles(file, policy, pins.pin, sleep=Sleeps())
    await files.start()
    await files.aclose()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings[:2] == [
        'the document "id0": there is no place to keep it parsed',
        'the document "id1": the schema refuses it: refused',
    ]
    assert warnings[-1] == "5 more documents with such a warning"
    assert len(texts(policy)) == MAX_REPORTED + 5


async def test_files_that_cannot_be_used_are_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ManifestError):
        DocumentFiles(tmp_path / "missing.json", DocumentPolicy(), Pins().pin)


async def test_an_unexpected_failure_is_logged_and_the_files_are_watched_further(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy, pins, sleeps = DocumentPolicy(), Pins(), Sleeps()
    files = DocumentFiles(file, policy, pins.pin, sleep=sleeps)
    await files.start()
    await until(lambda: sleeps.begun == 1)
    pins.failure = RuntimeError("a fault of the schema")
    write(file, '{"b": "{ b }"}')
    await sleeps.end()
    assert texts(policy) == {"a": "{ a }"}
    assert "the documents were not read again, the former 1 stay" in caplog.text
    pins.failure = None
    write(file, '{"cc": "{ cc }"}')
    await sleeps.end()
    assert texts(policy) == {"cc": "{ cc }"}
    await files.aclose()
