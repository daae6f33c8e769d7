"""The memory of the process: how often garbage is collected, and when free memory goes back to the system."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import math
import time
from collections.abc import Callable
from pathlib import Path

GC_THRESHOLDS = (10_000, 3, 1_000)
"""Garbage collection: new objects, then younger collections, that trigger a collection of each generation.

Nearly all new objects of a long response are alive, so a collection of 50,000 took up to 55 ms of the event loop. While
long documents were parsed, one of a million, after 100 younger ones, took 700.
"""

MEMORY_RETURN_SECONDS = 1.0
"""How often free memory is given back. It takes 0.02 ms when there is none, and 50 ms for 150 MB."""

COLLECTION_GROWTH = 1.1
"""The part to which the process must have grown before there is a full collection."""

MIN_COLLECTION_SECONDS = 5.0
"""The shortest time between two full collections."""

MAX_PAUSE_SECONDS = 300.0
"""The longest time between two full collections of a process that stays larger than it was."""

MAX_COLLECTION_SHARE = 0.002
"""The largest part of the time that full collections may take, whatever the number of objects."""


def tune_garbage_collector() -> None:
    """Exclude present objects from garbage collection and collect less often.

    Modules and the schema are loaded by the time a server listens, and they stay until the process ends. A big
    response creates about 100,000 objects, hardly any of them in cycles. With Python's own thresholds, a fifth of the
    time for such a response went into collections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


class CollectionSchedule:
    """Decides when a full collection is due: after the process has grown.

    Python holds objects that were freed for later ones of their size, a few here and there, and with each of them a
    megabyte that has no other. Only a full collection lets go of them. After 100,000 pings that nobody answered, 30 MB
    of 135 were such memory.
    """

    def __init__(self, resident_bytes: int) -> None:
        """Start with the memory of the process at its start."""
        self._lowest_bytes = self._left_bytes = resident_bytes
        self._pause_seconds = MIN_COLLECTION_SECONDS
        self._min_pause_seconds = 0.0
        self._collected_at = -math.inf

    def is_due(self, resident_bytes: int, now_seconds: float) -> bool:
        """Whether to collect now. Call it regularly, so that it knows when the process has become smaller."""
        self._lowest_bytes = min(self._lowest_bytes, resident_bytes)
        if resident_bytes <= COLLECTION_GROWTH * self._lowest_bytes:
            return False
        has_grown_again = resident_bytes > COLLECTION_GROWTH * self._left_bytes
        pause = MIN_COLLECTION_SECONDS if has_grown_again else self._pause_seconds
        return now_seconds >= self._collected_at + max(pause, self._min_pause_seconds)

    def on_collected(self, resident_bytes: int, took_seconds: float, now_seconds: float) -> None:
        """Record the memory that a collection left. After much, the next one comes later, and may find it free."""
        is_much = resident_bytes > COLLECTION_GROWTH * self._lowest_bytes
        self._pause_seconds = min(2 * self._pause_seconds, MAX_PAUSE_SECONDS) if is_much else MIN_COLLECTION_SECONDS
        self._left_bytes = resident_bytes
        self._min_pause_seconds = took_seconds / MAX_COLLECTION_SHARE
        self._collected_at = now_seconds


async def return_memory_until(
    stop: asyncio.Event,
    resident_bytes: Callable[[], int | None] | None = None,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Let the C library, where it can, give free memory back to the system now and then, until the process stops.

    By itself, glibc gives back only what is free above the last block in use. A process that had held 200 bodies of
    1 MB stayed at 200 MB, nearly all of it free. Where `resident_bytes` knows how large the process is, by default on
    Linux, garbage is collected after it has grown.
    """
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    measure = resident_bytes or read_resident_bytes
    schedule = CollectionSchedule(measure() or 0)
    while not stop.is_set():
        resident = measure()
        if resident is not None and schedule.is_due(resident, started := now()):
            gc.collect()
            schedule.on_collected(measure() or 0, now() - started, now())
        if give_back is not None:
            give_back(0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), MEMORY_RETURN_SECONDS)


def read_resident_bytes() -> int | None:
    """Return the memory of this process. Returns None where the system has no `/proc`."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])
