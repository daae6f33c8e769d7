"""The link between a gateway's supervisor and each of its workers, as the worker gets it: through its environment."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import msgspec

VARIABLE = "THREADS_GATEWAY_WORKER"
"""The variable that makes a process a worker. It is no setting: the supervisor alone sets it."""


@dataclass(frozen=True, slots=True)
class WorkerLink:
    """The file descriptors that a worker inherits, and where it serves its metrics.

    All workers accept from the same `listening` sockets. The worker writes a byte to `ready` once it serves.
    `lifeline` can be read when the supervisor has ended, in whatever way. `metrics_path` is a unix socket.
    """

    listening: Sequence[int]
    ready: int
    lifeline: int
    metrics_path: str | None = None

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> WorkerLink | None:
        """Take the link out of the environment. Returns None in a process that is no worker."""
        text = environment.pop(VARIABLE, None)
        return None if text is None else msgspec.json.decode(text, type=cls)

    def to_environment(self) -> Mapping[str, str]:
        """Return the variable that hands the link to a worker."""
        return {VARIABLE: msgspec.json.encode(self).decode()}

    @property
    def inherited(self) -> Sequence[int]:
        """The file descriptors that the worker must inherit."""
        return (*self.listening, self.ready, self.lifeline)

    def open_sockets(self) -> list[socket.socket]:
        """Return the listening sockets."""
        return [socket.socket(fileno=number) for number in self.listening]

    def announce_ready(self) -> None:
        """Tell the supervisor that this worker serves."""
        os.write(self.ready, b".")
        os.close(self.ready)

    def stop_without_supervisor(self, stop: asyncio.Event) -> None:
        """Set `stop` when the supervisor has ended, even if it was killed."""
        loop = asyncio.get_running_loop()

        def on_end() -> None:
            loop.remove_reader(self.lifeline)
            stop.set()

        loop.add_reader(self.lifeline, on_end)
