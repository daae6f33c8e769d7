"""A log mirror whose log a test writes by hand."""

from gateway.run_log.log_mirror import LogMirror
from gateway.run_log.replay_buffer import EventReader, ReplayBuffer, ReplayBufferLimits
from gateway.run_log.run_state import RunState
from gateway.run_log.store.event_log import LogName
from gateway.run_log.store.memory_log import MemoryLog
from schema.contract.run_events import SnapshotChange
from tests.support.run_log_processes import RUN, SCOPE, FrailLog, World, a_run

NAME = LogName(SCOPE, RUN)
BEGINNING = SnapshotChange(a_run("queued"), [], [])


class ManualLogMirror:
    """A log mirror with one replay buffer, over a store of its own."""

    def __init__(self, world: World) -> None:
        self.log = FrailLog(world.log)
        self.reader_closed_calls: list[LogMirror] = []
        self.state = RunState()
        self.mirror = LogMirror(
            NAME,
            self.log,
            self.state,
            new_local_log=lambda: MemoryLog(now=world.clock.now, now_seconds=world.clock.now),
            now_seconds=world.clock.now,
            on_reader_closed=self._on_reader_closed,
        )
        self.buffer = ReplayBuffer(self.mirror, ReplayBufferLimits(), self.state.baseline, starts_with_snapshot=True)
        self.mirror.add_buffer(self.buffer, lambda _: True)

    async def _on_reader_closed(self, mirror: LogMirror) -> None:
        self.reader_closed_calls.append(mirror)

    def reader(self) -> EventReader:
        reader = EventReader(self.buffer)
        reader.start_reading()
        return reader
