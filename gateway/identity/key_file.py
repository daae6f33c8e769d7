"""The file with the gateway's own upstream key, which may change while the gateway runs."""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from gateway.settings.setting_checks import MAX_KEY_LENGTH, check_header_word

CHECK_SECONDS = 1.0
"""Shortest time between two looks at the file. A look costs some microseconds."""

MAX_FILE_BYTES = MAX_KEY_LENGTH + 1024
"""Largest file: the longest key, and white space around it."""

_logger = logging.getLogger(__name__)

_EXPECTED = "expected a file with a key of visible ASCII characters without spaces"
_Version: TypeAlias = tuple[int, ...]


class KeyFileError(Exception):
    """The file holds no usable key. The message says what was expected, and nothing of the file's content."""


class KeyFile:
    """The newest key of a file. A file that is missing or holds no key keeps the last one, and is logged once."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.monotonic) -> None:
        """Read the key for the first time.

        Raises:
            KeyFileError: The file holds no usable key.
        """
        self._path = path
        self._now = now
        self._version: _Version | None = None
        self._key = ""
        self._has_failed = False
        self._read_if_changed()
        self._next_check_at = now() + CHECK_SECONDS

    def read_credential(self) -> str:
        """Return the value of `Authorization` with the newest key, which may be `CHECK_SECONDS` old."""
        if (now := self._now()) >= self._next_check_at:
            self._next_check_at = now + CHECK_SECONDS
            self._refresh()
        return f"Bearer {self._key}"

    def _refresh(self) -> None:
        last_key, failure = self._key, None
        try:
            self._read_if_changed()
        except KeyFileError as error:
            failure = error
        if failure is not None and not self._has_failed:
            _logger.error("UPSTREAM_API_KEY_FILE cannot be used, so the last key stays: %s", failure)
        self._has_failed = failure is not None
        if self._key != last_key:
            _logger.info("read a new key from UPSTREAM_API_KEY_FILE")

    def _read_if_changed(self) -> None:
        """Read the file, unless it is the version whose key is known. A file without a usable key stays unknown."""
        try:
            version = _version_from_status(self._path.stat())
            if version == self._version:
                return
            with self._path.open("rb") as file:
                # The version is taken before the content, so that a file which is being written is read again.
                version = _version_from_status(os.fstat(file.fileno()))
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise KeyFileError(f"{_EXPECTED}, got {error.strerror or type(error).__name__}") from None
        self._key = _key_from_content(content)
        self._version = version


def _version_from_status(status: os.stat_result) -> _Version:
    """Return what changes when a file is written or replaced, also behind a symbolic link."""
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{_EXPECTED}, got something other than a regular file")
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _key_from_content(content: bytes) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise KeyFileError(f"{_EXPECTED}, got more than {MAX_FILE_BYTES} bytes")
    try:
        return check_header_word(content.decode("ascii").strip())
    except ValueError:
        raise KeyFileError(f"{_EXPECTED}, got {'none' if not content.strip() else 'something else'}") from None
