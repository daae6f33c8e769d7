"""The logs of one process, bounded in entries, bytes and age. The least recently used are evicted first.

A log with a valid lease or a listener is never evicted, but may lose its oldest entries.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from gateway.config import DEFAULTS
from gateway.run_log.store.event_log import (
    Draft,
    LeaseLostError,
    LogEntry,
    LogName,
    LogPosition,
    LogSlice,
    StopListening,
    WriterLease,
    new_epoch,
)
from gateway.run_log.store.listeners import Listeners

LOG_OVERHEAD_BYTES = 1500
"""Estimated memory of a log without its entries."""

ENTRY_OVERHEAD_BYTES = 400
"""Estimated memory of an entry without its JSON text."""

TEXT_FACTOR = 2
"""Estimated bytes of memory for each byte of a change's JSON text."""

_TARGET_FILL = 7 / 8  # evict down to this share, so that not every append has to evict
_ENCODER = msgspec.json.Encoder()


@dataclass(slots=True)
class _Log:
    """One log. Its entries are numbered without a gap; its lease runs out at `leased_until`."""

    epoch: str = ""
    entries: list[LogEntry] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    size_bytes: int = LOG_OVERHEAD_BYTES
    number: int = 0
    has_ended: bool = False
    token: int = 0
    serial: int = 0
    leased_until: float = 0.0
    details_requested_until: float = 0.0
    written_at: float = 0.0

    def drop_oldest(self, count: int) -> int:
        """Drop the oldest entries and return the bytes that they took."""
        freed_bytes = sum(self.sizes[:count])
        self.size_bytes -= freed_bytes
        del self.entries[:count], self.sizes[:count]
        return freed_bytes


class MemoryLog:
    """The logs of a gateway without Redis. `now` is a monotonic clock, `now_seconds` returns Unix time."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        now_seconds: Callable[[], float] = time.time,
        lease_seconds: float = DEFAULTS.gateway_run_lease_seconds,
        max_entries: int = DEFAULTS.gateway_run_log_entries,
        max_bytes: int = DEFAULTS.gateway_run_log_bytes,
        retention_seconds: float = DEFAULTS.gateway_run_log_seconds,
    ) -> None:
        self._now = now
        self._now_seconds = now_seconds
        self._lease_seconds = lease_seconds
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._retention_seconds = retention_seconds
        self._logs: OrderedDict[LogName, _Log] = OrderedDict()
        self._names_by_scope: dict[str, set[LogName]] = {}
        self._listeners: Listeners[LogName] = Listeners()
        self._token = 0
        self._sweep_at = now() + retention_seconds
        self.size_bytes = 0

    def __len__(self) -> int:
        """Return the number of logs."""
        return len(self._logs)

    async def read(self, name: LogName, after: LogPosition | None = None) -> LogSlice:
        log = self._find_log(name)
        if log is None or not log.number:
            return LogSlice(None, (), is_gap=after is not None)
        first = log.number - len(log.entries)
        if after is None:
            return LogSlice(log.epoch, tuple(log.entries), log.has_ended)
        if after.epoch != log.epoch or not first <= after.number <= log.number:
            return LogSlice(log.epoch, tuple(log.entries), log.has_ended, is_gap=True)
        return LogSlice(log.epoch, tuple(log.entries[after.number - first :]), log.has_ended)

    async def append(
        self,
        name: LogName,
        lease: WriterLease,
        drafts: Sequence[Draft],
        *,
        ends: bool = False,
        serial: int | None = None,
    ) -> None:
        if not drafts:
            if ends:
                raise ValueError("expected a change that ends the log")
            return
        log = self._find_log(name)
        if log is None or not self._holds_lease(log, lease):
            raise LeaseLostError
        if serial is not None:
            if serial <= log.serial:
                return
            log.serial = serial
        at = self._now_seconds()
        log.epoch = log.epoch or new_epoch()
        self._append_entries(log, [LogEntry(log.number + offset, at, *draft) for offset, draft in enumerate(drafts, 1)])
        if ends:
            log.has_ended = True
            log.leased_until = 0.0
        self._listeners.notify(name)
        self._evict_logs()

    async def publish(self, name: LogName, drafts: Sequence[Draft]) -> None:
        if not drafts:
            return
        log = self._find_or_create_log(name)
        at = self._now_seconds()
        log.epoch = log.epoch or new_epoch()
        self._append_entries(log, [LogEntry(log.number + offset, at, *draft) for offset, draft in enumerate(drafts, 1)])
        self._listeners.notify(name)
        self._evict_logs()

    async def acquire_lease(self, name: LogName, *, preempt: bool = False) -> WriterLease | None:
        log = self._find_or_create_log(name)
        if log.has_ended or (log.leased_until > self._now() and not preempt):
            return None
        self._token += 1
        log.token, log.serial = self._token, 0
        log.written_at = self._now()
        log.leased_until = self._now() + self._lease_seconds
        self._evict_logs()
        return WriterLease(log.token, self._lease_seconds)

    async def discard(self, name: LogName, epoch: str) -> None:
        log = self._find_log(name)
        if log is not None and log.epoch == epoch:
            self._drop_log(name)
            self._listeners.notify(name)

    async def discard_scope(self, scope: str, names: Collection[LogName]) -> None:  # noqa: ARG002 - it finds all
        for name in list(self._names_by_scope.get(scope, ())):
            self._drop_log(name)
            self._listeners.notify(name)

    async def renew_lease(self, name: LogName, lease: WriterLease) -> bool:
        log = self._find_log(name)
        if log is None or not self._holds_lease(log, lease):
            return False
        log.leased_until = self._now() + self._lease_seconds
        log.written_at = self._now()
        return True

    async def release_lease(self, name: LogName, lease: WriterLease) -> None:
        log = self._find_log(name)
        if log is not None and self._holds_lease(log, lease):
            log.leased_until = 0.0
            self._listeners.notify(name)

    async def request_details(self, name: LogName) -> None:
        self._find_or_create_log(name).details_requested_until = self._now() + self._lease_seconds
        self._evict_logs()

    async def are_details_requested(self, name: LogName) -> bool:
        log = self._find_log(name)
        return log is not None and log.details_requested_until > self._now()

    def listen(self, name: LogName, on_notification: Callable[[], None]) -> StopListening:
        return self._listeners.add_listener(name, on_notification)

    def adopt(self, name: LogName, epoch: str, entries: Sequence[LogEntry], *, has_ended: bool = False) -> None:
        """Continue a log of another store under `name`, in place of the log here. It has no lease then.

        `epoch` is a new one, because the other store may continue under the old one with other entries.
        """
        if any(later.number != earlier.number + 1 for earlier, later in pairwise(entries)):
            raise ValueError("expected entries numbered without a gap")
        if name in self._logs:
            self._drop_log(name)
        if not entries:
            return
        log = self._find_or_create_log(name)
        log.epoch, log.number, log.has_ended = epoch, entries[0].number - 1, has_ended
        self._append_entries(log, entries)
        self._listeners.notify(name)
        self._evict_logs()

    async def close(self) -> None:
        """Remove all logs and listeners."""
        self._listeners.close()
        self._logs.clear()
        self._names_by_scope.clear()
        self.size_bytes = 0

    def _append_entries(self, log: _Log, entries: Sequence[LogEntry]) -> None:
        sizes = [_entry_size_bytes(entry) for entry in entries]
        log.entries += entries
        log.sizes += sizes
        log.number += len(entries)
        log.written_at = self._now()
        log.size_bytes += sum(sizes)
        self.size_bytes += sum(sizes)
        self.size_bytes -= log.drop_oldest(max(0, len(log.entries) - self._max_entries))

    def _holds_lease(self, log: _Log, lease: WriterLease) -> bool:
        return log.token == lease.token and log.leased_until > self._now()

    def _find_log(self, name: LogName) -> _Log | None:
        """Return a log and mark it as recently used; None if there is none or it has expired."""
        log = self._logs.get(name)
        if log is None:
            return None
        if self._is_expired(name, log):
            self._drop_log(name)
            return None
        self._logs.move_to_end(name)
        return log

    def _find_or_create_log(self, name: LogName) -> _Log:
        log = self._find_log(name)
        if log is None:
            log = self._logs[name] = _Log(written_at=self._now())
            self._names_by_scope.setdefault(name.scope, set()).add(name)
            self.size_bytes += log.size_bytes
        return log

    def _is_idle(self, name: LogName, log: _Log) -> bool:
        return log.leased_until <= self._now() and name not in self._listeners

    def _is_expired(self, name: LogName, log: _Log) -> bool:
        return self._now() - log.written_at > self._retention_seconds and self._is_idle(name, log)

    def _drop_log(self, name: LogName) -> None:
        self.size_bytes -= self._logs.pop(name).size_bytes
        names = self._names_by_scope[name.scope]
        names.discard(name)
        if not names:
            del self._names_by_scope[name.scope]

    def _evict_logs(self) -> None:
        if self._now() >= self._sweep_at:
            self._sweep_at = self._now() + self._retention_seconds / 10
            for name in [name for name, log in self._logs.items() if self._is_expired(name, log)]:
                self._drop_log(name)
        if self.size_bytes <= self._max_bytes:
            return
        target_bytes = int(self._max_bytes * _TARGET_FILL)
        for name in [name for name, log in self._logs.items() if self._is_idle(name, log)]:
            if self.size_bytes <= target_bytes:
                return
            self._drop_log(name)
        # All remaining logs are in use: the largest loses its older half, until each holds only its latest entry.
        while self.size_bytes > target_bytes and self._logs:
            largest = max(self._logs.values(), key=lambda log: len(log.entries) > 1 and log.size_bytes)
            if len(largest.entries) <= 1:
                return
            self.size_bytes -= largest.drop_oldest(len(largest.entries) // 2)


def _entry_size_bytes(entry: LogEntry) -> int:
    try:
        text_bytes = len(_ENCODER.encode(entry.change))
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        text_bytes = 4 * ENTRY_OVERHEAD_BYTES
    return ENTRY_OVERHEAD_BYTES + TEXT_FACTOR * text_bytes
